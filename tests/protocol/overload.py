"""Play a service without room for a moment, step by step; see also `LoadedWorld`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runware_ws.protocol.wire import encode_answer
from tests.protocol.world import SETTINGS, World

NOT_FOUND = encode_answer(errors=[{"code": "taskNotFound", "message": "Not found."}])
NO_ROOM = encode_answer(errors=[{"code": "queueFull", "message": "No room."}])
# A service that does not find what it runs, and does not refuse to run it again.
BLIND: dict[str, Any] = {"known_tasks": "async", "details": "nothing", "conflicts": "never"}


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
