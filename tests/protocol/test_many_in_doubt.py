"""Ten thousand tasks in doubt cost a service that knows them one question each, a hundred a frame,
and no time but that of the answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

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
