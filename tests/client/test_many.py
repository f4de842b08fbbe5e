"""Upscale thousands of images, at once and one after the other, in memory that stays flat."""

from __future__ import annotations

import gc
import io
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest

from runware_ws import InputError, RunwareClient, TaskError, UpscaleResult, UpscaleTask
from tests.support.answers import Item, error, result
from tests.support.clients import IMAGE, client_of, served, submitted
from tests.support.scripted import Connection, Gate, Script, ScriptedServer, replying, silent

pytestmark = pytest.mark.anyio


class BrokenError(Exception):
    """The error that a source raises."""


def urls(count: int) -> Iterator[str]:
    return (f"https://example.com/{number}.jpg" for number in range(count))


async def later(count: int) -> AsyncIterator[str]:
    for url in urls(count):
        await anyio.lowlevel.checkpoint()
        yield url


SOURCES: dict[str, Callable[[int], Any]] = {
    "a list": lambda count: list(urls(count)),
    "a generator": urls,
    "an async generator": later,
}


def tasks_alive() -> int:
    gc.collect()
    return sum(isinstance(one, UpscaleTask) for one in gc.get_objects())


async def test_two_thousand_tasks_are_under_way_at_once_on_one_connection() -> None:
    async def collects(connection: Connection) -> None:
        await connection.accept()
        tasks = await connection.take(2000)
        for task in reversed(tasks):
            await connection.send(result(task, imageUUID=task["inputs"]["image"]))
        await connection.serve()

    async with served(collects, max_in_flight=2000, adaptive=False) as (server, client):
        images = list(urls(2000))
        tasks = [await client.submit(image) for image in images]
        assert [(await task).image_uuid for task in tasks] == images
        assert len(server.connections) == 1
        assert client.stats().succeeded == 2000


@pytest.mark.long
@pytest.mark.parametrize("ordered", [False, True])
async def test_thousands_of_images_pass_in_flat_memory(ordered: bool) -> None:
    async with served(max_in_flight=100) as (server, client):
        before, peak, done = tasks_alive(), 0, 0
        async with aclosing(many(client, urls(3_000), ordered=ordered)) as outcomes:
            async for outcome in outcomes:
                assert outcome.error is None
                done += 1
                under_way = client.stats()
                assert sum(under_way.tasks.values()) + under_way.waiting <= 100
                if done % 500 == 0:
                    peak = max(peak, tasks_alive() - before)
        assert done == len(set(server.executed)) == 3_000
        assert peak <= 120
        assert tasks_alive() - before <= 1


def many(client: RunwareClient, images: Any, **options: Any) -> Any:
    """As a type that has `aclose`, which the contract does not promise."""
    return client.upscale_many(images, **options)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("kind", SOURCES)
async def test_every_source_gets_one_outcome_whatever_holds_them(kind: str, ordered: bool) -> None:
    async with served() as (_, client):
        sources = SOURCES[kind](300)
        got = [outcome async for outcome in client.upscale_many(sources, ordered=ordered)]
        expected = list(urls(300))
        seen = [outcome.source for outcome in got]
        assert (seen if ordered else sorted(seen)) == (expected if ordered else sorted(expected))
        assert all(isinstance(outcome.result, UpscaleResult) for outcome in got)


@pytest.mark.parametrize("kind", SOURCES)
async def test_nothing_gives_nothing(kind: str) -> None:
    async with served() as (_, client):
        assert [one async for one in client.upscale_many(SOURCES[kind](0))] == []


def backwards(group: int) -> Script:
    async def script(connection: Connection) -> None:
        await connection.accept()
        while True:
            for task in reversed(await connection.take(group)):
                await connection.send(result(task))

    return script


async def test_ordered_outcomes_come_in_the_order_of_the_images() -> None:
    async with served(backwards(10)) as (_, client):
        outcomes = client.upscale_many(urls(50), max_in_flight=10, ordered=True)
        assert [one.source async for one in outcomes] == list(urls(50))


async def test_unordered_outcomes_come_as_they_are_done() -> None:
    async with served(backwards(10)) as (_, client):
        outcomes = client.upscale_many(urls(10), max_in_flight=10)
        assert [one.source async for one in outcomes] == list(urls(10))[::-1]


class BrokenStream:
    """A file of the caller's own kind, with an error of its own kind."""

    def read(self) -> bytes:
        raise BrokenError


