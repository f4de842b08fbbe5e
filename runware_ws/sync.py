"""The blocking client, for programs without an event loop.

from runware_ws.sync import RunwareClient

with RunwareClient() as client:
    for outcome in client.upscale_many(Path("photos").glob("*.jpg")):
        if outcome.result is not None:
            outcome.result.save(Path("large") / outcome.source.name)

Names, arguments, results and errors are those of `runware_ws`. Each method calls the asynchronous
one in an event loop in a background thread. Many threads may use one client at once, including
threads that run an event loop, such as that of a notebook. An exception in a waiting thread, such
as KeyboardInterrupt, cancels the operation that it waits for.

A client that was opened before a fork raises ClientClosedError in the child. Where a server forks,
open a client in each worker. With Flask or Django under gunicorn, use a function with
`functools.cache` that returns ``RunwareClient().__enter__()``, and call it in the views. With
Celery, use a handler of `worker_process_init`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial, update_wrapper
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

from . import batch, client, events, results, task
from .journal import recovery
from .journal.recovery import RecoveredSource
from .protocol.effects import Event
from .protocol.reconnector import ClientState
from .runtime.loop_thread import LoopThread

__all__ = [
    "Events",
    "Failure",
    "Outcome",
    "Outcomes",
    "Recovered",
    "RunwareClient",
    "Success",
    "UpscaleResult",
    "UpscaleTask",
]

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

_REPLACEMENTS = (("async with", "with"), ("async for", "for"), ("await ", ""), ("aclose", "close"))


class _Wrapper:
    """The blocking wrapper of an object that belongs to an event loop.

    Args:
        loop: the event loop.
        original: the object.
    """

    def __init__(self, loop: LoopThread, original: Any) -> None:
        self._loop = loop
        self._original = original

    def __repr__(self) -> str:
        return repr(self._original)


@overload
def _blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[_Wrapper, P], R]: ...


@overload
def _blocking(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[_Wrapper, P], R]: ...


def _blocking(
    method: Callable[Concatenate[Any, P], Any],
) -> Callable[Concatenate[_Wrapper, P], Any]:
    """Return a method that calls another one in the event loop, and waits for it."""

    def call(self: _Wrapper, /, *args: P.args, **options: P.kwargs) -> Any:
        return self._loop.call(partial(method, self._original, *args, **options))

    return _with_signature_of(call, method)


def _wrapping(
    wrapper: Callable[[LoopThread, A], R], method: Callable[Concatenate[_Wrapper, P], A]
) -> Callable[Concatenate[_Wrapper, P], R]:
    """Return a blocking method whose result has a blocking wrapper."""

    def call(self: _Wrapper, /, *args: P.args, **options: P.kwargs) -> R:
        return wrapper(self._loop, method(self, *args, **options))

    return _with_signature_of(call, method)


def _with_signature_of(function: Callable[P, R], original: Callable[..., object]) -> Callable[P, R]:
    """Give a function the name, the signature and the docstring of the original."""
    update_wrapper(function, original)
    function.__doc__ = blocking_docstring(original)
    return function


def blocking_docstring(original: object) -> str:
    """Return the docstring of the original, reworded for its blocking twin."""
    text = original.__doc__ or ""
    for there, here in _REPLACEMENTS:
        text = text.replace(there, here)
    return text


# Defined outside of the class, where mypy would compare them with the methods that they replace.
_read = _blocking(results.UpscaleResult.read)
_save = _blocking(results.UpscaleResult.save)
_image = _blocking(results.UpscaleResult.image)


class UpscaleResult(_Wrapper, results.UpscaleResult):
    __doc__ = blocking_docstring(results.UpscaleResult)

    _original: results.UpscaleResult

    def __init__(self, loop: LoopThread, original: results.UpscaleResult) -> None:
        self.__dict__.update(original.__dict__)  # methods that need no event loop are inherited
        super().__init__(loop, original)

    ack = _blocking(results.UpscaleResult.ack)
    read = _read  # type: ignore[assignment]  # it blocks
    save = _save  # type: ignore[assignment]  # it blocks
    image = _image  # type: ignore[assignment]  # it blocks

    @property
    def saved_to(self) -> Path | None:
        """Path of the last file that `save` wrote, or None."""
        return self._original.saved_to


_result = _wrapping(UpscaleResult, _blocking(task.UpscaleTask.result))


class UpscaleTask(_Wrapper, task.UpscaleTask):
    """A submitted task, as returned by `RunwareClient.submit`; `result` waits for its result.

    It settles in the background, whether or not anything waits for it. Giving up waiting does not
    cancel the task; `cancel` does.
    """

    def __init__(self, loop: LoopThread, original: task.UpscaleTask) -> None:
        task.UpscaleTask.__init__(self, original._client, original._submission)
        super().__init__(loop, original)

    cancel = _blocking(task.UpscaleTask.cancel)
    result = _result  # type: ignore[assignment]  # it blocks
    __await__ = None  # type: ignore[assignment]  # there is nothing to await


@dataclass(frozen=True, slots=True, repr=False)
class Success(batch.Success[T]):
    __doc__ = blocking_docstring(batch.Success)

    result: UpscaleResult

    def unwrap(self) -> UpscaleResult:
        """Return the result."""
        return self.result


@dataclass(frozen=True, slots=True, repr=False)
class Failure(batch.Failure[T]):
    __doc__ = blocking_docstring(batch.Failure)

    unsaved: UpscaleResult | None = None


Outcome = Success[T] | Failure[T]
"""The outcome of one image. ``outcome.error is not None`` tells a failure from a success."""


def _outcome(loop: LoopThread, original: batch.Outcome[T]) -> Outcome[T]:
    members = {one.name: getattr(original, one.name) for one in fields(original)}
    for name in ("result", "unsaved"):
        if members[name] is not None:
            members[name] = UpscaleResult(loop, members[name])
    return Failure(**members) if original.result is None else Success(**members)


class Events(_Wrapper, Iterator[Event]):
    __doc__ = blocking_docstring(events.Events)

    _original: events.Events
    _next = _blocking(events.Events.__anext__)

    def __next__(self) -> Event:
        with suppress(IndexError):
            return self._original._waiting.popleft()  # also when the event loop has ended
        if self._original._ended:
            raise StopIteration
        try:
            return self._next()
        except StopAsyncIteration:
            raise StopIteration from None


class _OutcomeIterator(_Wrapper, Iterator[Outcome[T]]):
    """Outcomes that several threads may read at once. Each outcome goes to one of them.

    A ``for`` loop acknowledges the previous result when it asks for the next one: see
    `UpscaleResult.ack`. A program that calls ``next`` must acknowledge or save results itself.
    """

    def __iter__(self) -> Iterator[Outcome[T]]:
        turns = self._original.__aiter__()
        try:
            while True:
                yield self._turn(turns)
        except StopAsyncIteration:
            return

    def __next__(self) -> Outcome[T]:
        try:
            return self._turn(self._original)
        except StopAsyncIteration:
            raise StopIteration from None

    def _turn(self, turns: AsyncIterator[batch.Outcome[T]]) -> Outcome[T]:
        """Wait for the next outcome, or raise StopAsyncIteration."""
        return _outcome(self._loop, self._loop.call(turns.__anext__))


class Recovered(_OutcomeIterator[RecoveredSource]):
    __doc__ = blocking_docstring(recovery.Recovered)


class Outcomes(_OutcomeIterator[T]):
    """The outcomes of many images, as returned by `RunwareClient.upscale_many`.

    They come as they are settled, or in the order of the images.
    """

    _original: batch.Outcomes[T]

    def __init__(
        self, loop: LoopThread, original: batch.Outcomes[T], messages: SimpleQueue[_Message[T]]
    ) -> None:
        super().__init__(loop, original)
        self._messages = messages

    def _turn(self, turns: AsyncIterator[batch.Outcome[T]]) -> Outcome[T]:
        future = self._loop.submit(turns.__anext__)
        future.add_done_callback(self._messages.put)
        try:
            while not isinstance(message := self._messages.get(), Future):
                message()
            return _outcome(self._loop, message.result())
        except CancelledError:  # of another thread, which ended the iteration for all
            raise StopAsyncIteration from None
        except BaseException:
            future.cancel()
            raise

    def pending(self) -> list[tuple[T, str]]:
        return self._loop.call(self._original.pending)

    pending.__doc__ = blocking_docstring(batch.Outcomes.pending)

    close = _blocking(batch.Outcomes.aclose)

    def __del__(self) -> None:
        self._loop.post(self._original._close)


_Message = Future[batch.Outcome[T]] | Callable[[], None]


class _Images(AsyncIterator[T]):
    """The caller's images, which are taken in a thread that waits for an outcome.

    The iterable may be a generator that blocks, or one that is bound to the caller's thread.
    """

    def __init__(self, images: Iterable[T], messages: SimpleQueue[_Message[Any]]) -> None:
        self._images = iter(images)
        self._messages = messages

    async def __anext__(self) -> T:
        request: Future[T] = Future()
        self._messages.put(partial(self._take, request))
        return await asyncio.wrap_future(request)

    def _take(self, request: Future[T]) -> None:
        if not request.set_running_or_notify_cancel():
            return  # the iteration has ended
        try:
            request.set_result(next(self._images))
        except StopIteration:
            request.set_exception(StopAsyncIteration())
        except Exception as error:  # noqa: BLE001  # raised again for the reader
            request.set_exception(error)


def _many(
    method: Callable[Concatenate[Any, P], batch.Outcomes[T]],
) -> Callable[Concatenate[_Wrapper, P], Outcomes[T]]:
    """Return `upscale_many` with its images taken in the caller's thread."""
    signature = inspect.signature(method)

    def call(self: _Wrapper, /, *args: P.args, **options: P.kwargs) -> Outcomes[T]:
        messages: SimpleQueue[_Message[T]] = SimpleQueue()
        bound = signature.bind(self._original, *args, **options)
        images = bound.arguments["images"]
        batch.check_images(images)
        if not isinstance(images, AsyncIterable):
            bound.arguments["images"] = _Images(images, messages)
        return Outcomes(self._loop, method(*bound.args, **bound.kwargs), messages)

    return _with_signature_of(call, method)


