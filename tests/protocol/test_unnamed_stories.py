"""Test what random stories have found about errors without a name and tasks that are sent again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from runware_ws.emulator.service.effects import Push
from runware_ws.protocol.answers import QUESTIONS
from runware_ws.protocol.wire import decode_tasks, encode_answer
from runware_ws.settings import Settings
from tests.protocol.lasting import LastingWorld
from tests.protocol.test_unnamed_errors import NO_IMAGE, outcome
from tests.protocol.world import BUSY, SETTINGS, World


def say(world: World, *codes: str) -> None:
    """The service sends errors without a name that it was not asked for."""
    errors = [{"code": code, "message": "…"} for code in codes]
    world.client.main.receive(encode_answer(errors=errors), world.now)
    world.pump()


def test_a_task_that_waits_to_be_sent_again_keeps_no_question_open() -> None:
    """Its timer is gone, so the question would be open for ever, and hold up those of others."""
    world = World(errors_name_task=False)
    world.connect()
    world.settle_down()
    running = world.submit(delivery="async")
    world.settle_down(finish=False)
    lost = [world.submit() for _ in range(3)]
    wire = world.wire
    assert wire is not None
    wire.up.clear()
    say(world, "internalServerError")
    world.client._table.limit.limit = 1  # it has fallen meanwhile
    began = world.now
    while world.now < began + 12.0:
        world.tick(0.05)
        if world.now > began + 2.5:  # questions for those that are lost are not answered any more
            for frame in [one for one in wire.up if any(t.uuid.encode() in one for t in lost)]:
                wire.up.remove(frame)
        world.settle_down(finish=False)
    running.asked_alone = True  # an error has come in answer to questions
    world.heal()
    assert [outcome(world, task) for task in world.tasks] == ["a result"] * 4


def test_a_task_that_was_sent_after_an_error_is_not_suspected() -> None:
    """A service may not find what it runs: then a task that is in doubt for nothing is lost."""
    rules: dict[str, Any] = {"known_tasks": "async", "details": "nothing", "conflicts": "never"}
    world = World(errors_name_task=False, on_doubt="fail", **rules)
    world.connect()
    world.settle_down()
    refused = world.submit(image=NO_IMAGE)
    world.settle_down()
    world.tick(0.01)
    later = world.submit()
    world.settle_down(finish=False)
    for _ in range(200):
        world.tick(0.1)
        world.settle_down(finish=False)
    world.heal()
    assert (outcome(world, refused), outcome(world, later)) == ("invalidImage", "a result")


def test_an_end_of_the_connection_in_an_inquiry_leaves_the_room_as_it_was() -> None:
    """One frame settles the last suspect, and says that the key is refused."""
    settings = replace(SETTINGS, max_in_flight=1, adaptive=False)
    world = World(errors_name_task=False, client_settings=settings)
    world.connect()
    world.settle_down()
    task = world.submit()
    world.settle_down(finish=False)
    say(world, "rateLimitExceeded")
    world.tick(0.06)
    result = {"taskType": "imageUpscale", "taskUUID": task.uuid, "imageUUID": world.new_uuid()}
    refusal = {"code": "unauthorized", "message": "No."}
    world.client.main.receive(encode_answer([result], [refusal]), world.now)
    world.pump()
    world.submit()
    world.heal()  # with room for -1 task, it would never be sent
    assert [outcome(world, task) for task in world.tasks] == ["a result"] * 2


def test_the_limit_grows_while_tasks_wait_to_be_sent_again(tmp_path: Path) -> None:
    """An earlier process had them in flight; nothing else is waiting."""
    world = LastingWorld(tmp_path / "jobs.db", client_settings=Settings())
    world.connect()
    world.settle_down()
    for _ in range(64):
        world.submit()
    world.write(64)
    world.pass_on()
    world.kill(written=0, server_knows=True, frames_count_as_undelivered=False)
    for _ in range(300):  # none of them has arrived
        world.settle_down(finish=False)
        world.tick(0.1)
    assert len(world.jobs) == 64
    world.heal()
    world.journal.close()


def test_the_error_of_a_task_that_is_given_up_meanwhile_is_no_bystanders() -> None:
    """Also where the service does not find what it runs."""
    world = World(errors_name_task=False, known_tasks="async", details="nothing")
    world.connect()
    world.settle_down()
    running = world.submit()
    refused = world.submit(image=NO_IMAGE)
    world.settle_down(finish=False)
    world.tick(0.06)
    world.cancel(refused)
    for _ in range(100):
        world.tick(0.1)
        world.settle_down(finish=False)
    world.heal()
    assert outcome(world, running) == "a result"


class RefusingWorld(World):
    """A world whose service answers one question in twenty with an error without a name."""

    def carry_up(self, index: int = 0) -> None:
        wire = self.wire
        assert wire is not None
        for task in decode_tasks(wire.up.popleft()):
            if task["taskType"] in QUESTIONS and self.rng.random() < 0.05:
                answer = encode_answer(errors=[{"code": BUSY, "message": "Busy."}])
                wire.down.append(Push(wire.link, answer))
            else:
                self.service.receive(wire.link, json.dumps([task]).encode(), self.now)
        self.pump()


def test_errors_in_answer_to_questions_do_not_hide_whose_the_others_are() -> None:
    settings = replace(SETTINGS, max_in_flight=60, adaptive=False)
    world = RefusingWorld(errors_name_task=False, client_settings=settings)
    world.connect()
    world.settle_down()
    tasks = [world.submit(image=NO_IMAGE) for _ in range(30)]
    world.settle_down()
    for _ in range(600):
        world.tick(0.1)
        world.settle_down()
    assert [outcome(world, task) for task in tasks] == ["invalidImage"] * 30


def test_a_task_that_proves_to_be_known_while_it_waits_is_not_sent_again() -> None:
    """Details that nobody waits for any more may hold it."""
    world = World(details="null", visible_after=5.0, conflicts="never", running_task="empty")
    world.connect()
    world.settle_down()
    running, late = world.submit(delivery="async"), world.submit()
    world.settle_down(finish=False)
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.service.expire_session(world.client.main.reconnector.session_uuid or "")
    world.tick(0.0)
    world.settle_down(finish=False)
    world.submit()  # it is at the service, so what is sent again waits for room
    world.settle_down(finish=False)
    limit = world.client._table.limit
    limit.limit, limit._growing = 1, False  # it has fallen meanwhile
    for _ in range(40):
        world.settle_down(finish=False)
        world.tick(0.1)
    assert late in world.client._table.resends
    late.spoiled = True  # an error has answered a question of the last round
    details = {"taskType": "getTaskDetails", "taskUUID": late.uuid, "request": [{}]}
    world.client.main.receive(encode_answer([{**details, "response": None}]), world.now)
    limit.limit = 3  # now there is room: to write it would be a KeyError of `move`
    world.pump()
    world.heal()
    assert outcome(world, running) == outcome(world, late) == "a result"
    assert late.writes == 1


def test_trouble_in_answer_to_all_questions_runs_nothing_under_a_new_name() -> None:
    """No word of the server is on this very task, which it has acknowledged, and runs."""
    world = World(errors_name_task=False, details="nothing", on_doubt="fail")
    world.connect()
    world.settle_down()
    task = world.submit(delivery="async")
    world.settle_down(finish=False)
    wire = world.wire
    assert wire is not None
    for _ in range(600):
        world.tick(0.1)
        for frame in [one for one in wire.up if b"getResponse" in one]:
            wire.up.remove(frame)
            say(world, "internalServerError")
        world.settle_down(finish=False)
    assert task.former_uuids == ()
    assert len(world.jobs) == 1


def test_a_failure_that_is_told_without_a_name_again_and_again_does_not_last_for_ever() -> None:
    """The service remembers it for an hour, and its details hold nothing."""
    world = World(errors_name_task=False, details="nothing")
    world.connect()
    world.settle_down()
    task = world.submit(delivery="async")
    world.settle_down(finish=False)
    world.finish(0, "serviceUnavailable")
    for _ in range(9000):
        world.tick(0.1)
        world.settle_down()
    assert outcome(world, task) == "a result"
    assert len(task.former_uuids) == 1
