"""``budget``: nothing is sent that might exceed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from runware_ws import BudgetError, ClientClosedError, InputError, RunwareClient, TaskTimeoutError
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Fail
from runware_ws.runtime.budget import Budget
from tests.emulator.bench import picture
from tests.support.clients import IMAGE

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def emulated(budget: float, **settings: Any) -> AsyncIterator[tuple[Emulator, RunwareClient]]:
    async with (
        Emulator(**settings) as emulator,
        RunwareClient(emulator.api_key, url=emulator.url, budget=budget) as client,
    ):
        yield emulator, client


async def test_a_task_that_would_exceed_the_budget_is_not_sent() -> None:
    async with emulated(0.003) as (emulator, client):
        for _ in range(2):
            assert (await client.upscale(picture())).cost == 0.0013
        with pytest.raises(BudgetError) as error:
            await client.upscale(picture())
        assert (error.value.budget, error.value.spent) == (0.003, 0.0026)
        assert str(error.value).startswith("$0.0026 of the budget of $0.0030 is spent")
        assert sum(emulator.executions.values()) == 2


async def test_many_at_once_spend_no_more_than_the_budget() -> None:
    async with emulated(0.5, cost=0.1, latency=0.01) as (emulator, client):
        outcomes = [one async for one in client.upscale_many([picture()] * 20)]
        assert len([one for one in outcomes if one.error is None]) == 5
        assert {type(one.error) for one in outcomes if one.error} == {BudgetError}
        assert emulator.billed == pytest.approx(0.5)


async def test_before_a_cost_is_known_one_task_at_a_time_is_sent() -> None:
    async with emulated(1.0, latency=600) as (_, client):
        await client.submit(picture())
        with pytest.raises(TaskTimeoutError, match="the budget was reached"):
            await client.submit(picture(), timeout=0.05)
        assert client.stats().submitted == 1


async def test_what_the_service_refuses_costs_nothing() -> None:
    refusals = [Fail(of="request", code="invalidParameter", nth=1, times=5)]
    async with emulated(0.0013, faults=refusals) as (emulator, client):
        outcomes = [one async for one in client.upscale_many([picture()] * 6)]
        assert [one.error is None for one in outcomes].count(True) == 1
        assert sum(emulator.executions.values()) == 1


async def test_a_task_that_was_given_up_counts_as_spent() -> None:
    async with emulated(0.002, latency=600) as (_, client):
        with pytest.raises(TaskTimeoutError):
            await client.upscale(picture(), timeout=0.2)
        with pytest.raises(BudgetError) as error:
            await client.upscale(picture())
        assert error.value.spent == 0.0013


async def test_an_image_that_cannot_be_read_gives_its_share_back() -> None:
    async with emulated(0.0013) as (_, client):
        for _ in range(3):
            with pytest.raises(InputError):
                await client.upscale(b"")
        assert (await client.upscale(picture())).cost == 0.0013


async def test_a_budget_asks_for_the_costs() -> None:
    async with emulated(1.0) as (emulator, client):
        await client.upscale(picture())
        (task,) = [one.task for one in emulator.requests if "inputs" in one.task]
        assert task["includeCost"] is True
        with pytest.raises(InputError, match="include_cost: is False; leave it out"):
            await client.upscale(picture(), include_cost=False)


@pytest.mark.parametrize("budget", [0, -1, float("nan"), "5", True])
async def test_a_budget_that_is_none_is_refused(budget: Any) -> None:
    with pytest.raises(InputError, match=r"^budget: .*pass a number of US dollars"):
        RunwareClient("key", budget=budget)


async def test_a_waiting_task_goes_on_when_another_ends() -> None:
    budget = Budget(0.01)
    await budget.reserve()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.reserve)  # the first cost is not known yet
        await anyio.wait_all_tasks_blocked()
        budget.charge(0.004)
        budget.release()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.reserve)  # the one in flight may cost 0.004, so 0.012 in all
        await anyio.wait_all_tasks_blocked()
        budget.release()
    budget.charge(0.006)
    budget.release()
    with pytest.raises(BudgetError):
        await budget.reserve()


async def test_results_that_cost_nothing_are_not_limited() -> None:
    async with emulated(0.01, cost=0.0) as (_, client):
        outcomes = [one async for one in client.upscale_many([picture()] * 20)]
        assert all(one.error is None for one in outcomes)


async def test_closing_the_client_ends_the_wait_for_the_budget() -> None:
    async with emulated(1.0, latency=600) as (_, client):
        await client.submit(IMAGE)
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(ClientClosedError):
                    await client.upscale(IMAGE)

            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
