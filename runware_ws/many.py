"""Many images in flat memory: a window that moves over the sources."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from .background import Background
from .errors import RunwareError
from .handle import UpscaleTask
from .results import UpscaleResult

__all__ = ["Outcome", "upscale_many"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of one image: a result, or an error; never both.

    Attributes:
        source: the image as it was given.
        result: the result, or None.
        error: the error, or None.
    """

    source: T
    result: UpscaleResult | None = None
    error: RunwareError | None = None


@dataclass(eq=False, slots=True)
class _Place(Generic[T]):
    """A source that is under way, or done and not yet taken out."""

    source: T
    task: UpscaleTask | None = None
    error: RunwareError | None = None

    def outcome(self) -> Outcome[T] | None:
        if self.error is not None:
            return Outcome(self.source, error=self.error)
        return None if self.task is None else outcome_of(self.source, self.task)


def outcome_of(source: T, task: UpscaleTask) -> Outcome[T] | None:
    """What became of a source, or None while its task is under way."""
    settled = task.settled
    if isinstance(settled, RunwareError):
        return Outcome(source, error=settled)
    return None if settled is None else Outcome(source, result=settled)


class _Window(Generic[T]):
    """Takes sources in as fast as outcomes are taken out, `size` of them at most."""

    def __init__(self, submit: Callable[[T], Awaitable[UpscaleTask]], size: int, ordered: bool):
        self._submit = submit
        self._size = size
        self._ordered = ordered
        self._under_way: set[_Place[T]] = set()
        self._places: deque[_Place[T]] = deque()
        self._room = anyio.Event()
        self._news = anyio.Event()
        self._ended = False
        self._broken: Exception | None = None

    async def feed(self, sources: Iterable[T] | AsyncIterable[T]) -> None:
        """Submit one source after the other; runs in a task of its own."""
        try:
            async for source in _each(sources):
                await self._wait_for_room()
                await self._submit_one(_Place(source))
        except Exception as error:  # noqa: BLE001  # raised again where it is heard: in `outcomes`
            self._broken = error
        finally:
            self._ended = True
            self._news.set()

    async def _wait_for_room(self) -> None:
        while self._taken >= self._size:
            self._room = anyio.Event()
            await self._room.wait()

    @property
    def _taken(self) -> int:
        # In order, a source has its place from the beginning, otherwise once it is done.
        return len(self._places) + (0 if self._ordered else len(self._under_way))

    async def _submit_one(self, place: _Place[T]) -> None:
        self._under_way.add(place)
        if self._ordered:
            self._places.append(place)
        try:
            place.task = await self._submit(place.source)
        except RunwareError as error:
            place.error = error
            self._done(place)
        else:
            place.task.when_settled(lambda: self._done(place))

    def _done(self, place: _Place[T]) -> None:
        self._under_way.discard(place)
        if not self._ordered:
            self._places.append(place)
        self._news.set()

    async def outcomes(self) -> AsyncIterator[Outcome[T]]:
        """Every outcome, once; then the error of the sources, if they broke."""
        while not (self._ended and not self._taken):
            while self._places and (outcome := self._places[0].outcome()) is not None:
                self._places.popleft()
                self._room.set()
                yield outcome
            if self._under_way or not self._ended:
                await self._wait_for_news()
        if self._broken is not None:
            raise self._broken

    async def _wait_for_news(self) -> None:
        self._news = anyio.Event()
        await self._news.wait()

    def abandon(self) -> None:
        """Nobody takes outcomes out any more."""
        for place in list(self._under_way):
            if place.task is not None:
                place.task.cancel()


async def upscale_many(
    sources: Iterable[T] | AsyncIterable[T],
    submit: Callable[[T], Awaitable[UpscaleTask]],
    size: int,
    ordered: bool,
) -> AsyncIterator[Outcome[T]]:
    """Outcomes as they come, or in the order of the sources; see `RunwareClient.upscale_many`."""
    window = _Window(submit, size, ordered)
    feeder = Background(lambda: window.feed(sources), "runware_ws upscale_many")
    try:
        async for outcome in window.outcomes():
            yield outcome
    finally:  # nothing is awaited here, so it also works when the generator is thrown away
        feeder.cancel()
        window.abandon()


async def _each(sources: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(sources, AsyncIterable):
        async for source in sources:
            yield source
    else:
        for source in sources:
            yield source
