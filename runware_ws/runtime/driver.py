"""Perform the effects of the session on real connections, and call it when timers are due.

One background task waits for the timers. Each connection runs in its own task, as a `Connection`.
Each channel of the session receives events only from its current connection.

`step` performs the effects in order, lets the connections write, and sets the timer. It must be
called after each call of the session.
"""

from __future__ import annotations

import logging
import math
import traceback
import warnings
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import anyio

from ..errors import (
    ClientClosedError,
    ConnectionLostError,
    JournalError,
    RunwareError,
    TaskTimeoutError,
)
from ..events import Events
from ..protocol.effects import (
    Connect,
    Disconnect,
    Effect,
    Event,
    Load,
    Notify,
    Pong,
    Record,
    Retry,
    Settle,
)
from ..protocol.session import Session
from ..protocol.tasks import Task
from ..settings import Settings
from ..transport import DisconnectedError, Target
from ..transport.base import CLOSE_TIMEOUT
from ..transport.fork import guard
from .api_key import ApiKey
from .concurrency import Background, new_waiter, wake
from .connection import Connection
from .owner_loop import OwnerLoop, SleepDetector

if TYPE_CHECKING:
    from ..journal.loading import Loader
    from ..journal.store import Journal
    from ..journal.writer import JournalWriter

_log = logging.getLogger("runware_ws")
# The interval at which sleep of the machine is detected while there is a connection.
_LOOK = 1.0
_LEVELS = {"lost": logging.WARNING, "key_refused": logging.ERROR}


