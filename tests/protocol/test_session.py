"""Test the promises of the session that need no network and no chance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runware_ws.errors import ConnectionLostError
from runware_ws.protocol.effects import Connect, Effect, Settle
from runware_ws.protocol.secret import Secret
from runware_ws.protocol.session import Session
from runware_ws.protocol.tasks import TRANSITIONS, Stage, Task, Transition, move
from tests.protocol.world import KEY, SETTINGS, World, number_of


def test_a_task_that_is_unknown_twice_is_sent_again_once() -> None:
    world = World()
    world.connect()
    world.settle_down()
    task = world.submit()
    world.cut(server_knows=True, frames_count_as_undelivered=False)  # before it arrived
    world.tick(1.0)
    world.connect()
    world.carry_up()
    world.carry_down()
    world.tick(1.0)
    world.carry_up()  # the question
    assert world.wire is not None
    world.wire.down.append(world.wire.down[0])
    frame = world.wire.down.popleft().frame
    world.client.main.receive(frame, world.now)
    world.client.main.receive(world.wire.down.popleft().frame, world.now)
    world.heal()
    assert task.writes == 2
    assert len(world.settled[number_of(task)]) == 1
    assert world.service.history.executions[task.uuid] == 1


def test_a_client_gives_up_when_its_limit_passes_and_not_an_attempt_later() -> None:
    limited = Session(
        replace(SETTINGS, max_reconnect_time=7.0),
        api_key=Secret(KEY),
        new_uuid=lambda: "",
        rng=lambda: 1.0,
    )
    limited.start(0.0)
    limited.submit(Task("u", b"[{}]"), 0.0)
    effects: list[Effect] = []
    now = 0.0
    while limited.failure is None:
        moment = limited.next_timer()
        assert moment is not None
        now = moment
        limited.handle_timer(now)
        effects = limited.take_effects()
        if any(isinstance(effect, Connect) for effect in effects):
            limited.main.lost("refused", now)
            effects += limited.take_effects()
    assert now == 7.0
    (settled,) = [effect for effect in effects if isinstance(effect, Settle)]
    assert isinstance(settled.outcome, ConnectionLostError)


def test_a_move_that_is_not_in_the_table_is_refused() -> None:
    task = Task("u", b"[{}]")
    for trigger in Transition:
        if Stage.QUEUED not in TRANSITIONS[trigger]:
            with pytest.raises(KeyError):
                move(task, trigger)
