"""Many images in constant memory: a window that moves over the sources."""

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
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar
from uuid import UUID

import anyio

from .errors import InputError, RunwareError
from .pictures import is_array, is_pillow_image
from .results import UpscaleResult
from .runtime.concurrency import Background, Notification, uninterruptible
from .saving import Saver

if TYPE_CHECKING:
    from .runtime.submission import Submission

T = TypeVar("T")
_SHOWN = 60


@dataclass(frozen=True, slots=True, repr=False)
class Success(Generic[T]):
    """The outcome of an image that was upscaled.

    Attributes:
        source: the image as it was given.
        result: the result.
        path: path of its file, with ``save_to``; else None.
        error: None.
        unsaved: None.
        tag: the tag of the image, or None.
    """

    source: T
    result: UpscaleResult
    path: Path | None = None
    error: None = None
    unsaved: None = None

    @property
    def tag(self) -> Any:
        return self.result.tag

    @property
    def effective_scale(self) -> float | None:
        """Return `UpscaleResult.effective_scale` for the source."""
        return self.result.effective_scale(self.source)

    def unwrap(self) -> UpscaleResult:
        """Return the result."""
        return self.result

    def __repr__(self) -> str:
        return f"<Success {_short(self.source)}: {self.result!r}>"


@dataclass(frozen=True, slots=True, repr=False)
class Failure(Generic[T]):
    """The outcome of an image that failed.

    Attributes:
        source: the image as it was given.
        error: the reason.
        unsaved: with ``save_to``, the result, if only its file could not be saved; it can be saved
            later. Else None.
        result: None.
        path: None.
        tag: the tag of the image, or None.
    """

    source: T
    error: RunwareError
    unsaved: UpscaleResult | None = None
    result: None = None
    path: None = None
    tag: Any = None

    def unwrap(self) -> NoReturn:
        """Raise the error."""
        raise self.error

    def __repr__(self) -> str:
        return f"<Failure {_short(self.source)}: {self.error!r}>"


Outcome = Success[T] | Failure[T]
"""The outcome of one image. ``outcome.error is not None`` tells a failure from a success."""


def _short(source: Any) -> str:
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{memoryview(source).nbytes} bytes"
    if is_array(source):
        return f"array of {'x'.join(map(str, source.shape))}"
    text = repr(source[: _SHOWN + 1] if isinstance(source, str) else source)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def check_images(images: object) -> None:
    """Raise InputError unless `images` is an iterable of images.

    A single image is refused too. Some images, such as files, are iterable.
    """
    single = isinstance(images, str | bytes | bytearray | memoryview | PurePath | UUID)
    if single or hasattr(images, "read") or is_pillow_image(images) or is_array(images):
        raise InputError("images", "is a single image", "pass a list of images")
    if not isinstance(images, Iterable | AsyncIterable):
        raise InputError("images", f"is of type {type(images).__name__}", "pass a list of images")


class OutcomeIterator(AsyncIterator[Outcome[T]]):
    """Outcomes that several loops may read at once. Each outcome goes to one of them.

    An ``async for`` loop acknowledges the previous result when it asks for the next one: see
    `UpscaleResult.ack`. A program that calls ``anext`` must acknowledge or save results itself.
    """

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        return _Loop(self)

    async def __anext__(self) -> Outcome[T]:
        raise NotImplementedError


@uninterruptible
class _Loop(AsyncIterator[Outcome[T]]):
    """One ``async for`` over outcomes. It acknowledges only results that it has returned itself."""

    def __init__(self, outcomes: OutcomeIterator[T]) -> None:
        self._outcomes = outcomes
        self._last: UpscaleResult | None = None

    async def __anext__(self) -> Outcome[T]:
        if self._last is not None:
            self._last.ack()
            self._last = None
        outcome = await self._outcomes.__anext__()
        self._last = outcome.result
        return outcome


@dataclass(eq=False, slots=True)
class _Place(Generic[T]):
    """A source that is in flight, or that is settled and not yielded yet."""

    source: T
    tag: Any
    name: str = ""
    submission: Submission | None = None
    error: RunwareError | None = None
    unsaved: UpscaleResult | None = None
    path: Path | None = None
    is_done: bool = False

    def outcome(self) -> Outcome[T] | None:
        if not self.is_done:
            return None
        if self.error is not None:
            return Failure(self.source, self.error, self.unsaved, tag=self.tag)
        submission = self.submission
        return None if submission is None else outcome_of(self.source, submission, self.path)


def outcome_of(source: T, submission: Submission, path: Path | None = None) -> Outcome[T] | None:
    """Return the outcome of a source, or None while its task is pending."""
    outcome = submission.outcome
    if isinstance(outcome, RunwareError):
        return Failure(source, outcome, tag=submission.tag)
    return None if outcome is None else Success(source, outcome, path)


