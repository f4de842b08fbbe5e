"""Ten thousand tasks in doubt cost a service that knows them one question each, a hundred a frame,
and no time but that of the answers. Errors that name no task find all owners in the same rounds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from runware_ws.errors import TaskError
from runware_ws.settings import Settings
from tests.protocol.world import World, number_of

COUNT = 10_000
SETTINGS = Settings(max_in_flight=COUNT, adaptive=False)


class CountingWorld(World):
    """A world that counts the frames to the server, and the tasks in them."""

    frames = 0

    def carry_up(self, index: int = 0) -> None:
        self.frames += 1
        super().carry_up(index)

    @property
    def sent(self) -> Counter[str]:
        return Counter(one.task["taskType"] for one in self.service.history.requests)


@pytest.mark.parametrize(
    ("rules", "count", "details"),
    [
        pytest.param({"replay": "none"}, COUNT, 0, id="found by getResponse"),
        pytest.param({"replay": "none", "known_tasks": "async"}, 1000, 1000, id="by details"),
    ],
)
def test_tasks_in_doubt_are_asked_for_once_and_settle_at_once(
    rules: dict[str, Any], count: int, details: int
) -> None:
    world = CountingWorld(client_settings=SETTINGS, **rules)
    for _ in range(count):
        world.submit()
    world.settle_down(finish=False)
    assert len(world.jobs) == count
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    while world.jobs:
        world.finish(len(world.jobs) - 1)
    world.frames = 0
    began = world.now
    world.tick(0.0)
    world.heal()
    assert all(isinstance(world.settled[number_of(task)][0], dict) for task in world.tasks)
    assert world.sent["upscale"] == world.sent["getResponse"] == count
    assert world.sent["getTaskDetails"] == details
    assert world.frames <= 1 + (count + details) / SETTINGS.max_tasks_per_frame
    assert world.now - began < 1.0  # on the world's own clock


@pytest.mark.parametrize(
    ("failure", "others", "rules"),
    [
        pytest.param(None, 0, {}, id="refused"),
        pytest.param(None, 0, {"unknown_task": "empty"}, id="refused, empty answers"),
        pytest.param(None, 250, {}, id="refused, among others"),
        pytest.param("inferenceError", 0, {}, id="failed"),
    ],
)
def test_errors_without_a_name_find_all_their_owners_in_the_same_rounds(
    failure: str | None, others: int, rules: dict[str, Any]
) -> None:
    count = 1000
    settings = Settings(max_in_flight=count + others, adaptive=False)
    world = CountingWorld(client_settings=settings, errors_name_task=False, **rules)
    image = "neither a link nor an image" if failure is None else None
    failing = [world.submit(image=image) for _ in range(count)]
    good = [world.submit() for _ in range(others)]
    began = world.now
    world.settle_down(finish=False)
    while failure is not None and world.jobs:
        world.finish(len(world.jobs) - 1, failure)
    world.frames = 0
    world.heal()
    outcomes = [world.settled[number_of(task)][0] for task in failing]
    codes = {one.code for one in outcomes if isinstance(one, TaskError)}
    assert codes == {failure or "invalidImage"}
    assert all(isinstance(one, TaskError) for one in outcomes)
    assert all(isinstance(world.settled[number_of(task)][0], dict) for task in good)
    assert world.sent["upscale"] == count + others
    questions = world.sent["getResponse"] + world.sent["getTaskDetails"]
    assert questions <= 12 * (count + others)
    if failure is None:  # else each answer brings the next question, before others come
        assert world.frames <= 20 + questions / settings.max_tasks_per_frame
    assert world.now - began < 3.0  # on the world's own clock
