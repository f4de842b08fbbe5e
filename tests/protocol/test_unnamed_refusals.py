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
from tests.protocol.overload import BLIND, NO_ROOM, NOT_FOUND, go_on, hear, lose, overloaded
from tests.protocol.test_unnamed_errors import NO_IMAGE, STRAY, outcome
from tests.protocol.world import SETTINGS, World, number_of

# Rules of the service, seconds that a frame takes, and the least part of the ideal throughput.
SERVICES = [
    pytest.param({}, 0.001, 0.75, id="documented"),
    pytest.param({}, 0.05, 0.75, id="far away"),
    pytest.param({"unknown_task": "empty"}, 0.05, 0.75, id="empty answers"),
    pytest.param({"refuses_questions": True}, 0.001, 0.35, id="questions refused"),
]


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
    go_on(world, 3.0)
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
    is_doubtful = ConnectionState.is_doubtful

    def counted(connection: ConnectionState, error: UnattributedError) -> bool:
        nonlocal looks
        looks += 1
        return is_doubtful(connection, error)

    monkeypatch.setattr(ConnectionState, "is_doubtful", counted)
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
