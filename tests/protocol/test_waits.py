"""Test that an error about a wait that ended neither fails a task that goes on, nor repeats it."""

from __future__ import annotations

import pytest

from runware_ws.errors import TaskError
from runware_ws.protocol.tasks import Task
from tests.protocol.world import World, number_of


@pytest.fixture
def world() -> World:
    """A world in which the client is ready to send."""
    world = World()
    world.connect()
    world.settle_down()
    return world


def is_done_once(world: World, task: Task) -> bool:
    """Return whether the task has its result, of the one time that its image was upscaled."""
    world.heal()
    (outcome,) = world.settled[number_of(task)]
    return isinstance(outcome, dict) and set(world.runs_of_image.values()) == {1}


def test_one_that_is_replayed(world: World) -> None:
    task = world.submit()
    world.carry_up()
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.tick(119.0)
    world.connect()
    world.settle_down(finish=False)
    world.cut(server_knows=True, frames_count_as_undelivered=False)
    world.tick(2.0)  # the server's wait ends, for nobody to hear
    assert is_done_once(world, task)


def test_one_that_comes_just_before_an_answer(world: World) -> None:
    task = world.submit()
    world.settle_down(finish=False)
    for _ in range(6):  # other answers come, and this is a live connection
        world.tick(19.0)
        world.submit(image="no image")
        world.settle_down(finish=False)
    assert world.now < 1120.0
    world.submit(image="no image")
    world.tick(1120.0 - world.now)
    assert is_done_once(world, task)


@pytest.mark.parametrize("seconds", [109.0, 110.5, 120.0, 121.0])
def test_one_that_comes_twice(world: World, seconds: float) -> None:
    task = world.submit()
    world.settle_down(finish=False)
    while world.now < 1000.0 + seconds:
        world.tick(min(19.0, 1000.0 + seconds - world.now))
        world.settle_down(finish=False)
    error = b'{"errors":[{"code":"timeout","message":"","taskUUID":"%s"}]}' % task.uuid.encode()
    for _ in range(2):
        world.client.main.receive(error, world.now)
    world.pump()
    for _ in range(2):
        world.client.main.receive(error, world.now)
    assert is_done_once(world, task)


@pytest.mark.parametrize("delivery", ["sync", "async"])
def test_a_task_that_has_failed_of_it_is_tried_again(world: World, delivery: str) -> None:
    task = world.submit(delivery=delivery)
    world.settle_down(finish=False)
    world.finish(0, "timeoutProvider")
    world.heal()
    (outcome,) = world.settled[number_of(task)]
    assert not isinstance(outcome, TaskError)
    assert task.attempts == 2
