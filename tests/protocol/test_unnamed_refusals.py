"""Test that refusals for lack of room that name no task cost little: neither time nor questions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from runware_ws.protocol.connection_state import ConnectionState, UnattributedError
from runware_ws.protocol.tasks import Stage
from runware_ws.protocol.wire import decode_tasks, encode_answer
from tests.protocol.loaded import LoadedWorld
from tests.protocol.test_unnamed_errors import NO_IMAGE, STRAY, outcome
from tests.protocol.world import SETTINGS, NumberedTask, World, number_of

NOT_FOUND = encode_answer(errors=[{"code": "taskNotFound", "message": "Not found."}])
NO_ROOM = encode_answer(errors=[{"code": "queueFull", "message": "No room."}])
# Rules of the service, seconds that a frame takes, and the least part of the ideal throughput.
SERVICES = [
    pytest.param({}, 0.001, 0.75, id="documented"),
    pytest.param({}, 0.05, 0.75, id="far away"),
    pytest.param({"unknown_task": "empty"}, 0.05, 0.75, id="empty answers"),
    pytest.param({"refuses_questions": True}, 0.001, 0.35, id="questions refused"),
]
# A service that does not find what it runs, and does not refuse to run it again.
BLIND: dict[str, Any] = {"known_tasks": "async", "details": "nothing", "conflicts": "never"}


@pytest.mark.parametrize(("rules", "way", "share"), SERVICES)
@pytest.mark.parametrize("delivery", ["sync", "async"])
@pytest.mark.parametrize("load", [(2, 60), (8, 150), (30, 400)])
def test_all_is_delivered_almost_as_fast_and_with_as_few_refusals_as_if_they_had_names(
    load: tuple[int, int], delivery: str, rules: dict[str, Any], way: float, share: float
) -> None:
    room, images = load
    latency = 0.3
    world = LoadedWorld(room, latency, way=way, errors_name_task=False, **rules)
    for _ in range(images):
        world.submit(delivery=delivery)
    seconds = world.run()  # on the world's own clock
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert set(world.runs_of_image.values()) == {1}
    assert images * (latency + 2 * way) / room / seconds >= share
    assert world.refused <= 14 + images * 0.1  # the first 16, and probes


def test_slow_answers_to_questions_are_not_taken_for_refused_questions() -> None:
    world = LoadedWorld(8, 0.3, way=0.02, answers_after=0.7, errors_name_task=False)
    for _ in range(200):
        world.submit()
    seconds = world.run()
    assert 200 * (0.3 + 2 * 0.02) / 8 / seconds >= 0.75
    assert world.refused <= 14 + 200 * 0.1


@pytest.mark.parametrize("way", [0.001, 0.02])
def test_tasks_that_fail_do_not_hold_up_those_that_are_refused(way: float) -> None:
    """One in twenty fails, and no error says which task it is about."""
    room, latency, images = 8, 0.3, 200
    world = LoadedWorld(room, latency, way=way, errors_name_task=False)
    for number in range(images):
        world.submit(image=NO_IMAGE if number % 20 == 7 else None)
    seconds = world.run()
    outcomes = Counter(outcome(world, task) for task in world.tasks)
    assert outcomes == {"a result": images * 19 // 20, "invalidImage": images // 20}
    assert set(world.runs_of_image.values()) == {1}
    assert images * (latency + 2 * way) / room / seconds >= 0.6
    assert world.refused <= 14 + images * 0.1


def overloaded(
    running: int,
    refused: int,
    waiting: int = 0,
    spare: int = 0,
    *,
    gave_up: bool = False,
    **settings: Any,
) -> World:
    """A service that runs some tasks and has refused others, which it has not said yet.

    Args:
        gave_up: whether a task was given up before, whose error may still come.
    """
    limit = replace(SETTINGS, max_in_flight=running + refused + spare)
    world = World(client_settings=limit, errors_name_task=False, **settings)
    world.connect()
    world.settle_down()
    if gave_up:
        world.client.cancel(world.submit())
        lose(world)
    for _ in range(running):
        world.submit()
    world.settle_down(finish=False)
    for _ in range(refused + waiting):
        world.submit()
    assert world.wire is not None
    world.wire.up.clear()
    world.tick(0.1)
    return world


def hear(world: World, *frames: bytes) -> None:
    """So many frames come, one after another."""
    for frame in frames:
        world.client.main.receive(frame, world.now)
        world.pump()
        world.tick(0.001)


def go_on(world: World, seconds: float) -> None:
    """Time passes, in which frames arrive and no task finishes."""
    end = world.now + seconds
    while world.now < end:
        world.settle_down(finish=False)
        world.tick(0.05)


def lose(world: World) -> None:
    """What was written does not arrive."""
    assert world.wire is not None
    world.wire.up.clear()


def test_refusals_that_come_together_are_looked_into_together() -> None:
    world = overloaded(running=0, refused=3)
    hear(world, *[NO_ROOM] * 3)
    assert world.wire is not None
    assert not world.wire.up
    world.tick(0.05)
    (questions,) = world.wire.up
    assert questions.count(b"getResponse") == 3
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert world.client.counters.refused == 3
    assert world.client.counters.resent == 0  # it is certain whose they are


def test_what_was_refused_goes_again_after_the_results_of_others_and_one_question() -> None:
    """There is no doubt left whose the error is, also under a service without answers."""
    world = overloaded(running=2, refused=1, on_doubt="fail", **BLIND)
    *_, refused = world.tasks
    hear(world, NO_ROOM)
    world.tick(0.1)
    assert world.wire is not None
    assert not world.wire.up  # the results may tell
    world.finish(0)
    world.finish(0)
    world.settle_down(finish=False)
    world.tick(0.1)
    world.settle_down(finish=False)
    assert (refused.writes, refused.stage) == (2, Stage.SENT)
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert set(world.runs_of_image.values()) == {1}


def test_an_error_with_a_status_is_an_answer_and_no_refusal() -> None:
    """So a service tells that the task which was asked for has failed."""
    world = overloaded(running=2, refused=0)
    hear(world, b"what is it?")  # so both are asked for
    assert world.client.main.connection is not None
    assert len(world.client.main.connection.asked) == 2
    failed = {"code": "serviceUnavailable", "message": "It failed.", "status": "error"}
    hear(world, encode_answer(errors=[failed]))
    assert world.client.counters.refused == 0
    assert not world.client.main.connection.unattributed
    assert world.client.main.connection.unnamed == 1


def test_tasks_are_asked_for_if_no_result_tells_which_was_refused() -> None:
    world = overloaded(running=2, refused=1)
    *_, refused = world.tasks
    hear(world, NO_ROOM)
    go_on(world, 0.7)  # nothing finishes
    assert refused.stage is Stage.QUEUED  # it goes again as soon as there is room
    assert world.client.counters.refused == 1


def test_a_refusal_is_no_answer_to_a_question_that_has_another() -> None:
    world = overloaded(running=1, refused=1, spare=1)
    hear(world, b"what is it?")  # so both are asked for, and one answer names the task
    third = world.submit()
    lose(world)
    world.tick(0.01)
    first, second = (task for task in world.tasks if task is not third)
    hear(world, NO_ROOM, NO_ROOM)
    assert world.client.main.connection is not None
    assert world.client.main.connection.asked
    for task in (first, second):
        item = {"taskType": "imageInference", "taskUUID": task.wire_uuid, "status": "processing"}
        hear(world, encode_answer([item]) if task is first else NOT_FOUND)
    go_on(world, 0.8)
    assert [first.stage, second.stage, third.stage] == [Stage.ACCEPTED, Stage.QUEUED, Stage.QUEUED]
    assert world.client.counters.refused == 2


def test_what_was_refused_goes_again_when_the_window_ends() -> None:
    """The error may be of a task that was given up."""
    world = overloaded(running=0, refused=1, gave_up=True)
    (_, refused) = world.tasks
    hear(world, NO_ROOM)
    began = world.now
    while refused.writes == 1:
        world.settle_down(finish=False)
        world.tick(0.01)
    assert 2.0 <= world.now - began < 2.2


def test_what_was_refused_goes_again_while_owners_of_later_refusals_are_looked_for() -> None:
    world = overloaded(running=0, refused=1, spare=1, gave_up=True)
    (_, first) = world.tasks
    hear(world, NO_ROOM)
    go_on(world, 1.5)
    later = world.submit()
    lose(world)
    world.tick(0.01)
    hear(world, NO_ROOM)
    go_on(world, 1.0)
    assert (first.writes, later.writes) == (2, 1)
    world.heal()
    assert [outcome(world, task) for task in (first, later)] == ["a result"] * 2


def test_refusals_find_their_owners_among_tasks_that_are_asked_for_already() -> None:
    world = overloaded(running=0, refused=3)
    hear(world, b"what is it?")  # so they are asked for
    lose(world)
    hear(world, *[NO_ROOM] * 3)
    go_on(world, 5.0)
    assert world.client.counters.resent == 3
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}


def test_what_is_sent_again_waits_for_room() -> None:
    world = overloaded(running=0, refused=6)
    hear(world, NO_ROOM)
    world.tick(0.6)  # all are asked for, so that the other refusals may answer questions
    lose(world)
    hear(world, *[NO_ROOM] * 5)
    at_once = 0
    while world.client.tasks:
        at_once = max(at_once, sum(task.stage is Stage.SENT for task in world.tasks))
        assert at_once <= world.client.limit
        while world.wire is not None and world.wire.up:
            world.carry_up()
        while world.wire is not None and world.wire.down:
            world.carry_down()
        if world.jobs and world.rng.random() < 0.1:
            world.finish()
        world.tick(0.01)
    assert world.client.counters.resent == 6
    assert {outcome(world, task) for task in world.tasks} == {"a result"}


def test_a_running_task_is_not_sent_again_for_a_refusal_of_nobodys() -> None:
    world = overloaded(running=2, refused=0, conflicts="never")
    hear(world, NO_ROOM)
    world.finish(0)
    world.settle_down(finish=False)
    world.tick(0.5)  # the other is all that is left
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert [task.writes for task in world.tasks] == [1, 1]


@pytest.mark.parametrize("on_doubt", ["resend", "fail"])
def test_a_running_task_is_not_run_twice_for_the_refusal_of_one_that_was_given_up(
    on_doubt: Any,
) -> None:
    """The service does not find what it runs, and the refusal has come before the other gave up."""
    rules: Any = {"known_tasks": "async", "details": "nothing", "conflicts": "never"}
    world = overloaded(running=1, refused=1, on_doubt=on_doubt, **rules)
    running, refused = world.tasks
    hear(world, NO_ROOM)
    world.cancel(refused)
    world.tick(5.0)
    world.settle_down(finish=False)
    world.tick(0.5)
    world.settle_down(finish=False)
    assert running.writes == 1
    world.heal()
    assert world.runs_of_image[f"https://images.test/{number_of(running)}.jpg"] == 1


def test_an_error_that_came_before_a_task_was_sent_again_is_not_its_own() -> None:
    world = World(errors_name_task=False)
    world.connect()
    world.settle_down()
    bad = world.submit(image=NO_IMAGE)
    other = world.submit()
    assert world.wire is not None
    world.wire.up.clear()
    hear(world, STRAY)
    while bad.writes < 2:
        world.settle_down(finish=False)
        world.tick(0.1)
    world.heal()
    assert [outcome(world, task) for task in (bad, other)] == ["invalidImage", "a result"]


def test_a_task_that_the_service_knows_is_not_taken_for_refused() -> None:
    world = overloaded(running=0, refused=0, spare=1, visible_after=30.0)
    task = world.submit(delivery="async")
    world.settle_down(finish=False)
    go_on(world, 1.0)  # it is acknowledged, and not found
    hear(world, NO_ROOM)
    go_on(world, 3.0)
    assert task.writes == 1
    world.heal()
    assert outcome(world, task) == "a result"


def conflict_after_refusal(answer: bytes) -> tuple[World, NumberedTask]:
    """A task is sent again after a refusal without a name; the service knows its taskUUID."""
    world = overloaded(running=0, refused=1, **BLIND)
    (task,) = world.tasks
    hear(world, NO_ROOM)
    while task.writes < 2:
        world.settle_down(finish=False)
        world.tick(0.1)
    lose(world)
    hear(world, encode_answer(errors=[{"code": "conflictTaskUUID", "taskUUID": task.wire_uuid}]))
    assert world.wire is not None
    (question,) = world.wire.up
    assert b"getResponse" in question
    lose(world)
    hear(world, answer.replace(b"THE_UUID", task.wire_uuid.encode()))
    return world, task


def test_a_conflict_after_a_refusal_of_nobodys_is_believed() -> None:
    processing = {"taskType": "imageUpscale", "taskUUID": "THE_UUID", "status": "processing"}
    world, task = conflict_after_refusal(encode_answer([processing]))
    go_on(world, 30.0)
    assert task.former_uuids == ()


def test_a_taskuuid_that_the_service_refused_and_remembers_is_replaced() -> None:
    world, task = conflict_after_refusal(NOT_FOUND)
    go_on(world, 3.0)
    assert len(task.former_uuids) == 1
    world.heal()
    assert outcome(world, task) == "a result"


def test_a_taskuuid_is_replaced_once_the_details_hold_the_refusal() -> None:
    world, task = conflict_after_refusal(NOT_FOUND)
    refusal = {"errors": [{"code": "queueFull", "message": "No room."}]}
    details = {"taskType": "getTaskDetails", "taskUUID": task.wire_uuid, "response": refusal}
    lose(world)
    hear(world, encode_answer([details]))
    assert len(task.former_uuids) == 1
    world.heal()
    assert outcome(world, task) == "a result"


def test_a_taskuuid_is_replaced_also_if_the_conflict_comes_twice() -> None:
    world, task = conflict_after_refusal(NOT_FOUND)
    hear(world, encode_answer(errors=[{"code": "conflictTaskUUID", "taskUUID": task.wire_uuid}]))
    go_on(world, 4.0)
    assert len(task.former_uuids) == 1


def test_a_question_about_a_taskuuid_that_is_replaced_stays_open_no_longer() -> None:
    limit = replace(SETTINGS, max_in_flight=2, adaptive=False)
    world = World(client_settings=limit, errors_name_task=False)
    world.connect()
    world.settle_down()
    other, refused = world.submit(), world.submit()
    busy, conflict = ({"code": code, "message": ""} for code in ("queueFull", "conflictTaskUUID"))
    hear(world, encode_answer(errors=[busy | {"taskUUID": refused.wire_uuid}]))
    while refused.writes < 2:
        world.tick(0.1)
    refused.suspicions = 1  # it was sent again alone, and this conflict is the second one
    lose(world)
    hear(world, encode_answer(errors=[conflict]))
    not_found = {"code": "taskNotFound", "message": "", "taskUUID": refused.wire_uuid}
    link = world.client.main.connection
    assert link is not None
    while not (link.inquiry and link.inquiry.absent and refused.wire_uuid in link.asked):
        if refused.wire_uuid in link.asked:
            hear(world, encode_answer(errors=[not_found]))
        lose(world)
        world.tick(0.01)
    hear(world, encode_answer([{"taskUUID": other.wire_uuid, "imageUUID": "an image"}]))
    assert len(refused.former_uuids) == 1
    assert not link.asked


def test_a_task_that_is_absent_is_not_held_to_be_known_by_a_conflict() -> None:
    world = overloaded(running=1, refused=1)
    *_, absent = world.tasks
    hear(world, encode_answer(errors=[{"code": "conflictTaskUUID", "message": "Known."}]))
    world.finish()
    go_on(world, 2.5)
    assert absent.writes == 2
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}


def test_a_task_that_was_sent_twice_may_have_two_errors() -> None:
    world = overloaded(running=0, refused=1, spare=1, **BLIND)
    (refused,) = world.tasks
    hear(world, b"what is it?")  # so it is asked for, and not found
    while refused.writes < 2:
        assert world.wire is not None
        while world.wire.up:
            world.carry_up()
        while world.wire.down:
            world.carry_down()
        world.tick(0.1)
    lose(world)
    world.submit()
    world.settle_down(finish=False)
    world.tick(0.1)
    hear(world, NO_ROOM, NO_ROOM)
    go_on(world, 1.0)
    assert world.client.counters.refused == 0


def test_many_refusals_are_not_counted_again_with_each_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    may_be_answer = ConnectionState.may_be_answer

    def counted(link: ConnectionState, error: UnattributedError) -> bool:
        nonlocal looks
        looks += 1
        return may_be_answer(link, error)

    monkeypatch.setattr(ConnectionState, "may_be_answer", counted)
    count = 300
    limit = replace(SETTINGS, max_in_flight=count, adaptive=False)
    world = World(client_settings=limit, errors_name_task=False)
    world.connect()
    world.settle_down()
    for _ in range(count):
        world.submit()
    lose(world)
    world.tasks[-1].writes = 2  # so it may have two of the errors
    world.tick(0.01)
    for _ in range(count):
        world.client.main.receive(NO_ROOM, world.now)
    world.settle_down(finish=False)
    world.tick(0.06)
    answers = 0
    assert world.wire is not None
    for _ in range(10):
        world.tick(0.1)
        while world.wire.up:
            for question in decode_tasks(world.wire.up.popleft()):
                answers += 1
                error = {"code": "taskNotFound", "message": "", "taskUUID": question["taskUUID"]}
                world.client.main.receive(encode_answer(errors=[error]), world.now)
            world.pump()
    assert answers > 5 * count
    assert looks < 50 * count


def test_an_error_may_be_of_a_task_of_an_earlier_connection() -> None:
    world = overloaded(running=1, refused=0, spare=1, on_doubt="fail", **BLIND)
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.tick(0.0)
    world.connect()
    world.settle_down(finish=False)
    world.tick(0.3)
    running = world.submit()
    world.settle_down(finish=False)
    world.tick(0.1)
    hear(world, NO_ROOM)
    world.finish(0)
    go_on(world, 1.5)
    assert running.writes == 1
    world.heal()
    assert set(world.runs_of_image.values()) == {1}


def test_tasks_of_an_earlier_connection_are_no_cause_for_doubt_once_they_are_settled() -> None:
    world = overloaded(running=1, refused=0, spare=1)
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.heal()
    refused = world.submit()
    lose(world)
    world.tick(0.1)
    hear(world, NO_ROOM)
    go_on(world, 0.2)
    assert world.client.counters.refused == 1
    world.heal()
    assert outcome(world, refused) == "a result"
