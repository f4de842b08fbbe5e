"""Test conflicts after refusals that named no task: the service may be running the task, or not."""

from __future__ import annotations

from dataclasses import replace

from runware_ws.protocol.wire import encode_answer
from tests.protocol.overload import BLIND, NO_ROOM, NOT_FOUND, go_on, hear, lose, overloaded
from tests.protocol.test_unnamed_errors import outcome
from tests.protocol.world import SETTINGS, NumberedTask, World


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
    connection = world.client.main.connection
    assert connection is not None
    while not (
        connection.inquiry and connection.inquiry.absent and refused.wire_uuid in connection.asked
    ):
        if refused.wire_uuid in connection.asked:
            hear(world, encode_answer(errors=[not_found]))
        lose(world)
        world.tick(0.01)
    hear(world, encode_answer([{"taskUUID": other.wire_uuid, "imageUUID": "an image"}]))
    assert len(refused.former_uuids) == 1
    assert not connection.asked


def test_a_task_that_is_absent_is_not_held_to_be_known_by_a_conflict() -> None:
    world = overloaded(running=1, refused=1)
    *_, absent = world.tasks
    hear(world, encode_answer(errors=[{"code": "conflictTaskUUID", "message": "Known."}]))
    world.finish()
    go_on(world, 2.5)
    assert absent.writes == 2
    world.heal()
    assert {outcome(world, task) for task in world.tasks} == {"a result"}