class Driver:
    """Runs a session on real connections.

    Args:
        session: the session, not started.
        settings: the client's settings.
        settled: called with each task and its outcome. It must not raise or wait.
        retried: called with each retried task and the code of the error. It must not raise or wait.
        sending: called with tasks that are about to be written. It must not raise or wait.
        key: the key; its function may have to be called again.
        journal: the journal for tasks and outcomes, or None. The driver closes it.

    Attributes:
        loop: the event loop of the client.
        clock: returns the time of the event loop, in seconds.
        round_trip: seconds that the last ping took, or None.
        listeners: the readers of events.
        writer: writes the journal, or None.
        sending: see above.
    """

    def __init__(
        self,
        session: Session,
        settings: Settings,
        settled: Callable[[Task, dict[str, Any] | RunwareError], None],
        retried: Callable[[Task, str], None],
        sending: Callable[[Sequence[Task]], None],
        *,
        key: ApiKey,
        journal: Journal | None = None,
    ) -> None:
        self.session = session
        self.settings = settings
        self.target = Target(settings.url, settings.ssl, settings.proxy)
        self._key = key
        self.loop = OwnerLoop()
        self.clock = self.loop.clock
        self.round_trip: float | None = None
        self.listeners: WeakSet[Events] = WeakSet()
        self.writer = None if journal is None else self._make_writer(journal)
        self._loader = None if journal is None else self._make_loader(journal)
        self._settled = settled
        self._retried = retried
        self.sending = sending
        self._first_attempt = anyio.Event()
        self._connections: tuple[Connection, ...] = ()  # the present one of each channel
        self._connecting: set[Background] = set()  # also those that are ending
        self._timer_is_sooner = new_waiter()
        self._timer_at = -math.inf
        self._pings: list[_Ping] = []
        self._at_journal: list[Background] = []
        self._has_failed = False

    def start(self) -> None:
        """Start to connect."""
        self.session.start(self.clock())
        if self.writer is not None and self._loader is not None:
            for function, name in ((self.writer.run, "journal"), (self._loader.run, "loader")):
                background = Background(partial(self._watch, function), f"runware_ws {name}")
                self._at_journal.append(background)
        self._background = Background(self._run, "runware_ws")
        guard(self)

    # Called by the client.

    async def first_attempt(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._first_attempt.wait()

    def check_open(self) -> None:
        """Raise the error that ended the client, or RuntimeError outside its event loop."""
        self.loop.check()
        if not self.session.ended:
            return
        failure = self.session.failure
        if failure is not None:
            raise type(failure)(*failure.args)
        raise ClientClosedError(self.session.main.reconnector.reason)

    async def ping(self) -> float:
        """Return the round-trip time of a ping in seconds.

        Raises:
            ConnectionLostError: there is no connection, or it was lost meanwhile.
        """
        if not self.session.ping():
            raise ConnectionLostError(f"not connected: {self.session.main.reconnector.reason}")
        ping = _Ping()
        self._pings.append(ping)
        self.step()
        return await ping.wait()

    async def close(self, reason: str) -> None:
        """End the client: every pending task fails, and the connection is closed."""
        connections, self._connections = self._connections, ()  # they are to say goodbye
        self.session.close(reason)
        self._end()
        try:
            with anyio.move_on_after(CLOSE_TIMEOUT):
                for connection in [one for one in connections if one.say_goodbye()]:
                    await connection.wait_ended()
        finally:
            for connection in connections:
                connection.drop()
        await self._background.wait()

    def abandon(self) -> None:
        """Warn, and end a client that was dropped without being closed. Any thread may call it."""
        if not self.loop.is_another_process:
            self.loop.call_soon(self._abandoned)
            warnings.warn("a RunwareClient was never closed", ResourceWarning, stacklevel=3)

    def forked(self) -> None:
        """Release everything to the process from which this one was forked."""
        self.loop.is_another_process = True
        self.writer = None

    # Effects.

    def step(self) -> None:
        """Perform the effects of the last call of the session.

        An effect that fails ends the client, but does not withhold outcomes from other callers.
        """
        failure: Exception | None = None
        for effect in self.session.take_effects() if self.session.effects else ():
            try:
                if isinstance(effect, Settle) and self.writer is None:  # which nearly all are
                    self._settled(effect.task, effect.outcome)
                else:
                    self._perform(effect)
            except Exception as error:  # noqa: BLE001
                failure = error
        try:
            for connection in self._connections:
                if not connection.is_write_due:
                    connection.request_write()
            if self.session.timers.moved:
                self.set_timer()
        except Exception as error:  # noqa: BLE001
            failure = error
        if failure is not None:
            self.failed(failure)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Settle() | Record():
                if self.writer is not None:
                    self.writer.add(effect)
            case Load(task):
                if self._loader is not None:
                    self._loader.add(task)
            case Connect(channel):
                self._connect(channel)
            case Disconnect(channel):
                if (connection := self._forget(channel)) is not None:
                    connection.drop()
            case Pong(seconds):
                self.round_trip = seconds
                self._answer_pings(seconds)
                self._touch_journal()  # the session is alive, also while there are no tasks
            case Notify(event):
                self._notify(event)
            case Retry(task, code):
                self._retried(task, code)

    def _pass_on(self, effect: Settle | Record) -> None:
        """Perform an effect that the journal has recorded."""
        if isinstance(effect, Settle):
            if self._loader is not None:
                self._loader.settled(effect.task)
            self._settled(effect.task, effect.outcome)
        else:
            self.session.recorded(effect.task)

    def _notify(self, event: Event) -> None:
        self._first_attempt.set()
        for listener in self.listeners:
            listener._add(event)
        if event.kind == "connected":
            self._touch_journal()
        elif event.kind == "key_refused":
            self._key.refused()
        elif event.kind in ("lost", "closed"):
            self._answer_pings(ConnectionLostError(event.detail))
        level = _LEVELS.get(event.kind, logging.INFO)
        which = f" (connection {event.connection + 1})" if event.connection else ""
        _log.log(level, "%s%s: %s", event.kind.replace("_", " "), which, event.detail)

    def _answer_pings(self, answer: float | RunwareError) -> None:
        pings, self._pings = self._pings, []
        for ping in pings:
            ping.answer(answer)

    # The journal.

    def _make_writer(self, journal: Journal) -> JournalWriter:
        def failed(error: JournalError) -> None:
            _log.error("%s", error)
            self.session.fail(error)
            self._end()

        def recorded(effects: list[Settle | Record]) -> None:
            for effect in effects:
                try:
                    self._pass_on(effect)
                except Exception as error:  # noqa: BLE001  # the others go on
                    self.failed(error)
            self.step()

        from ..journal.writer import JournalWriter  # most programs have no journal

        session_uuid = lambda: self.session.main.reconnector.session_uuid  # noqa: E731
        return JournalWriter(journal, session_uuid, recorded, failed)

    def _make_loader(self, journal: Journal) -> Loader:
        from ..journal.loading import Loader  # as above

        return Loader(journal, self.session, self.settings, self.step)

    def _touch_journal(self) -> None:
        if self.writer is not None:
            self.writer.touch()

    # Time.

    async def _run(self) -> None:
        try:
            await self._watch(self._keep_time)
            for connecting in list(self._connecting):
                await connecting.wait()
        finally:
            self.session.close("the event loop ended")
            self.step()
            await self._close_writer()

    async def _close_writer(self) -> None:
        for background in self._at_journal:
            background.cancel()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(CLOSE_TIMEOUT) as patience:
                await self._at_journal_ended()
            if self.writer is not None and patience.cancelled_caught:  # the disk hangs
                reason = self.session.main.reconnector.reason
                self.writer.release(
                    lambda _: True, lambda task: ClientClosedError(reason, task.uuid)
                )
            await self._at_journal_ended()
        if self.writer is not None:
            self.writer.close()

    async def _at_journal_ended(self) -> None:
        for background in self._at_journal:
            await background.wait()

    def _release_late(self, now: float) -> float:
        """Release outcomes that the journal delays past a deadline; return the next such time."""
        if self.writer is None:
            return math.inf
        self.writer.release(
            lambda task: task.deadline is not None and task.deadline <= now, _unwritten
        )
        return self.writer.next_deadline()

    async def _keep_time(self) -> None:
        sleep_detector = SleepDetector(self.clock)
        while not self.session.ended:
            now = self.clock()
            for connection in self._connections:
                connection.report_traffic(now)
            if sleep_detector.check():
                self.session.ping()
            self.session.handle_timer(now)
            when = self._next_timer()
            self._timer_at = math.inf if when is None else when
            self._timer_is_sooner = new_waiter()
            self.step()
            look_at = now + _LOOK if self._connections else math.inf
            # Until then, the deadline of a later outcome is among the session's timers.
            release_at = self._release_late(now)
            with anyio.CancelScope(deadline=min(self._timer_at, look_at, release_at)):
                await self._timer_is_sooner

    def set_timer(self) -> None:
        """Set the timer to the next time of the session, if that is sooner than planned."""
        when = self._next_timer()
        if when is not None and when < self._timer_at:
            wake(self._timer_is_sooner)

    def _next_timer(self) -> float | None:
        self.session.timers.moved = False
        return self.session.next_timer()

    # Connections.

    def _connect(self, channel: int) -> None:
        # Made here, so that it can be dropped before its task has begun.
        connection = Connection(self, self.session.channels[channel])
        self._connections = (*self._connections, connection)

        async def connect() -> None:
            await self._key.ask_again()
            self._ended(connection, await connection.run())

        async def run() -> None:
            try:
                await self._watch(connect)
            finally:
                self._connecting.discard(background)

        background = Background(run, "runware_ws connection")
        self._connecting.add(background)

    def _forget(self, channel: int) -> Connection | None:
        """Detach and return the connection of a channel."""
        for connection in self._connections:
            if connection.channel.index == channel:
                self._connections = tuple(one for one in self._connections if one is not connection)
                return connection
        return None

    def _ended(self, connection: Connection, why: DisconnectedError) -> None:
        if connection.is_current:
            channel = connection.channel
            self._forget(channel.index)
            channel.lost(why.reason, self.clock(), too_large=why.too_large)
            self.step()

    # Ends.

    def _abandoned(self) -> None:
        self.session.close("the client was dropped and not closed")
        self._end()

    def _end(self) -> None:
        """Stop all background work after the end of the session."""
        self.step()
        wake(self._timer_is_sooner)

    async def _watch(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run a background function. If it raises, fail the client."""
        try:
            await function()
        except Exception as error:  # noqa: BLE001
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """End the client because of a bug in this package, and log the error."""
        _clear_locals(error)  # one of them may be the frame with the key
        if not self._has_failed:  # or it is in the middle of this
            self._has_failed = True
            self.session.close(f"a bug in runware_ws: {type(error).__name__}")
            self._end()
        _log.error("the client failed; this is a bug in runware_ws", exc_info=error)


def _unwritten(task: Task) -> TaskTimeoutError:
    detail = "its result is here, and not in the journal yet"
    return TaskTimeoutError(task.uuid, "accepted", task.timeout or 0.0, detail)


def _clear_locals(error: BaseException | None) -> None:
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class _Ping:
    """A caller that waits for the answer to a ping."""

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
