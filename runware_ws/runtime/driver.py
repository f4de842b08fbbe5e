"""The loop that performs the session's effects: it moves bytes, keeps time, and decides nothing.

One background task keeps time. Each connection lives in a task of its own, as an `Connection`; the
present one is the only one that the session hears of.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from threading import get_ident
from typing import Any
from weakref import WeakSet

import anyio

from ..errors import ClientClosedError, ConnectionLostError, JournalError, RunwareError
from ..events import Events
from ..journal.store import Journal
from ..journal.writer import JournalWriter
from ..protocol.effects import Connect, Disconnect, Effect, Event, Kept, Notify, Pong, Settle
from ..protocol.session import Session
from ..protocol.tasks import Task
from ..settings import Endpoint
from .concurrency import Background, event_factory, running_on_trio
from .connection import Connection

__all__ = ["Driver"]

_log = logging.getLogger("runware_ws")
_LEVELS = {"lost": logging.WARNING, "key_refused": logging.ERROR}
# The clock of the event loop stands still while the machine sleeps; the wall clock does not.
_SLEPT = 5.0


class Driver:
    """Runs a session on real connections.

    Args:
        session: the session, not started.
        endpoint: where to connect.
        settled: called with each task and its outcome. It must not raise or wait.
        journal: where tasks and outcomes are written down, if anywhere; the driver closes it.
    """

    def __init__(
        self,
        session: Session,
        endpoint: Endpoint,
        settled: Callable[[Task, dict[str, Any] | RunwareError], None],
        journal: Journal | None = None,
    ) -> None:
        self.session = session
        self.clock = _clock()
        self._thread = get_ident()
        self.new_event = event_factory()
        self.round_trip: float | None = None
        self._endpoint = endpoint
        self._settled = settled
        self._first = anyio.Event()
        self._connection: Connection | None = None
        self._to_wait_less = self.new_event()
        self._waiting_until = 0.0
        self._pings: list[_Ping] = []
        self.listeners: WeakSet[Events] = WeakSet()
        self.writer = None if journal is None else self._make_writer(journal)
        self._carry_out = self._pass if self.writer is None else self.writer.add
        session.start(self.clock())
        self._background = Background(self._run, "runware_ws")

    # For the client.

    async def first_attempt(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._first.wait()

    def check_open(self) -> None:
        """Raise what ended the client, if it has ended, or that it is another thread's."""
        if get_ident() != self._thread:
            text = "the client belongs to the event loop that opened it, in another thread"
            raise RuntimeError(f"{text}: use `asyncio.run_coroutine_threadsafe` or the like")
        if not self.session.reconnector.ended:
            return
        failure = self.session.failure
        if failure is not None:
            raise type(failure)(*failure.args)
        raise ClientClosedError(self.session.reconnector.reason)

    def changed(self) -> None:
        """Carry out what a call to the session has brought about."""
        for effect in self.session.take_effects():
            self._perform(effect)
        if self._connection is not None:
            self._connection.wake()
        if self.session.timer_moved:
            moment = self.session.next_timer()
            if moment is not None and moment < self._waiting_until:
                self._to_wait_less.set()

    async def ping(self) -> float:
        """Seconds that a ping takes to come back.

        Raises:
            ConnectionLostError: there is no connection, or it was lost meanwhile.
        """
        if not self.session.ping():
            raise ConnectionLostError(f"not connected: {self.session.reconnector.reason}")
        ping = _Ping()
        self._pings.append(ping)
        self.changed()
        return await ping.wait()

    async def close(self, reason: str) -> None:
        """End: everything unsettled fails, and the connection is closed."""
        connection, self._connection = self._connection, None  # not to be dropped: it says goodbye
        self.session.close(reason)
        self._ended()
        if connection is not None:
            await connection.close()
        await self._background.wait()

    # Effects.

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Settle() | Kept():
                self._carry_out(effect)
            case Connect():
                # Made here, so that it can be dropped before its task has begun.
                self._connection = Connection(self.session, self.clock, self.changed, self._failed)
                self._connections.start_soon(self._connect, self._connection)
            case Disconnect():
                self._drop()
            case Pong(seconds):
                self.round_trip = seconds
                self._answer_pings(seconds)
                if self.writer is not None:
                    self.writer.touch()  # the session is alive, also while no task is
            case Notify(happening):
                self._notify(happening)

    def _pass(self, effect: Settle | Kept) -> None:
        """What the journal, if there is one, has written."""
        if isinstance(effect, Settle):
            self._settled(effect.task, effect.outcome)
        else:
            self.session.kept(effect.task)
            if self._connection is not None:
                self._connection.wake()

    def _make_writer(self, journal: Journal) -> JournalWriter:
        def failed(error: JournalError) -> None:
            _log.error("%s", error)
            self.session.fail(error)
            self._ended()

        return JournalWriter(
            journal, lambda: self.session.reconnector.session_uuid, self._pass, failed
        )

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _notify(self, happening: Event) -> None:
        level = _LEVELS.get(happening.kind, logging.INFO)
        _log.log(level, "%s: %s", happening.kind.replace("_", " "), happening.detail)
        self._first.set()
        for listener in self.listeners:
            listener.tell(happening)
        if happening.kind == "connected" and self.writer is not None:
            self.writer.touch()
        if happening.kind in ("lost", "closed"):
            self._answer_pings(ConnectionLostError(happening.detail))

    def _answer_pings(self, answer: float | RunwareError) -> None:
        pings, self._pings = self._pings, []
        for ping in pings:
            ping.answer(answer)

    # Time.

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as writing:
                if self.writer is not None:
                    writing.start_soon(self.writer.run)
                async with anyio.create_task_group() as self._connections:
                    await self._keep_time()
                writing.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001
            self._failed(error)
        finally:
            self.session.close("the event loop ended")
            self.changed()
            if self.writer is not None:
                self.writer.close()

    async def _keep_time(self) -> None:
        asleep = _SleepDetector(self.clock)
        while not self.session.reconnector.ended:
            now = self.clock()
            if self._connection is not None:
                self._connection.look(now)
            if asleep.look():
                self.session.ping()
            self.session.handle_timer(now)
            self._to_wait_less = self.new_event()
            moment = self.session.next_timer()
            self._waiting_until = float("inf") if moment is None else moment
            self.changed()
            with anyio.CancelScope(deadline=self._waiting_until):
                await self._to_wait_less.wait()

    # Connections.

    async def _connect(self, connection: Connection) -> None:
        why = await connection.run(self._endpoint)
        if connection.is_present:
            self._connection = None
            self.session.lost(why.reason, self.clock(), too_big=why.too_big)
            self.changed()

    # Ends.

    def _ended(self) -> None:
        """Let the session's end be seen."""
        self.changed()
        self._to_wait_less.set()

    def _failed(self, error: Exception) -> None:
        """Something went wrong that nobody thought of, where nobody would hear of it."""
        _log.error("the client failed; this is a bug in runware_ws", exc_info=error)
        self.session.close(f"a bug in runware_ws: {type(error).__name__}")
        self._ended()


class _Ping:
    """Somebody who waits for a ping to come back."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._answer: float | RunwareError = 0.0

    def answer(self, answer: float | RunwareError) -> None:
        self._answer = answer
        self._event.set()

    async def wait(self) -> float:
        await self._event.wait()
        if isinstance(self._answer, RunwareError):
            raise self._answer
        return self._answer


class _SleepDetector:
    """Finds out that the machine slept: the wall clock went on, the other did not."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead = time.time() - clock()

    def look(self) -> bool:
        ahead = time.time() - self._clock()
        slept = ahead - self._ahead > _SLEPT
        self._ahead = ahead
        return slept


def _clock() -> Callable[[], float]:
    if running_on_trio():
        import trio

        return trio.current_time
    loop = asyncio.get_running_loop()
    # It is read half a dozen times for each task; asyncio's own only passes this one on.
    is_its_own = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
    return time.monotonic if is_its_own else loop.time
