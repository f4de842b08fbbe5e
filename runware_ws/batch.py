"""Many images in flat memory: a window that moves over the sources."""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Generic, TypeVar
from uuid import UUID

import anyio

from .errors import InputError, RunwareError
from .results import UpscaleResult
from .runtime.concurrency import Background, Notification
from .task import UpscaleTask

__all__ = ["Handed", "Outcome", "Outcomes", "Window", "check_images"]

T = TypeVar("T")


def check_images(images: object) -> None:
    """Raise InputError for what holds no images, and for a single one, whatever its kind: a file,
    too, can be iterated over."""
    single = isinstance(images, str | bytes | bytearray | memoryview | PurePath | UUID)
    if single or hasattr(images, "read"):
        raise InputError("images", "is a single image", "pass a list of images")
    if not isinstance(images, Iterable | AsyncIterable):
        raise InputError("images", f"is of type {type(images).__name__}", "pass a list of images")


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


class Handed:
    """What each reader was handed last: when it asks for the next, it has dealt with that."""

    def __init__(self) -> None:
        self._takes: dict[int, Callable[[], None]] = {}

    def give(self, take: Callable[[], None]) -> None:
        """`take` is called when the present reader has dealt with what it gets now."""
        self._takes[anyio.get_current_task().id] = take

    def take(self) -> None:
        """The present reader asks for more."""
        if self._takes:
            take = self._takes.pop(anyio.get_current_task().id, None)
            if take is not None:
                take()


class Window(Generic[T]):
    """Takes sources in as fast as outcomes are taken out.

    Args:
        submit: submits one.
        size: how many may be taken in and not yet out.
        ordered: whether outcomes come in the order of the sources.
        lasting: whether what is under way is of use when nobody takes outcomes out any more.
    """

    def __init__(
        self,
        submit: Callable[[T], Awaitable[UpscaleTask]],
        size: int,
        *,
        ordered: bool,
        lasting: bool,
    ) -> None:
        self._submit = submit
        self._lasting = lasting
        self._size = size
        self._ordered = ordered
        self._under_way: set[_Place[T]] = set()
        self._places: deque[_Place[T]] = deque()
        self._room = Notification()
        self._changed = Notification()
        self._ended = False
        self._abandoned = False
        self._handed = Handed()
        self._broken: Exception | None = None

    async def feed(self, sources: Iterable[T] | AsyncIterable[T]) -> None:
        """Submit one source after the other; runs in a task of its own."""
        try:
            if isinstance(sources, AsyncIterable):
                await self._feed_async(sources)
            else:
                for source in sources:
                    await self._take(source)
        except Exception as error:  # noqa: BLE001  # raised again where it is heard: in `outcomes`
            self._broken = error
        finally:
            self._ended = True
            self._changed.tell()

    async def _feed_async(self, sources: AsyncIterable[T]) -> None:
        try:
            async for source in sources:
                await self._take(source)
        finally:
            if isinstance(sources, AsyncGenerator):  # trio warns of one that is left as it is
                with anyio.CancelScope(shield=True):
                    await sources.aclose()

    async def _take(self, source: T) -> None:
        await self._wait_for_room()
        await self._submit_one(_Place(source))

    async def _wait_for_room(self) -> None:
        while self._taken >= self._size:
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
        except BaseException:
            self._under_way.discard(place)
            if self._ordered:
                self._places.remove(place)
            raise
        else:
            place.task.when_settled(lambda: self._done(place))
            if self._abandoned:  # while it was being submitted
                self._give_up(place.task)

    def _done(self, place: _Place[T]) -> None:
        self._under_way.discard(place)
        if not self._ordered:
            self._places.append(place)
        self._changed.tell()

    def _is_over(self) -> bool:
        nothing_left = not self._taken and not self._under_way
        return self._abandoned or (self._ended and nothing_left)

    async def next(self) -> Outcome[T] | None:
        """The next outcome; at the end None, or the error of the sources if they broke."""
        self._handed.take()
        while not self._is_over():
            if self._places and (outcome := self._places[0].outcome()) is not None:
                task = self._places.popleft().task
                if task is not None and self._lasting:
                    self._handed.give(task.take)
                self._room.tell()
                if self._is_over():
                    self._changed.tell()  # to whoever else waits for the next
                return outcome
            await self._changed.wait()
        if self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        return None

    def abandon(self) -> None:
        """Nobody takes outcomes out any more."""
        self._abandoned = self._ended = True
        self._places.clear()
        self._changed.tell()
        for place in list(self._under_way):
            if place.task is not None:
                self._give_up(place.task)

    def tasks(self) -> Iterator[tuple[T, UpscaleTask]]:
        """What was submitted and not taken out, with its source; also what was given up."""
        for place in (*self._under_way, *self._places):
            if place.task is not None:
                yield place.source, place.task

    def _give_up(self, task: UpscaleTask) -> None:
        if not self._lasting:
            task.cancel()


class Outcomes(AsyncIterator[Outcome[T]]):
    """Outcomes as they come, or in the order of the sources.

    It is no generator, because trio warns of one that is left early, and this one may be: what is
    to be done then needs no waiting.
    """

    def __init__(self, window: Window[T], sources: Iterable[T] | AsyncIterable[T]) -> None:
        self._window = window
        self._sources = sources
        self._feeder: Background | None = None
        self._closed = False

    async def __anext__(self) -> Outcome[T]:
        if self._feeder is None and not self._closed:
            window, sources = self._window, self._sources
            self._feeder = Background(lambda: window.feed(sources), "runware_ws upscale_many")
        try:
            outcome = await self._window.next()
        except BaseException:
            self._close()
            raise
        if outcome is None:
            self._close()
            raise StopAsyncIteration
        return outcome

    def tasks(self) -> Iterator[tuple[T, UpscaleTask]]:
        """For this package: what is under way, or was when the iteration was left."""
        return self._window.tasks()

    async def aclose(self) -> None:
        """Leave early: see `RunwareClient.upscale_many`. Dropping the iterator does it too."""
        self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._feeder is not None:
                self._feeder.cancel()
            self._window.abandon()

    def __del__(self) -> None:
        with suppress(RuntimeError):  # the event loop is not running, and perhaps never again
            self._close()
