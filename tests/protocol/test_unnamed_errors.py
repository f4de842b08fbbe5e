"""Test that errors that name no task find their owner, whatever else goes wrong just then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runware_ws.errors import TaskError
from runware_ws.protocol.tasks import Stage, Task
from runware_ws.protocol.wire import encode_answer
from tests.protocol.lasting import LastingWorld
from tests.protocol.world import SETTINGS, Outcome, World, number_of

NO_IMAGE = "neither a link nor an image"
STRAY = encode_answer(errors=[{"code": "internalServerError", "message": "Nobody's."}])


def step(world: World) -> None:
    """One frame arrives, at the server if there is one for it."""
    if world.wire is not None and world.wire.up:
        world.carry_up()
    elif world.wire is not None and world.wire.down:
        world.carry_down()


def outcome(world: World, task: Task) -> str:
    """The code of a task's error, or "a result"."""
    (settled,) = world.settled[number_of(task)]
    return code_of(settled)


def code_of(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, TaskError) else "a result"


@pytest.mark.parametrize("unknown_task", ["error", "empty"])
@pytest.mark.parametrize("failures", [1, 2])
@pytest.mark.parametrize("moment", range(5, 18))
def test_what_fails_while_the_owner_of_an_error_is_looked_for_harms_nobody_else(
    moment: int, failures: int, unknown_task: str
) -> None:
    world = World(errors_name_task=False, unknown_task=unknown_task)
    world.connect()
    world.settle_down()
    bad = world.submit(image=NO_IMAGE)
    running = [world.submit() for _ in range(4)]
    for _ in range(moment):
        step(world)
    for _ in range(failures):
        world.finish(1, "inferenceError")
    world.heal()
    assert outcome(world, bad) == "invalidImage"
    codes = [outcome(world, task) for task in running]
    assert codes == ["a result", *["inferenceError"] * failures, *["a result"] * (3 - failures)]


@pytest.mark.parametrize("away", [0.0, 300.0])
def test_what_is_known_to_have_arrived_is_found_again_after_a_cut(away: float) -> None:
    world = World(errors_name_task=False)
    tasks = [world.submit() for _ in range(2)]
    world.settle_down(finish=False)
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    for _ in tasks:
        world.finish(0, "inferenceError")
    world.service.expire_session(world.client.main.reconnector.session_uuid or "")
    while not all(task.asks for task in tasks):
        if world.wants_connection:
            world.connect()
        world.tick(0.1)
        step(world)
    world.cut(server_knows=True, frames_count_as_undelivered=False)  # with the questions on it
    world.tick(away)
    world.heal()
    assert [outcome(world, task) for task in tasks] == ["inferenceError"] * 2


def test_a_line_that_stands_still_has_no_heap_of_answers_without_a_name() -> None:
    """One of them too many is taken for another task's, which is then sent again for nothing."""
    world = World(errors_name_task=False, unknown_task="empty")
    world.connect()
    world.settle_down()
    refused = world.submit(image=NO_IMAGE)
    running = [world.submit() for _ in range(8)]  # more than are asked for in one frame
    for _ in range(8):
        step(world)
    world.tick(4.0)
    world.heal()
    assert outcome(world, refused) == "invalidImage"
    assert [task.writes for task in running] == [1] * 8


def test_a_conflict_without_a_name_is_its_owners(tmp_path: Path) -> None:
    world = LastingWorld(tmp_path / "jobs.db", errors_name_task=False)
    known = [world.submit() for _ in range(2)]
    world.settle_down(finish=False)
    refused = [world.submit(image=NO_IMAGE) for _ in range(3)]
    world.write(3)
    world.kill(written=0, server_knows=True, frames_count_as_undelivered=False)
    for _ in known:
        world.finish(0, "inferenceError")  # of which the next process is told with no name
    world.heal()
    codes = [code_of(world.heard[number_of(task)][-1]) for task in (*known, *refused)]
    assert codes == ["inferenceError"] * 2 + ["invalidImage"] * 3
    world.journal.close()


def test_a_conflict_without_a_name_that_was_anothers_is_not_believed_for_long() -> None:
    """One whose result was late has conflicted with itself, while another was alone on the line."""
    world = World(errors_name_task=False)
    world.connect()
    world.settle_down()
    world.submit(image=NO_IMAGE)
    late = world.submit()
    world.settle_down(finish=False)
    world.tick(0.3)
    refused = world.submit(image=NO_IMAGE)
    world.finish()  # the result of `late` comes unreadable
    world.garble()
    world.submit(image=NO_IMAGE)
    world.tick(6.0)  # `late` is sent once more
    began = world.now
    world.heal()
    assert (outcome(world, late), outcome(world, refused)) == ("a result", "invalidImage")
    assert world.now - began < 30.0


