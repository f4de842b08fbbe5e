"""Test that an error in answer to a question fails no task, and runs none twice.

The tasks all succeed. Connections are cut again and again, and part of the questions about tasks is
answered by errors that name the task.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest

from runware_ws.emulator.service.effects import Push
from runware_ws.protocol.wire import decode_tasks
from tests.protocol.world import World, number_of

TASKS = 60
CODES = [
    "noAvailableServer",
    "rateLimitExceeded",
    "timeout",
    "internalServerError",
    "standardError",
    "unknownError",
    "aNewCode",
]
TASK_TYPES = [None, "getResponse", "upscale"]


class TroubledWorld(World):
    """A world in which questions are answered by errors, with some probability."""

    code = ""
    task_type: str | None = None
    probability = 0.3

    def carry_up(self, index: int = 0) -> None:
        assert self.wire is not None
        tasks = decode_tasks(self.wire.up[index])
        troubled = [one for one in tasks if self._is_troubled(one)]
        if not troubled:
            super().carry_up(index)
            return
        others = [one for one in tasks if one not in troubled]
        errors = [self._error(one) for one in troubled]
        self.wire.down.append(Push(self.wire.link, json.dumps({"errors": errors}).encode()))
        if others:
            self.wire.up[index] = json.dumps(others).encode()
            super().carry_up(index)
        else:
            del self.wire.up[index]

    def _is_troubled(self, task: dict[str, Any]) -> bool:
        is_question = task["taskType"] == "getResponse"
        return is_question and self.rng.random() < self.probability

    def _error(self, question: dict[str, Any]) -> dict[str, Any]:
        error = {"code": self.code, "message": "…", "taskUUID": question["taskUUID"]}
        return error if self.task_type is None else {**error, "taskType": self.task_type}


def upscale_with_cuts(world: World) -> None:
    """Submit tasks of both kinds, and cut the connection every so often until all are settled."""
    waiting = deque(range(TASKS))
    for step in range(100_000):
        if waiting and step % 3 == 0:
            world.submit(delivery="async" if waiting.popleft() % 3 == 0 else "sync")
        if world.wants_connection:
            world.connect()
        if world.wire is not None and step % 40 == 39:
            world.cut(server_knows=True, frames_count_as_undelivered=bool(step % 80 < 40))
        for _ in range(6):
            if world.wire is not None and world.wire.up:
                world.carry_up()
            if world.wire is not None and world.wire.down:
                world.carry_down()
        if world.jobs and step % 2 == 0:
            world.finish(world.rng.randrange(len(world.jobs)))
        world.tick(0.05)
        if not waiting and not world.client.tasks:
            return
    raise AssertionError(f"not settled: {list(world.client.tasks.values())}")


@pytest.mark.parametrize("task_type", TASK_TYPES)
@pytest.mark.parametrize("code", CODES)
def test_no_task_fails_or_runs_twice_over_an_error_that_answers_a_question(
    code: str, task_type: str | None
) -> None:
    world = TroubledWorld(seed=1)
    world.code, world.task_type = code, task_type
    upscale_with_cuts(world)
    for task in world.tasks:
        (outcome,) = world.settled[number_of(task)]
        assert isinstance(outcome, dict), repr(outcome)
    assert set(world.runs_of_image.values()) == {1}
    assert all(task.attempt_uuids == (task.uuid,) for task in world.tasks)


class AlternatingWorld(TroubledWorld):
    """A world in which the answers to questions are an error a number of times, then a true one."""

    in_a_row = 1
    questions = 0

    def _is_troubled(self, task: dict[str, Any]) -> bool:
        if task["taskType"] != "getResponse":
            return False
        self.questions += 1
        return self.questions % (self.in_a_row + 1) > 0


@pytest.mark.parametrize("running_task", ["processing", "empty", "error"])
@pytest.mark.parametrize("in_a_row", [1, 10])
@pytest.mark.parametrize("code", ["internalServerError", "standardError"])
def test_errors_with_other_answers_between_do_not_add_up(
    code: str, in_a_row: int, running_task: str
) -> None:
    world = AlternatingWorld(running_task=running_task, details="null")
    world.code, world.in_a_row = code, in_a_row
    world.submit(delivery="async", timeout=86400.0)
    world.connect()
    while world.client.tasks and world.questions < 4 * (in_a_row + 1):
        if world.wire is not None and world.wire.up:
            world.carry_up()
        if world.wire is not None and world.wire.down:
            world.carry_down()
        world.tick(0.05)
    assert len(world.client.tasks) == 1
    assert not world.tasks[0].former_uuids
