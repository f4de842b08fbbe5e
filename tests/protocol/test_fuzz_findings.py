"""What the fuzzers of `tests.fuzz` have found, as stories without chance."""

from __future__ import annotations

import json
from typing import Any

from runware_ws.protocol.tasks import Stage, Step, Task
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


def test_a_task_that_waits_twice_to_be_sent_again_is_sent_once() -> None:
    """It waited for its turn behind another that was sent alone, was said to be known, and then to
    be unknown after all; so it stood in the queue twice, and its second sending was no move.
    """
    world = World()
    world.connect()
    world.settle_down()
    tasks = [world.submit(delivery="async") for _ in range(2)]
    world.carry_up()
    hear(world, errors=[{"code": "invalidImage", "message": ""}])  # whose it is must be found out
    for task in tasks:
        hear(world, errors=[unknown(task)])
    (waiting,) = (task for task in tasks if task.step is Step.RESEND)
    hear(world, data=[{"taskUUID": waiting.uuid, "status": "processing"}])
    assert waiting.stage is Stage.ACCEPTED
    hear(world, errors=[unknown(waiting)])
    world.heal()
    assert waiting.writes == 2


def unknown(task: Task) -> dict[str, Any]:
    return {"code": "taskNotFound", "message": "", "taskUUID": task.uuid}


def hear(world: World, **frame: Any) -> None:
    """A frame reaches the client, of which the service knows nothing."""
    world.client.receive(json.dumps(frame), world.now)
    world.pump()