def test_the_errors_of_one_that_was_given_up_are_not_the_next_ones() -> None:
    """It was sent alone, and its answers are on their way."""
    world = World(errors_name_task=False)
    world.connect()
    failed = [world.submit() for _ in range(2)]
    world.settle_down(finish=False)
    refused, *others = [world.submit(image=NO_IMAGE), world.submit(), world.submit()]
    world.cut(server_knows=True, frames_count_as_undelivered=False)  # before they arrived
    for _ in failed:
        world.finish(0, "inferenceError")
    world.service.expire_session(world.client.main.reconnector.session_uuid or "")
    while refused.writes < 2:
        if world.wants_connection:
            world.connect()
        world.tick(0.1)
        step(world)
    world.tick(0.3)  # and it is asked for
    world.cancel(refused)
    world.heal()
    assert [outcome(world, one) for one in others] == ["a result"] * 2


def test_a_question_that_came_to_nothing_holds_up_no_other() -> None:
    world = World(errors_name_task=False)
    world.connect()
    for _ in range(2):
        world.submit()
        world.settle_down(finish=False)
        world.finish(len(world.jobs) - 1, "serviceUnavailable")
        world.settle_down(finish=False)
        world.tick(1.0)
    world.submit()
    world.settle_down(finish=False)
    world.tick(2.0)
    world.finish(0)
    world.settle_down(finish=False)
    world.tick(12.0)  # nothing moves on the line, and one that was sent alone has had its time
    world.heal()
    assert [outcome(world, task) for task in world.tasks] == ["a result"] * 3


def test_what_seems_refused_for_a_cause_that_may_pass_is_not_run_under_two_names() -> None:
    """The error was nobody's, and the task is late."""
    world = World(errors_name_task=False)
    world.connect()
    others = [world.submit() for _ in range(2)]
    world.settle_down(finish=False)
    late = world.submit()
    assert world.wire is not None
    world.wire.up.clear()
    world.client.main.receive(STRAY, world.now)
    world.pump()
    world.heal()
    assert (late.writes, late.wire_uuid) == (2, late.uuid)
    assert [outcome(world, task) for task in (late, *others)] == ["a result"] * 3
    assert set(world.runs_of_image.values()) == {1}


def test_refusals_for_lack_of_room_in_different_words_are_told_apart_no_further() -> None:
    """Each of the tasks was refused and is sent again, whichever word was meant for it."""
    world = World(errors_name_task=False)
    world.connect()
    world.settle_down()
    tasks = [world.submit() for _ in range(4)]
    assert world.wire is not None
    world.wire.up.clear()
    codes = ["queueFull", "serviceUnavailable", "noAvailableServer", "rateLimitExceeded"]
    refusals = encode_answer(errors=[{"code": code, "message": "No room."} for code in codes])
    world.client.main.receive(refusals, world.now)
    world.pump()
    world.heal()
    assert [outcome(world, task) for task in tasks] == ["a result"] * 4
    assert world.client.counters.refused == 4
    assert not any(task.alone for task in tasks)


def overloaded(running: int, refused: int, waiting: int = 0) -> World:
    """A service that runs some tasks and has refused others, which it has not said yet."""
    settings = replace(SETTINGS, max_in_flight=running + refused)
    world = World(client_settings=settings)
    world.connect()
    world.settle_down()
    for _ in range(running):
        world.submit()
    world.settle_down(finish=False)
    for _ in range(refused + waiting):
        world.submit()
    assert world.wire is not None
    world.wire.up.clear()
    return world


def refuse(world: World, count: int) -> None:
    """So many refusals come, in a frame each."""
    no_room = encode_answer(errors=[{"code": "queueFull", "message": "No room."}])
    for _ in range(count):
        world.client.main.receive(no_room, world.now)
        world.pump()
        world.tick(0.001)


def test_those_refused_for_lack_of_room_go_again_as_soon_as_they_are_not_found() -> None:
    world = overloaded(running=5, refused=3)
    began = world.now
    refuse(world, 3)
    world.settle_down(finish=False)
    assert [task.stage for task in world.tasks] == [Stage.ACCEPTED] * 5 + [Stage.QUEUED] * 3
    world.heal()
    assert [outcome(world, task) for task in world.tasks] == ["a result"] * 8
    assert world.client.counters.refused == 3
    assert world.now - began < 1.0


def test_refusals_that_come_while_tasks_are_asked_for_begin_no_new_questions() -> None:
    world = overloaded(running=10, refused=6)
    refuse(world, 6)
    world.heal()
    questions = [one for one in world.service.history.requests if "get" in one.task["taskType"]]
    assert [outcome(world, task) for task in world.tasks] == ["a result"] * 16
    assert len(questions) <= 2 * 16


def test_a_question_that_is_refused_for_lack_of_room_does_not_lower_the_limit() -> None:
    world = overloaded(running=14, refused=2, waiting=4)
    refuse(world, 2)
    assert world.wire is not None
    asked = sum(frame.count(b"getResponse") for frame in world.wire.up)
    assert asked == 16
    world.wire.up.clear()
    refuse(world, asked)  # instead of an answer
    world.tick(1.0)
    assert world.client.limit == 14
    world.heal()
    assert [outcome(world, task) for task in world.tasks] == ["a result"] * 20
    assert world.client.counters.refused == 2
