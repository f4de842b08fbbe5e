"""Test that nothing a service says at the wrong time, or leaves unsaid, stops a task for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runware_ws.protocol.effects import Settle
from runware_ws.protocol.tasks import Stage, Task
from runware_ws.protocol.wire import encode_answer
from tests.client.test_moments import connected, hear, submit, write_all
from tests.protocol.lasting import LastingWorld
from tests.protocol.test_unnamed_errors import NO_IMAGE, outcome
from tests.protocol.world import World, number_of
from tests.support.answers import error


def running(**settings: Any) -> tuple[World, Task]:
    """A task that the service runs, and that is asked for now and then."""
    world = World(**settings)
    world.connect()
    world.settle_down()
    task = world.submit(delivery="async", timeout=600.0)
    world.settle_down(finish=False)
    return world, task


def say(world: World, *errors: dict[str, str]) -> None:
    """The service sends a frame that it was not asked for."""
    world.client.main.receive(encode_answer(errors=errors), world.now)
    world.pump()


def test_an_answer_to_an_earlier_connections_question_may_come_before_the_greeting() -> None:
    world, task = running()
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.tick(0.0)
    world.connect()
    trouble = {"code": "serviceUnavailable", "message": "Busy.", "taskType": "getResponse"}
    say(world, {**trouble, "taskUUID": task.uuid})
    world.tick(0.3)
    world.heal()
    assert outcome(world, task) == "a result"


@pytest.mark.parametrize("code", ["conflictTaskUUID", "timeout", "serviceUnavailable"])
def test_an_error_behind_one_that_ends_the_connection_is_passed_over(code: str) -> None:
    world, task = running()
    while not world.wire or not world.wire.up:
        world.tick(0.1)  # until it is asked for
    world.service.expire_session(world.client.main.reconnector.session_uuid or "")
    behind = {"code": code, "message": "…", "taskUUID": task.uuid}
    say(world, {"code": "unauthorized", "message": "No."}, behind)
    began = world.now
    world.heal()
    assert outcome(world, task) == "a result"
    assert world.now - began < 60.0


@pytest.mark.parametrize("code", ["noAvailableServer", "modelUnavailable", "internalServerError"])
@pytest.mark.parametrize("of_task", [False, True])
def test_trouble_of_nobodys_runs_nothing_twice_that_is_just_asked_for(
    code: str, of_task: bool
) -> None:
    world, task = running(errors_name_task=False)
    while not world.wire or not world.wire.up:
        world.tick(0.1)
    kind = {"taskType": "upscale"} if of_task else {}
    say(world, {"code": code, "message": "Nobody's.", **kind})
    world.heal()
    assert outcome(world, task) == "a result"
    assert set(world.runs_of_image.values()) == {1}


def test_who_was_refused_is_found_also_where_no_question_is_answered() -> None:
    world, given_up = running(errors_name_task=False)
    world.cancel(given_up)  # an error without a name may be of that one, too
    refused = world.submit(image=NO_IMAGE)
    for _ in range(600):
        while world.wire and world.wire.up:
            if b"getResponse" in world.wire.up[0]:
                world.wire.up.popleft()
            else:
                world.carry_up()
        while world.wire and world.wire.down:
            world.carry_down()
        world.tick(0.1)
    assert outcome(world, refused) == "invalidImage"
    assert refused.writes == 2


def test_a_frame_that_is_refused_as_a_whole_is_sent_again_a_task_at_a_time() -> None:
    """One error without a name stands for all tasks of the frame, of which one is to blame."""
    session = connected()
    tasks = submit(session, 3)
    write_all(session, 0)
    hear(session, 0.1, errors=[error("novelty")])
    now = 0.7  # a result might have told more
    session.handle_timer(now)
    frames = write_all(session, now)
    while "taskType" in frames[0][0]:  # until it is a task that was sent before
        asked = [one for frame in frames for one in frame]
        hear(session, now, errors=[error("taskNotFound", one) for one in asked if one["taskUUID"]])
        now += 0.25
        session.handle_timer(now)
        frames = write_all(session, now) or [[{"taskType": "none", "taskUUID": ""}]]
    assert [len(frame) for frame in frames] == [1, 1, 1]
    assert {frame[0]["taskUUID"] for frame in frames} == {task.uuid for task in tasks}
    assert now > 2.0


def test_what_was_refused_is_not_told_the_error_of_a_task_that_has_failed_since() -> None:
    """Both errors came without a name; one of them is then told by name, when it is asked for."""
    session = connected()
    failed, refused = submit(session, 2)
    write_all(session, 0)
    hear(session, 0.1, errors=[error("inferenceError")])
    hear(session, 0.1, errors=[error("novelty")])
    now = 0.1
    while refused.writes < 2:
        now += 0.1
        session.handle_timer(now)
        for one in (one for frame in write_all(session, now) for one in frame):
            if one["taskUUID"] == failed.uuid:
                hear(session, now, errors=[error("inferenceError", {**one, "taskType": "upscale"})])
            elif "taskType" in one:
                hear(session, now, errors=[error("taskNotFound", one)])
        assert refused.stage is not Stage.SETTLED
    assert failed.stage is Stage.SETTLED


def test_tasks_whose_errors_differ_are_told_theirs_one_after_another() -> None:
    """None of the errors names its task, and the service finds none of them."""
    session = connected()
    tasks = submit(session, 3)
    names = [task.uuid for task in tasks]
    codes = dict(zip(names, ("novelty", "invalidImage", "oddity"), strict=True))
    now = sent = 0
    while session.tasks and now < 400:
        now += 1
        session.handle_timer(now)
        for one in [one for frame in write_all(session, now) for one in frame]:
            if "taskType" not in one:
                sent += 1
                hear(session, now, errors=[error(codes[one["taskUUID"]])])
            elif one["taskType"] != "ping":
                hear(session, now, errors=[error("taskNotFound", one)])
    settled = [effect for effect in session.take_effects() if isinstance(effect, Settle)]
    outcomes = {effect.task.uuid: effect.outcome for effect in settled}
    assert {uuid: getattr(one, "code", one) for uuid, one in outcomes.items()} == codes
    assert sent <= 3 * 3


def test_a_task_that_conflicts_twice_is_asked_for_once() -> None:
    session = connected()
    (task,) = submit(session, 1)
    write_all(session, 0)
    for _ in range(2):
        known = error("conflictTaskUUID", {"taskUUID": task.uuid, "taskType": "upscale"})
        hear(session, 0.1, errors=[known])
    (frame,) = write_all(session, 0.1)
    assert [one["taskType"] for one in frame] == ["getResponse"]


def test_a_task_of_an_earlier_process_is_loaded_before_it_is_sent_for_lack_of_room(
    tmp_path: Path,
) -> None:
    rules: Any = {"details": "nothing", "conflicts": "never"}
    world = LastingWorld(tmp_path / "jobs.db", on_doubt="fail", **rules)
    task = world.submit()
    world.settle_down(finish=False)
    world.kill(written=0, server_knows=True, frames_count_as_undelivered=False)
    world.finish(0, "serviceUnavailable")
    world.heal()
    assert isinstance(world.heard[number_of(task)][-1], dict)
    world.journal.close()
