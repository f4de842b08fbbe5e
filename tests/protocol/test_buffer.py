"""Test the 120 s for which the service keeps what a dropped session missed, and the time after.

Both cores are joined without a network, so the time is ours: see `World`.
"""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.protocol.tasks import Task
from tests.protocol.world import World, number_of

JUST_IN_TIME, TOO_LATE = 119.0, 121.0


def connected(**settings: Any) -> World:
    """A world in which the client is ready to send."""
    world = World(**settings)
    world.connect()
    world.carry_up()
    world.carry_down()
    return world


def arrived(world: World, delivery: str = "sync") -> Task:
    """A task that the service has, and works on."""
    task = world.submit(delivery=delivery)
    world.carry_up()
    while world.wire is not None and world.wire.down:
        world.carry_down()
    return task


def story(away: float, *, written: bool, **settings: Any) -> World:
    """Tasks in all stages, a cut that both sides notice, and a client that is away so long.

    Args:
        away: how many seconds the client is away.
        written: whether what was on its way to the client counts as delivered.
        settings: of the service.
    """
    world = connected(**settings)
    for delivery in ["sync", "async"] * 3:
        arrived(world, delivery)
    world.finish(0)  # its result is on its way
    world.finish(2)
    world.submit()  # never arrives
    world.cut(server_knows=True, frames_count_as_undelivered=not written)
    world.submit()  # while the client is away
    world.finish(0)
    world.tick(away / 2)
    world.finish(0)
    world.tick(away / 2)  # the rest is finished later
    assert world.wants_connection
    return world


@pytest.mark.parametrize("away", [JUST_IN_TIME, TOO_LATE])
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("replay", ["before", "after"])
@pytest.mark.parametrize("unknown_session", ["new", "error"])
@pytest.mark.parametrize("unknown_task", ["error", "empty"])
def test_every_result_comes_once_however_long_the_client_was_away(
    away: float, written: bool, replay: str, unknown_session: str, unknown_task: str
) -> None:
    world = story(
        away,
        written=written,
        replay=replay,
        unknown_session=unknown_session,
        unknown_task=unknown_task,
    )
    before = world.client.main.reconnector.session_uuid
    world.heal()
    for task in world.tasks:
        (outcome,) = world.settled[number_of(task)]
        assert isinstance(outcome, dict), repr(outcome)
        assert outcome["taskUUID"] == task.uuid
    assert world.service.history.executions == {task.uuid: 1 for task in world.tasks}
    assert set(world.runs_of_image.values()) == {1}
    resumed = world.client.main.reconnector.session_uuid == before
    assert resumed == (away == JUST_IN_TIME)


def test_what_the_buffer_holds_needs_no_question() -> None:
    world = connected()
    task = arrived(world)
    world.cut(server_knows=True, frames_count_as_undelivered=True)
    world.finish()
    world.tick(JUST_IN_TIME)
    world.settle_down()
    assert len(world.settled[number_of(task)]) == 1
    assert world.client.counters.recovered == {"replayed": 1}


def test_what_the_buffer_holds_no_longer_is_asked_for() -> None:
    world = connected()
    task = arrived(world)
    world.cut(server_knows=True, frames_count_as_undelivered=True)
    world.finish()
    world.tick(TOO_LATE)
    world.settle_down()
    assert len(world.settled[number_of(task)]) == 1
    assert world.client.counters.recovered != {"replayed": 1}
