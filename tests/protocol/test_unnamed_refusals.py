"""Test that refusals for lack of room that name no task cost little: neither time nor questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runware_ws.protocol.tasks import Stage
from runware_ws.protocol.wire import encode_answer
from tests.protocol.loaded import LoadedWorld
from tests.protocol.test_unnamed_errors import NO_IMAGE, STRAY, outcome
from tests.protocol.world import SETTINGS, World, number_of

NO_ROOM = encode_answer(errors=[{"code": "queueFull", "message": "No room."}])
SERVICES = [
    pytest.param({}, id="documented"),
    pytest.param({"unknown_task": "empty"}, id="empty answers"),
    pytest.param({"refuses_questions": True}, id="questions refused"),
    pytest.param({"on_doubt": "fail", "conflicts": "never"}, id="never twice"),
]


@pytest.mark.parametrize("rules", SERVICES)
@pytest.mark.parametrize("delivery", ["sync", "async"])
@pytest.mark.parametrize(("room", "images"), [(2, 100), (8, 300), (60, 1000)])
def test_all_is_delivered_as_fast_and_with_as_few_refusals_as_if_they_had_names(
    room: int, images: int, delivery: str, rules: dict[str, Any]
) -> None:
    latency = 0.3
    world = LoadedWorld(room, latency, errors_name_task=False, **rules)
    for _ in range(images):
        world.submit(delivery=delivery)
    seconds = world.run()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert set(world.runs_of_image.values()) == {1}
    if delivery == "sync" or "refuses_questions" not in rules:  # else no result is to be had
        assert images * latency / room / seconds >= 0.7
    assert world.refused / images <= (0.25 if room == 2 else 0.1)


def overloaded(
    running: int, refused: int, waiting: int = 0, spare: int = 0, **settings: Any
) -> World:
    """A service that runs some tasks and has refused others, which it has not said yet."""
    limit = replace(SETTINGS, max_in_flight=running + refused + spare)
    world = World(client_settings=limit, errors_name_task=False, **settings)
    world.connect()
    world.settle_down()
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


def questions_of(world: World) -> int:
    return sum("get" in one.task["taskType"] for one in world.service.history.requests)


def test_those_that_are_left_when_the_others_have_their_results_go_again_after_one_round() -> None:
    world = overloaded(running=5, refused=3)
    began = world.now
    hear(world, *[NO_ROOM] * 3)
    assert questions_of(world) == 0
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert world.client.counters.refused == 3
    assert questions_of(world) == 2 * 3
    assert world.now - began < 1.0


def test_tasks_that_run_for_long_are_ruled_out_by_a_question() -> None:
    world = overloaded(running=5, refused=3)
    hear(world, *[NO_ROOM] * 3)
    world.tick(0.9)
    assert questions_of(world) == 0
    for _ in range(10):
        world.settle_down(finish=False)
        world.tick(0.05)
    stages = [task.stage for task in world.tasks]
    assert stages == [Stage.ACCEPTED] * 5 + [Stage.QUEUED] * 3
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert world.client.counters.refused == 3


def test_a_question_that_is_refused_for_lack_of_room_does_not_lower_the_limit() -> None:
    world = overloaded(running=14, refused=2, waiting=4)
    hear(world, NO_ROOM, NO_ROOM)
    world.tick(1.1)
    assert world.wire is not None
    asked = sum(frame.count(b"getTaskDetails") for frame in world.wire.up)
    assert asked == 16
    world.wire.up.clear()
    hear(world, *[NO_ROOM] * asked)  # in place of an answer
    world.tick(1.0)
    assert world.client.limit == 14
    world.heal()
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


def test_errors_of_tasks_that_come_while_questions_are_open_are_not_their_answers() -> None:
    world = overloaded(running=1, refused=2)
    hear(world, NO_ROOM, NO_ROOM)
    late = world.submit()
    world.finish()
    assert world.wire is not None
    world.carry_down()
    world.tick(0.05)
    assert sum(b"getTaskDetails" in frame for frame in world.wire.up) == 2
    assert late.writes == 1
    questions = [frame for frame in world.wire.up if b"upscale" not in frame]
    world.wire.up.clear()
    world.wire.up.extend(questions)
    hear(world, NO_ROOM)
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
    assert world.client.counters.refused == 3
    assert world.client.counters.resent == 0


def test_what_was_refused_is_not_told_the_error_of_nobody() -> None:
    world = overloaded(running=1, refused=1)
    stray = encode_answer(errors=[{"code": "novelty", "message": "Nobody's."}])
    hear(world, stray, NO_ROOM)
    world.heal()
    assert [outcome(world, task) for task in world.tasks] == ["a result"] * 2


def test_refusals_are_forgotten_with_their_connection_also_those_that_are_withheld() -> None:
    world = overloaded(running=0, refused=1, waiting=2)
    hear(world, NO_ROOM)
    assert world.wire is not None
    assert b"getTaskDetails" in world.wire.up[0]
    hear(world, NO_ROOM, NO_ROOM)
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.heal()
    for _ in range(3):
        world.submit()
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}


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


# A service that does not find what it runs, and does not refuse to run it again.
BLIND: dict[str, Any] = {"known_tasks": "async", "details": "nothing", "conflicts": "never"}


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


def test_an_error_may_turn_out_to_be_nobodys_while_its_owner_is_asked_for() -> None:
    world = overloaded(running=0, refused=1)
    (refused,) = world.tasks
    hear(world, encode_answer(errors=[{"code": "novelty", "message": "Nobody's."}]))
    assert refused.asked is not None
    hear(world, NO_ROOM)
    world.heal()
    assert outcome(world, refused) == "a result"


def test_an_error_that_came_when_nothing_was_in_flight_stands_in_the_way_of_no_other() -> None:
    world = overloaded(running=0, refused=0, spare=1)
    hear(world, STRAY)
    refused = world.submit()
    lose(world)
    world.tick(0.1)
    began = world.now
    hear(world, NO_ROOM)
    world.heal()
    assert (outcome(world, refused), world.client.counters.refused) == ("a result", 1)
    assert world.now - began < 1.0


def test_a_refusal_may_be_the_late_answer_to_a_question() -> None:
    world = overloaded(running=1, refused=0, on_doubt="fail", **BLIND)
    (running,) = world.tasks
    hear(world, b"what is it?")  # so it is asked for
    for _ in range(5):
        lose(world)
        world.tick(1.0)
        hear(world, b'{"data":[{"taskType":"ping","pong":true}]}')
    world.settle_down(finish=False)
    assert running.asked is None
    hear(world, NO_ROOM)
    go_on(world, 1.0)
    assert (running.writes, world.client.counters.refused) == (1, 0)
    world.heal()
    assert world.runs_of_image["https://images.test/0.jpg"] == 1


def test_a_question_whose_late_answer_has_come_may_not_be_answered_by_an_error() -> None:
    world = overloaded(running=1, refused=0)
    hear(world, b"what is it?")
    world.finish()
    world.carry_down()  # its result comes before the answer to the question
    world.settle_down()
    refused = world.submit()
    lose(world)
    world.tick(0.1)
    began = world.now
    hear(world, NO_ROOM)
    world.heal()
    assert (outcome(world, refused), world.client.counters.refused) == ("a result", 1)
    assert world.now - began < 1.0


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


def test_with_a_connection_all_its_errors_are_forgotten() -> None:
    world = overloaded(running=0, refused=1, spare=1)
    hear(world, NO_ROOM)
    hear(world, NO_ROOM, NO_ROOM)  # more than there are questions
    link = world.client.main.link
    assert link is not None
    assert link.withheld
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    assert (link.withheld, link.unattributed, link.inquiry) == ([], [], None)
