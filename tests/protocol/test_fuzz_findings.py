"""Repeat what the fuzzers of `tests.fuzz` have found, as stories without chance."""

from __future__ import annotations

from runware_ws.protocol.tasks import Stage
from tests.protocol.world import World, number_of


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