def _settings_of(
    original: Callable[Concatenate[Any, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[_Wrapper, P], None]]:
    return lambda function: _with_signature_of(function, original)


class RunwareClient(_Wrapper):
    __doc__ = f"""A client of the Runware upscale API (Real-ESRGAN) over one persistent WebSocket.

        with RunwareClient() as client:
            result = client.upscale(Path("photo.jpg"), upscale_factor=4)
            result.save("photo-large.jpg")

    Any thread may use and close it. It reconnects automatically. Durations are in seconds, sizes in
    bytes.

    Args:{blocking_docstring(client.RunwareClient).partition("    Args:")[2]}"""

    _original: client.RunwareClient

    @_settings_of(client.RunwareClient.__init__)
    def __init__(self, *args: Any, **settings: Any) -> None:
        try:
            super().__init__(LoopThread(), client.RunwareClient(*args, **settings))
        finally:
            del args, settings  # so that no dump of local variables holds the key

    def connect(self) -> None:
        self._loop.start(self._original.aclose)
        try:
            self._loop.call(self._original.connect)
        except BaseException:
            self.close()
            raise

    connect.__doc__ = blocking_docstring(client.RunwareClient.connect)

    def close(self) -> None:
        if not self._loop.was_forked:
            self._loop.call(self._original.aclose)
            self._loop.stop()

    close.__doc__ = blocking_docstring(client.RunwareClient.aclose)

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    upscale = _wrapping(UpscaleResult, _blocking(client.RunwareClient.upscale))
    upscale_large = _blocking(client.RunwareClient.upscale_large)
    submit = _wrapping(UpscaleTask, _blocking(client.RunwareClient.submit))
    attach = _wrapping(UpscaleTask, _blocking(client.RunwareClient.attach))
    upscale_many = _many(client.RunwareClient.upscale_many)
    recovered = _wrapping(Recovered, _blocking(client.RunwareClient.recovered))
    run = _blocking(client.RunwareClient.run)
    balance = _blocking(client.RunwareClient.balance)
    drain = _blocking(client.RunwareClient.drain)
    ping = _blocking(client.RunwareClient.ping)
    events = _wrapping(Events, _blocking(client.RunwareClient.events))
    stats = _blocking(client.RunwareClient.stats)

    @property
    def session_uuid(self) -> str | None:
        """UUID of the session that is resumed after a disconnect; None before the first one."""
        return self._original.session_uuid

    @property
    def state(self) -> ClientState:
        """The state of the client.

        ``new``, ``connecting``, ``authenticating``, ``connected``, ``waiting`` (for the next
        attempt to connect), ``key_refused`` (waiting, too), ``failed`` or ``closed``.
        """
        return self._original.state

    def __repr__(self) -> str:
        return repr(self._original) if hasattr(self, "_original") else "<RunwareClient refused>"