class Window(Generic[T]):
    """Submits sources as fast as outcomes are yielded.

    Args:
        submit: submits one source with its tag.
        cancel: cancels a task.
        tag: returns the tag of a source; None for no tags.
        size: number of sources that may be taken and not yielded yet.
        ordered: whether outcomes come in the order of the sources.
        keep_tasks: whether tasks continue after the iteration was left.
        saver: saves the results; or None.
    """

    def __init__(
        self,
        submit: Callable[[T, Any], Awaitable[Submission]],
        cancel: Callable[[Submission], None],
        tag: Callable[[T], Any] | None,
        size: int,
        *,
        ordered: bool,
        keep_tasks: bool,
        saver: Saver[T] | None,
    ) -> None:
        self._saver = saver
        self._submit = submit
        self._cancel = cancel
        self._tag = tag
        self._size = size
        self._ordered = ordered
        self._keep_tasks = keep_tasks
        self._in_flight: set[_Place[T]] = set()
        self._places: deque[_Place[T]] = deque()  # to be yielded, in this order
        self._room = Notification()
        self._changed = Notification()
        self._ended = False
        self._abandoned = False
        self._source_error: BaseException | None = None

    async def feed(self, sources: Iterable[T] | AsyncIterable[T]) -> None:
        """Submit one source after the other. It runs in a background task."""
        try:
            if self._saver is not None:
                await self._saver.prepare()
            if isinstance(sources, AsyncIterable):
                await self._feed_async(sources)
            else:
                for source in sources:
                    await self._take(source)
        except BaseException as error:
            if not self._abandoned:
                self._source_error = error  # raised again for the reader, in `next`
            if isinstance(error, (anyio.get_cancelled_exc_class(), GeneratorExit)):
                raise
        finally:
            self._ended = True
            self._changed.notify()

    async def _feed_async(self, sources: AsyncIterable[T]) -> None:
        try:
            async for source in sources:
                await self._take(source)
        finally:
            if isinstance(sources, AsyncGenerator):  # trio warns of one that is not closed
                with anyio.CancelScope(shield=True):
                    await sources.aclose()

    async def _take(self, source: T) -> None:
        while self._taken >= self._size:
            await self._room.wait()
        await self._submit_one(_Place(source, None if self._tag is None else self._tag(source)))

    @property
    def _taken(self) -> int:
        # If ordered, a source gets its place at once; otherwise when it is settled.
        return len(self._places) + (0 if self._ordered else len(self._in_flight))

    async def _submit_one(self, place: _Place[T]) -> None:
        self._in_flight.add(place)
        if self._ordered:
            self._places.append(place)
        try:
            if self._saver is not None:
                place.name = self._saver.names.name_of(place.source)
            place.submission = await self._submit(place.source, place.tag)
        except RunwareError as error:
            place.error = error
            self._done(place)
        except BaseException:
            self._in_flight.discard(place)
            if self._ordered:
                self._places.remove(place)
            raise
        else:
            place.submission.when_settled(lambda: self._settled(place))
            if self._abandoned:  # while it was being submitted
                self._give_up(place.submission)

    def _settled(self, place: _Place[T]) -> None:
        result = None if place.submission is None else place.submission.outcome
        if self._saver is None or not isinstance(result, UpscaleResult):
            self._done(place)
        elif not self._abandoned:
            self._saver.start(result, place.name, partial(self._saved, place, result))

    def _saved(self, place: _Place[T], result: UpscaleResult, saved: Path | RunwareError) -> None:
        if isinstance(saved, RunwareError):
            place.error, place.unsaved = saved, result
        else:
            place.path = saved
        self._done(place)

    def _done(self, place: _Place[T]) -> None:
        place.is_done = True
        self._in_flight.discard(place)
        if not self._ordered:
            self._places.append(place)
        self._changed.notify()

    def _is_over(self) -> bool:
        nothing_left = not self._taken and not self._in_flight
        return self._abandoned or (self._ended and nothing_left)

    async def next(self) -> Outcome[T] | None:
        """Wait for the next outcome. Return None at the end, or raise the exception of the sources.

        An exception comes after the outcomes before it; SystemExit and KeyboardInterrupt at once.
        """
        while not self._is_over() and not self._must_exit():
            if self._places and (outcome := self._places[0].outcome()) is not None:
                self._places.popleft()
                self._room.notify()
                if self._is_over():
                    self._changed.notify()  # for others who wait for the next
                return outcome
            await self._changed.wait()
        if self._source_error is not None:
            error, self._source_error = self._source_error, None
            raise error
        return None

    def _must_exit(self) -> bool:
        return isinstance(self._source_error, SystemExit | KeyboardInterrupt)

    def abandon(self) -> None:
        """Stop, because outcomes are not read any more."""
        self._abandoned = self._ended = True
        self._changed.notify()
        if self._saver is not None:
            self._saver.cancel()
        for place in list(self._in_flight):
            if place.submission is not None:
                self._give_up(place.submission)

    def _give_up(self, submission: Submission) -> None:
        if not self._keep_tasks:
            self._cancel(submission)

    def counts(self) -> tuple[int, int]:
        """Return the number of sources in flight, and of outcomes that are ready to be read."""
        return len(self._in_flight), sum(place.is_done for place in self._places)

    def pending(self) -> Iterator[tuple[T, Submission]]:
        """Yield each source that was submitted and not yielded, even if given up, with its task."""
        for place in (*self._in_flight, *self._places):
            if place.submission is not None:
                yield place.source, place.submission


@uninterruptible
class Outcomes(OutcomeIterator[T]):
    """The outcomes of many images, as returned by `RunwareClient.upscale_many`.

    They come as they are settled, or in the order of the images.
    """

    # Not a generator: trio warns of one that is left early. This one may be, as ending it does not
    # wait for anything.

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

    def pending(self) -> list[tuple[T, str]]:
        """Return each image that was submitted and not yielded, with its taskUUID.

        After the iteration was left early, these tasks have been given up.
        """
        return [(source, submission.uuid) for source, submission in self._window.pending()]

    async def aclose(self) -> None:
        """Leave the iteration early, as when it is dropped: see `RunwareClient.upscale_many`."""
        self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._feeder is not None:
                self._feeder.cancel()
            self._window.abandon()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        in_flight, ready = self._window.counts()
        return f"<Outcomes {state}, {in_flight} in flight, {ready} ready>"

    def __del__(self) -> None:
        with suppress(RuntimeError):  # the event loop does not run
            self._close()