@pytest.mark.parametrize("ordered", [False, True])
async def test_an_image_that_fails_is_an_outcome_and_the_rest_goes_on(ordered: bool) -> None:
    def reply(task: Item) -> Item:
        if task["inputs"]["image"].endswith("3.jpg"):
            return {"errors": [error("invalidImage", task)]}
        return {"data": [result(task)]}

    broken = BrokenStream()
    images: list[Any] = [*urls(5), "no image", Path("/missing.jpg"), b"", broken, *urls(5)]
    async with served(replying(reply)) as (_, client):
        got = [one async for one in client.upscale_many(images, ordered=ordered)]
        assert len(got) == len(images)
        failed = {str(one.source): one.error for one in got if one.error is not None}
        assert isinstance(failed.pop("https://example.com/3.jpg"), TaskError)
        assert set(failed) == {"no image", "/missing.jpg", "b''", str(broken)}
        assert all(isinstance(one, InputError) for one in failed.values())
        assert all((one.error is None) != (one.result is None) for one in got)
        if ordered:
            assert [one.source for one in got] == images


async def test_a_million_wrong_images_do_not_pile_up() -> None:
    taken = 0

    def wrong() -> Iterator[str]:
        nonlocal taken
        while taken < 1_000_000:
            taken += 1
            yield "no image"

    async with served() as (_, client):
        async for outcome in client.upscale_many(wrong(), max_in_flight=7):
            assert isinstance(outcome.error, InputError)
            assert taken <= 10
            break


async def breaks_later(count: int) -> AsyncIterator[str]:
    for url in urls(count):
        yield url
    raise BrokenError


def breaks(count: int) -> Iterator[str]:
    yield from urls(count)
    raise BrokenError


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("source", [breaks, breaks_later])
async def test_a_source_that_raises_does_so_after_what_it_gave(source: Any, ordered: bool) -> None:
    async with served() as (_, client):
        seen: list[str] = []

        async def iterate() -> None:
            async for outcome in client.upscale_many(source(30), ordered=ordered):
                seen.append(outcome.source)  # noqa: PERF401  # what came before the error counts

        with pytest.raises(BrokenError):
            await iterate()
        assert sorted(seen) == sorted(urls(30))
        await client.ping()


@pytest.mark.parametrize("ordered", [False, True])
async def test_leaving_early_cancels_what_is_under_way(ordered: bool) -> None:
    """And what waited for room is never sent."""

    async def one_result(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(result(task))
        await connection.take(10_000)

    async with served(one_result, max_in_flight=10) as (server, client):
        async with aclosing(many(client, urls(1000), ordered=ordered)) as outcomes:
            async for outcome in outcomes:
                assert outcome.result is not None
                break
        stats = client.stats()
        assert (sum(stats.tasks.values()), stats.waiting) == (0, 0)
        assert len(server.executed) <= 11
        await anyio.wait_all_tasks_blocked()
        assert sum(client.stats().tasks.values()) == 0


async def test_an_iteration_may_simply_be_left() -> None:
    async with served(max_in_flight=10) as (_, client):
        async for _ in client.upscale_many(later(1000)):
            break
        await anyio.wait_all_tasks_blocked()
        stats = client.stats()
        assert (sum(stats.tasks.values()), stats.waiting) == (0, 0)
        assert stats.submitted < 100


async def test_an_iteration_that_is_cancelled_cancels_what_is_under_way() -> None:
    async with served(silent, max_in_flight=10) as (server, client):
        async with anyio.create_task_group() as group:

            async def iterate() -> None:
                async with aclosing(many(client, urls(100))) as outcomes:
                    async for _ in outcomes:
                        pass

            group.start_soon(iterate)
            await server.until(lambda: len(server.tasks) == 10)
            group.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert sum(client.stats().tasks.values()) == 0
        assert client.stats().waiting == 0


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_slow_consumer_bounds_the_number_taken(ordered: bool) -> None:
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        for url in urls(60):
            taken += 1
            yield url

    async with served() as (server, client):
        seen = 0
        outcomes = client.upscale_many(source(), max_in_flight=5, ordered=ordered)
        async for _ in outcomes:
            seen += 1
            # Everything that may happen does, while the consumer is busy.
            await server.until(lambda: len(server.executed) >= min(60, taken - 1))
            await client.ping()
            assert taken <= seen + 5 + 1
        assert seen == taken == 60


async def test_two_iterations_share_the_limit_of_the_client() -> None:
    gate = Gate()
    most = 0

    async def watches(connection: Connection) -> None:
        nonlocal most
        await connection.accept()
        tasks = await connection.take(10)
        await gate.wait()
        while True:
            most = max(most, len(tasks))
            for task in tasks:
                await connection.send(result(task))
            tasks = await connection.take(1)

    async with served(watches, max_in_flight=10) as (server, client):
        seen: list[str] = []

        async def iterate() -> None:
            async for outcome in client.upscale_many(urls(50)):
                seen.append(outcome.source)  # noqa: PERF401  # shared by two

        async with anyio.create_task_group() as group:
            group.start_soon(iterate)
            group.start_soon(iterate)
            await server.until(lambda: len(server.tasks) == 10)
            gate.open()
        assert sorted(seen) == sorted([*urls(50), *urls(50)])
        assert most == 10


def test_the_example_overwrites_no_original() -> None:
    # An absolute path below a folder is itself: only its name is surely within the folder.
    shown = RunwareClient.upscale_many.__doc__ or ""
    assert 'save(Path("large") / outcome.source.name)' in shown


@pytest.mark.parametrize(
    "images",
    ["text", b"bytes", bytearray(b"a"), Path("photo.jpg"), io.BytesIO(b"a\nb"), uuid4()],
    ids=lambda images: type(images).__name__,
)
async def test_a_single_image_is_not_taken_for_many(images: Any) -> None:
    async with served() as (_, client):
        with pytest.raises(InputError, match="images: is a single image; pass a list"):
            client.upscale_many(images)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *[("max_in_flight", 0), ("max_in_flight", "5"), ("ttl", 5), ("timeout", -1)],
        *[("ordered", "no"), ("images", None)],
    ],
)
async def test_a_wrong_argument_is_refused_before_the_first_image(
    argument: str, value: Any
) -> None:
    async with served() as (_, client):
        with pytest.raises(InputError) as caught:
            client.upscale_many(**{"images": urls(1), argument: value})
        assert caught.value.parameter == argument


