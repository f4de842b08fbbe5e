"""Test that a task fails over a frame that the server finds too large only if it was that frame."""

from __future__ import annotations

from tests.protocol.world import Outcome, World, image_of, number_of


def say_too_large(world: World) -> None:
    """The server has taken no frame with a task, and closes the connection with code 1009."""
    world.hang_up(server_knows=True, frames_count_as_undelivered=False)
    world.client.main.lost("1009", world.now, too_large="sent")
    world.pump()


def carry_questions(world: World) -> None:
    """All frames arrive but those with tasks to be run."""
    assert world.wire is not None
    while world.wire.down or any(b'"upscale"' not in frame for frame in world.wire.up):
        for index, frame in reversed(list(enumerate(world.wire.up))):
            if b'"upscale"' not in frame:
                world.carry_up(index)
        while world.wire.down:
            world.carry_down()


def outcomes(world: World) -> list[Outcome]:
    return [one for task in world.tasks for one in world.settled[number_of(task)]]


def test_a_large_task_that_was_sent_alone_does_not_fail_for_a_larger_frame_of_several() -> None:
    world = World()
    large = world.submit(image=f"{image_of(0)}?{'x' * 100}")
    other = world.submit()
    world.connect()
    carry_questions(world)
    say_too_large(world)  # they shared a frame, and go alone from now on
    small = [world.submit() for _ in range(4)]
    world.tick(1.0)
    world.connect()
    while not (large.writes == other.writes == 2):
        carry_questions(world)
        world.tick(0.1)
    assert world.wire is not None
    assert max(map(len, world.wire.up)) > len(large.payload)
    say_too_large(world)
    assert outcomes(world) == []
    assert all(task.alone for task in small)
    world.heal()
    assert all(isinstance(one, dict) for one in outcomes(world))


def test_a_task_whose_frame_was_the_largest_fails() -> None:
    world = World()
    world.connect()
    world.settle_down()
    world.submit(image=f"{image_of(0)}?{'x' * 1000}")
    small = world.submit()
    say_too_large(world)
    world.heal()
    assert [type(one).__name__ for one in outcomes(world)] == ["ProtocolError", "dict"]
    assert not small.alone


def test_a_frame_that_the_server_has_answered_takes_no_blame() -> None:
    world = World()
    world.connect()
    world.settle_down()
    world.submit(image=f"{image_of(0)}?{'x' * 1000}")
    world.settle_down()
    world.submit(image=f"{image_of(1)}?{'x' * 500}")
    world.submit()
    say_too_large(world)
    world.heal()
    assert [type(one).__name__ for one in outcomes(world)] == ["dict", "ProtocolError", "dict"]
