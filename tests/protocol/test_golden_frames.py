"""Test the frames in tests/data/golden-frames.json: the client reads, the emulator sends them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runware_ws.emulator.service.core import Service
from runware_ws.emulator.service.jobs import Failed, Succeeded
from runware_ws.errors import AuthenticationError, RunwareError, TaskError
from runware_ws.protocol.tasks import Stage, Task
from tests.emulator.bench import Bench
from tests.protocol.world import KEY, World, number_of
from tests.support.rules import service_settings

DATA = Path(__file__).parent.parent / "data"
GOLDEN = json.loads((DATA / "golden-frames.json").read_text(encoding="utf-8"))
TASKS: list[str] = GOLDEN["tasks"]

Case = dict[str, Any]


def cases(member: str) -> list[Any]:
    """Those frames that have this member, by name."""
    having = [case for case in GOLDEN["frames"] if member in case]
    return [pytest.param(case, id=case["name"]) for case in having]


def frame_named(name: str) -> Any:
    """A frame of the client's, with the key that is used here."""
    (case,) = (case for case in GOLDEN["frames"] if case["name"] == name)
    return json.loads(json.dumps(case["client"]).replace('"KEY"', json.dumps(KEY)))


def begun() -> World:
    """A client on its first connection, with nothing answered yet, and the two tasks queued."""
    world = World()
    uuids = iter(TASKS)
    world.new_uuid = lambda: next(uuids)
    for _ in TASKS:
        world.submit()
    world.connect()
    return world


def at_work() -> World:
    """A client that is authenticated and has sent the two tasks."""
    world = begun()
    world.carry_up()
    world.carry_down()
    assert all(task.stage is Stage.SENT for task in world.tasks)
    return world


def sent(world: World) -> Any:
    """The last frame that the client wrote."""
    assert world.wire is not None
    return json.loads(world.wire.up[-1])


def receive(world: World, frame: Any) -> None:
    world.client.main.receive(json.dumps(frame), world.now)
    world.pump()


# What the client sends


def test_the_client_authenticates() -> None:
    assert sent(begun()) == frame_named("authentication")


def test_the_client_resumes_its_session() -> None:
    world = begun()
    frame = frame_named("authentication that resumes")
    session = frame[0]["connectionSessionUUID"]
    receive(
        world,
        {"data": [{"taskType": "authentication", "connectionSessionUUID": session}]},
    )
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.tick(1.0)
    world.connect()
    assert sent(world) == frame


def test_the_client_pings() -> None:
    world = at_work()
    assert world.client.ping()
    world.pump()
    assert sent(world) == frame_named("ping")


def test_the_client_asks_for_what_is_in_doubt_and_then_for_the_details() -> None:
    world = at_work()
    first, second = world.tasks
    world.cancel(second)
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.tick(1.0)
    world.connect()
    world.carry_up()
    world.carry_down()
    world.tick(1.0)
    assert sent(world) == frame_named("question for the response")
    error = {"code": "taskNotFound", "message": "", "taskUUID": first.uuid}
    receive(world, {"errors": [error]})
    assert sent(world) == frame_named("question for the details")
    began = world.now
    while sent(world)[0]["taskType"] != "upscale":
        receive(world, {"errors": [error | {"taskType": sent(world)[0]["taskType"]}]})
        world.tick(0.1)
    assert world.now - began >= 2.0
    assert sent(world)[0]["taskUUID"] == first.uuid
    receive(world, {"errors": [error | {"code": "conflictTaskUUID"}]})
    world.tick(1.0)
    assert sent(world) == frame_named("question for the response")


# What the client makes of what it hears


@pytest.mark.parametrize("case", cases("means"))
def test_a_frame_means_to_the_client_what_it_says(case: Case) -> None:
    means = case["means"]
    world = begun() if {"session", "refused"} & set(means) else at_work()
    pings = world.client.ping()
    world.pump()
    receive(world, case["server"])
    if "refused" in means:
        assert isinstance(world.client.failure, AuthenticationError)
        assert world.client.failure.code == means["refused"]
        return
    if "session" in means:
        assert world.client.main.reconnector.session_uuid == means["session"]
    assert pings == ("session" not in means)
    for task in world.tasks:
        check_task(task, world.settled[number_of(task)], means)


def check_task(task: Task, outcomes: list[Any], means: Case) -> None:
    """The task is as far as the frame says, and no further."""
    if task.uuid in means.get("settles", {}):
        assert outcomes == [means["settles"][task.uuid]]
    elif task.uuid in means.get("fails", {}):
        (error,) = outcomes
        assert isinstance(error, TaskError)
        assert (error.code, error.task_uuid) == (means["fails"][task.uuid], task.uuid)
    else:
        assert not [one for one in outcomes if isinstance(one, RunwareError | dict)]
        accepted = task.uuid in means.get("accepts", [])
        assert (task.stage is Stage.ACCEPTED) == accepted


def test_a_pong_comes_with_its_time() -> None:
    (case,) = (case for case in GOLDEN["frames"] if case["name"] == "pong")
    world = at_work()
    world.client.ping()
    world.pump()
    world.client.main.receive(json.dumps(case["server"]), world.now + 0.25)
    (pong,) = [
        effect.seconds for effect in world.client.take_effects() if hasattr(effect, "seconds")
    ]
    assert pong == 0.25


# What the emulator says


@pytest.mark.parametrize("case", cases("emulator"))
def test_the_emulator_says_the_very_same(case: Case) -> None:
    script = case["emulator"]
    settings = {"image_url": GOLDEN["image_url"], **script.get("settings", {})}
    bench = Bench(**settings)
    bench.service = Service(
        service_settings("KEY", settings), new_uuid=iter(script["uuids"]).__next__
    )
    peer = bench.peer(authenticated=False)
    for frame in script["say"]:
        peer.send(*frame)
    for finish in script.get("finish", []):
        job = bench.jobs.pop(0)
        outcome = Succeeded("QUJD") if finish is True else Failed(*finish)
        bench.service.finished(job, outcome, bench.now)
        bench.perform()
    if question := script.get("ask"):
        peer.send(*question)
    if "webhook" in case:
        assert [json.loads(one.body) for one in bench.webhooks] == [case["webhook"]]
    else:
        assert peer.frames[-1] == case["server"]
