"""The client under sets of rules: a synchronous task is sent, the connection is cut, and another is
made. The result is delivered with one run wherever the rules leave a way to it; else the error says
what is known.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import anyio.to_thread
import pytest

from runware_ws import ResultLostError, UpscaleResult
from runware_ws.emulator import PRESETS, Emulator, Rules
from runware_ws.emulator.faults import Drop
from tests.emulator.bench import picture
from tests.emulator.sockets import TIMEOUT, until
from tests.support.clients import QUICK, client_of, outcome_of

pytestmark = pytest.mark.anyio

CUT = Drop(of="request", moment="after", how="reset", match={"taskType": "upscale"}, nth=1)
# The server has the task, so a client that looks for long enough finds it.
WAYS: dict[str, Rules] = {
    "documented": PRESETS["documented"],
    "sdk-1.8": PRESETS["sdk-1.8"],
    "aflow": PRESETS["aflow"],
    "details without a response": Rules(replay="none", details="null", conflicts="running"),
    "nothing said while it runs": Rules(
        replay="none", details="null", conflicts="running", running_task="empty"
    ),
    "not found while it runs": Rules(
        replay="none", details="last_response", conflicts="never", running_task="error"
    ),
    "found in the details alone": Rules(
        replay="none", known_tasks="async", running_task="empty", conflicts="running"
    ),
    "found by getResponse alone": Rules(
        replay="none", details="nothing", conflicts="never", unknown_task="empty"
    ),
    "conflicts alone tell that it runs": Rules(
        replay="none", details="nothing", running_task="error", conflicts="running"
    ),
    "conflicts without a name": Rules(
        replay="none", details="nothing", running_task="empty", errors_name_task=False
    ),
    "late conflicts": Rules(replay="none", details="null", conflict_delay=3600, visible_after=0.1),
    "late to be seen": Rules(replay="none", conflicts="never", visible_after=0.1),
    "sessions refused": Rules(replay="none", unknown_session="error", answer_type="upscale"),
    "sessions closed": Rules(
        replay="none", unknown_session="close", retention="ttl", running_task="empty"
    ),
}
# What it says is all that can be known, or it is lost.
NO_WAY: dict[str, tuple[Rules, str]] = {
    "known, and never told of": (
        Rules(replay="none", known_tasks="async", details="null"),
        "the service had the task, and has no outcome for it",
    ),
    "known by its conflict, and never told of": (
        Rules(replay="none", known_tasks="async", details="nothing"),
        "the service had the task, and has no outcome for it",
    ),
}


class Bed:
    """An emulator with rules, whose connection is cut when the first task has arrived.

    Args:
        rules: its rules.
        until_asked: the task runs until the service was asked for it so often.
    """

    def __init__(self, rules: Rules, *, until_asked: int) -> None:
        self._until_asked = until_asked
        self._may_end = threading.Event()
        self.emulator = Emulator(
            rules=rules, faults=[CUT], upscaler=self._upscale, session_memory=0.0
        )

    def _upscale(self, *_: Any) -> bytes:
        self._may_end.wait(TIMEOUT)
        return picture()

    @property
    def received(self) -> Counter[str]:
        """The number of tasks of each type that arrived."""
        return Counter(one.task["taskType"] for one in self.emulator.requests)

    def _is_asked(self) -> bool:
        return self.received["getResponse"] >= self._until_asked

    async def upscale(self, *, known_limit: float = 20.0, **options: Any) -> Any:
        """Return the result of a task, or its error."""
        timing = replace(QUICK, known_limit=known_limit)
        options = {"timing": timing, "doubt_window": 0.3, **options}
        async with self.emulator, client_of(self.emulator, **options) as client:
            task = await client.submit(picture(), upscale_factor=2, timeout=None)
            await anyio.to_thread.run_sync(until, self._is_asked)
            self._may_end.set()
            return await outcome_of(task)


@pytest.mark.parametrize("until_asked", [0, 3], ids=["is finished", "runs"])
@pytest.mark.parametrize("rules", WAYS.values(), ids=WAYS)
async def test_a_task_that_was_cut_off_is_delivered_with_one_run(
    rules: Rules, until_asked: int
) -> None:
    bed = Bed(rules, until_asked=until_asked)
    result = await bed.upscale()
    assert isinstance(result, UpscaleResult)
    assert bed.emulator.executions == {result.task_uuid: 1}
    assert bed.received["upscale"] <= 3


@pytest.mark.parametrize(("rules", "text"), NO_WAY.values(), ids=NO_WAY)
async def test_where_there_is_no_way_the_error_says_what_is_known(rules: Rules, text: str) -> None:
    bed = Bed(rules, until_asked=0)
    error = await bed.upscale(known_limit=0.3)
    assert isinstance(error, ResultLostError)
    assert text in str(error)
    assert set(bed.emulator.executions.values()) == {1}
    assert bed.received["upscale"] <= 3


async def test_under_the_worst_rules_a_task_runs_twice_unless_that_is_forbidden() -> None:
    resending = Bed(PRESETS["worst"], until_asked=0)
    result = await resending.upscale()
    assert isinstance(result, UpscaleResult)
    assert resending.emulator.executions == {result.task_uuid: 2}
    failing = Bed(PRESETS["worst"], until_asked=0)
    error = await failing.upscale(on_doubt="fail")
    assert isinstance(error, ResultLostError)
    assert "the service does not find it" in str(error)
    assert set(failing.emulator.executions.values()) == {1}
