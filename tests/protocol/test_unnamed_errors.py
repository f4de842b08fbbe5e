"""Test that errors that name no task find their owner, whatever else goes wrong just then."""

from __future__ import annotations

from pathlib import Path

import pytest

from runware_ws.errors import TaskError
from runware_ws.protocol.tasks import Task
from runware_ws.protocol.wire import encode_answer
from tests.protocol.lasting import LastingWorld
from tests.protocol.world import Outcome, World, number_of

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