async def test_a_settled_task_lets_go_of_its_input() -> None:
    async with served() as (_, client):
        image = bytes(1_000_000)
        references = sys.getrefcount(image)
        tasks = [await client.submit(image) for _ in range(3)]
        for task in tasks:
            await task
        await anyio.to_thread.run_sync(int)  # before anyio 4.9, an idle thread keeps its last input
        assert sys.getrefcount(image) == references
        await client.ping()


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_result_lives_only_as_long_as_somebody_holds_it(ordered: bool) -> None:
    results: list[weakref.ref[UpscaleResult]] = []
    gc.disable()  # a result may be large: it must not wait for the collector
    try:
        async with served() as (_, client):
            async for outcome in client.upscale_many(urls(5), ordered=ordered):
                results.append(weakref.ref(outcome.unwrap()))
                del outcome
            await client.ping()
            assert [one() for one in results] == [None] * 5
    finally:
        gc.enable()


async def test_cancelled_tasks_free_their_room_at_once() -> None:
    async with served(silent, max_in_flight=3) as (_, client):
        for _ in range(20):
            for task in await submitted(client, 3):
                task.cancel()
        assert client.stats().failed == 60
        assert (await client.submit(IMAGE)).state in ("queued", "sent")


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_bug_in_submitting_ends_the_iteration_instead_of_hanging(
    ordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served() as (_, client):

        async def crash(*_: object, **__: object) -> UpscaleTask:
            raise ZeroDivisionError

        monkeypatch.setattr(client._opened(), "submit", crash)
        with pytest.raises(ZeroDivisionError), anyio.fail_after(5):
            await anext(client.upscale_many(urls(5), ordered=ordered))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_iteration_that_outlives_its_event_loop_says_no_more_than_its_client(
    backend: str,
) -> None:
    """Another warning in a finalizer would fail this test."""
    if backend == "trio":
        pytest.importorskip("trio")
    kept: list[Any] = []

    async def leave_all_open(server: ScriptedServer) -> None:
        client = client_of(server)
        await client.connect()
        kept.append(client.upscale_many(urls(100)))
        await anext(kept[0])

    with ScriptedServer() as server:
        anyio.run(leave_all_open, server, backend=backend)

    def drop() -> None:
        kept.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="never closed"):
        drop()
