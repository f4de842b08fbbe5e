"""The gate: who enters when there is room for some."""

from __future__ import annotations

import anyio
import anyio.abc
import pytest

from runware_ws.emulator import Emulator
from runware_ws.runtime.admission import Admission
from tests.emulator.bench import picture
from tests.support.clients import client_of

pytestmark = pytest.mark.anyio

SMALL, LARGE = 1_000, 100_000
TINY = picture((4, 4))


@pytest.mark.parametrize(("priority", "at_most"), [(0, 8), (10, 0)])
async def test_a_large_input_has_a_turn_at_a_gate_that_is_full(priority: int, at_most: int) -> None:
    gate = Admission(1, 10**9, lambda: 1)
    await gate.enter(SMALL)
    entered: list[int] = []

    async def enter(size: int, priority: int = 0) -> None:
        await gate.enter(size, priority)
        entered.append(size)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(enter, SMALL)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(enter, LARGE, priority)
        await anyio.wait_all_tasks_blocked()
        leaving = SMALL
        for number in range(21):
            gate.leave(leaving)
            await anyio.wait_all_tasks_blocked()
            assert len(entered) == number + 1
            leaving = entered[-1]
    assert entered.index(LARGE) <= at_most


@pytest.mark.parametrize("connections", [0, 1, 3])
async def test_as_many_large_inputs_as_connections_are_read_ahead(connections: int) -> None:
    """More of them would take memory, and be sent no sooner."""
    gate = Admission(100, 10**9, lambda: connections)
    size = 3 * 1024 * 1024
    ahead = 0
    while gate.try_enter(size):
        ahead += 1
    assert ahead == max(1, connections)
    gate.sent(size)
    assert gate.try_enter(size)
    assert not gate.try_enter(size)


async def test_callers_who_wait_for_tiny_results_leave_the_gate_to_others_too() -> None:
    async with (
        Emulator(latency=0.01) as emulator,
        client_of(emulator, max_in_flight=2) as client,
        anyio.create_task_group() as tasks,
    ):

        async def one_after_another() -> None:
            while True:
                await client.upscale(TINY)

        for _ in range(8):
            tasks.start_soon(one_after_another)
        await client.upscale(TINY)
        with anyio.fail_after(10):
            await (await client.submit(TINY))
        tasks.cancel_scope.cancel()
