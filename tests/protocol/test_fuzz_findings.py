"""Repeat what chance has found, in `tests.fuzz` and in the long profile of `test_joint`, as stories
without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runware_ws.emulator import Rules
from runware_ws.errors import ResultLostError
from runware_ws.protocol.tasks import Stage
from tests.protocol.lasting import LastingWorld
from tests.protocol.world import World, image_of, number_of


def test_a_task_that_is_looked_at_late_on_a_silent_line_is_looked_at_later_again() -> None:
    """The next look was counted from the last sign of life: it lay in the past, and so was due
    for ever.
    """
    world = World()
    world.connect()
    world.settle_down()
    task = world.submit(delivery="async")
    world.carry_up()
    world.carry_down()
    assert task.stage is Stage.ACCEPTED
    world.tick(6.0)  # now it is asked for
    world.tick(6.0)  # no answer, and nothing else was heard
    moment = world.client.next_timer()
    assert moment is not None
    assert moment > world.now
    world.heal()
    assert len(world.settled[number_of(task)]) == 1


def asked_for_after_a_refusal(world: World) -> None:
    """A task was refused and sent again, the connection is cut, and the service is asked."""
    world.settle_down(finish=False)
    world.submit()
    world.settle_down(finish=False)
    world.finish(failure="serviceUnavailable")
    world.settle_down(finish=False)
    world.tick(1.0)
    assert world.wire is not None
    assert len(world.wire.up) == 1
    if isinstance(world, LastingWorld):
        world.kill(written=0, server_knows=False, frames_count_as_undelivered=False)
    else:
        world.cut(server_knows=False, frames_count_as_undelivered=False)
    session_uuid = world.client.main.reconnector.session_uuid
    world.service.expire_session(
        session_uuid or ""
    )  # or the service would close the old connection
    world.settle_down(finish=False)
    world.tick(1.0)
    world.settle_down(finish=False)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_refusal_that_may_be_older_than_the_last_sending_does_not_prove_that_it_never_runs(
    restarts: bool, tmp_path: Path
) -> None:
    """It was sent a third time, and then the second sending arrived."""
    rules = Rules(conflicts="never")
    if restarts:
        world: World = LastingWorld(tmp_path / "jobs.db", on_doubt="fail", rules=rules)
    else:
        world = World(on_doubt="fail", rules=rules)
    asked_for_after_a_refusal(world)
    world.arrive_late(world.dead[0])
    world.heal()
    assert world.runs_of_image[image_of(0)] == 1
    (outcome,) = world.settled[0]
    assert isinstance(outcome, dict)


def test_a_task_of_which_only_an_old_refusal_is_known_is_lost_if_it_may_not_be_sent_again() -> None:
    world = World(on_doubt="fail")
    asked_for_after_a_refusal(world)
    world.dead.clear()
    world.heal()
    (outcome,) = world.settled[0]
    assert isinstance(outcome, ResultLostError)
    assert not world.runs_of_image


def test_a_task_of_which_only_an_old_refusal_is_known_is_sent_again_if_it_may_be() -> None:
    world = World()
    asked_for_after_a_refusal(world)
    world.dead.clear()
    world.heal()
    assert world.runs_of_image[image_of(0)] == 1
