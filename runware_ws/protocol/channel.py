"""A channel to the service: a connection that is made again whenever it is lost.

The first channel is the main one: it is opened with the client, and a key that it finds to be wrong
ends the client. The others are opened when they are of use, so that small tasks do not wait behind
large ones. They may fail, since an account may have a limit of connections: what they would carry
travels on the main channel then, and they are tried again ever more rarely.

Each channel has a session, a replay and a backoff of its own. The tasks are shared: an answer
settles its task on whichever channel it comes, and a task in doubt is asked for on any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from ..errors import ProtocolError, RunwareError
from ..escaping import escaped
from ..settings import Settings
from .answers import Subject, subject_of
from .attribution import Attribution, TooLarge
from .authenticator import Authenticator, RefusalAction, refusal
from .connection_state import ConnectionState
from .dispatcher import Dispatcher
from .effects import Connect, Disconnect, Frame, Pong
from .reconcile import Reconciler
from .reconnector import Reconnector
from .secret import Secret
from .send_queue import SendQueue, Takes
from .task_table import TaskTable
from .tasks import Task
from .wire import ErrorItem, Item, decode

_SMALL = Takes()


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a session that all its channels share."""

    settings: Settings
    key: Secret
    table: TaskTable
    reconciler: Reconciler
    dispatcher: Dispatcher
    attribution: Attribution
    send_queue: SendQueue
    fail: Callable[[RunwareError], None]
    give_up_connecting: Callable[[], None]


class Channel:
    """A connection that is made again whenever it is lost.

    Args:
        index: 0 for the main channel.
        parts: what it shares with the others.
        channels: all channels of the session.
        rng: returns a random number from 0 to 1, for jitter.

    Attributes:
        connection: the state of the present connection, or None.
        reconnector: the state of being connected, or not.
        coming_until: until when large tasks wait for an attempt to connect; None if they do not.
    """

    def __init__(
        self, index: int, parts: Parts, channels: Sequence[Channel], rng: Callable[[], float]
    ) -> None:
        self.index = index
        self.connection: ConnectionState | None = None
        self.coming_until: float | None = None
        self._parts = parts
        self._table = parts.table
        self._timing = timing = parts.settings.timing
        self._channels = channels
        limit = None if index else parts.settings.max_reconnect_time
        delays = timing.breaker if index else timing.reconnect
        self.reconnector = Reconnector(rng, limit, timing, delays)
        self._authenticator = Authenticator(self._table, self.reconnector, timing)
        self._writing: Frame | None = None

    @property
    def is_ready(self) -> bool:
        """Return whether it is connected, and the service has accepted the key."""
        return self.connection is not None and self.connection.ready

    def start(self, now: float) -> None:
        """Connect, and stay connected."""
        self.reconnector.start(now)
        self.coming_until = now + self._timing.coming
        self._table.timers.moved = True

    # What the connection does.

    def connected(self, now: float) -> None:
        """Handle a connection that has been opened."""
        self._table.timers.moved = True
        self.reconnector.state = "authenticating"
        settings = self._parts.settings
        self.connection = ConnectionState(
            now,
            resuming=self.reconnector.session_uuid,
            keepalive=settings.keepalive,
            ping_timeout=settings.ping_timeout,
            gap=self._timing.gap,
        )

    def receive(self, frame: bytes | bytearray | memoryview | str, now: float) -> None:
        """Handle a frame. It never raises, whatever the frame holds."""
        connection = self.connection
        if connection is None:
            return
        if connection.keepalive.heard(now):
            self._table.timers.moved = True
        counters = self._table.counters
        successes = counters.succeeded
        counters.frames_received += 1
        counters.bytes_received += len(frame)
        try:
            items, errors = decode(frame, self._parts.key)
        except ProtocolError:
            self._parts.dispatcher.garbled(connection)
            return
        find, dispatcher = self._table.find, self._parts.dispatcher
        for item in items:
            if (task := find(item.get("taskUUID"))) is not None:
                dispatcher.item(connection, task, item, now)
            else:
                self._on_item_of_no_task(connection, item, now)
        for error in errors:
            if self.connection is connection:  # one before it may have ended the connection
                self._on_error(connection, error, now)
        if not items and not errors:
            self._parts.dispatcher.nothing_found(connection, now)
        if connection.inquiry is not None and self.connection is connection:
            self._parts.attribution.conclude(connection, now)
        if self.reconnector.unproved and connection.ready:
            is_good = counters.succeeded > successes or connection.age(now) > self._timing.proof
            self.reconnector.prove(is_good)

    def next_frame(self, now: float) -> Frame | None:
        """Return what to write next, or None. `written` is called once it has left."""
        connection = self.connection
        if connection is None:
            return None
        parts = self._parts
        if connection.ready:
            if connection.missed_answer:
                parts.attribution.look_into_garbled(connection, now)
            frame = parts.send_queue.next(connection, now, self._takes(connection, now))
        else:
            frame = parts.send_queue.authentication(connection, now + parts.settings.auth_timeout)
        if frame is not None:
            self._table.counters.frames_sent += 1
            self._table.counters.bytes_sent += len(frame.data)
            self._writing = frame
            if connection.keepalive.begins(frame, now) or not connection.ready:
                self._table.timers.moved = True
        self._note_large(connection, frame, now)
        return frame

    def _note_large(self, connection: ConnectionState, frame: Frame | None, now: float) -> None:
        """Note whether large frames follow each other."""
        if frame is not None and len(frame.data) > self._parts.settings.max_frame_bytes:
            if connection.sending.goes_on(now, connection.sent_bytes):
                self._table.timers.moved = True
        elif frame is None or not self._table.bulk.count:  # a small one may be between large ones
            connection.sending.ends(now)
        if frame is not None:
            connection.sent_bytes += len(frame.data)

    def arriving(self, total_bytes: int, now: float, *, is_partial: bool) -> None:
        """Record that a part of a frame has been received, or no longer.

        Args:
            total_bytes: number of bytes that were received on this connection so far.
            now: the time.
            is_partial: whether it is so now.
        """
        if self.connection is None:
            return
        if is_partial:
            if self.connection.receiving.goes_on(now, total_bytes):
                self._table.timers.moved = True
        else:
            self.connection.receiving.ends(now)

    def _takes(self, connection: ConnectionState, now: float) -> Takes:
        """Return which kinds of tasks may be sent here.

        Small ones travel on the first channel that is ready. It takes large ones, too, as long as
        there is no other channel, or none small has come for a while.
        """
        if not self._table.bulk_tasks and not self.index:
            return _SMALL
        ready = [one for one in self._channels if one.is_ready]
        is_first, has_other = ready[0] is self, len(ready) > 1
        is_alone = not has_other and all(one.coming_until is None for one in self._channels)
        is_open_to_all = is_alone or now >= self._table.small_until
        takers = ready if is_open_to_all else ready[1:]
        return Takes(
            small=is_first,
            bulk=self in takers,
            has_other=is_first and has_other,
            answers=self._share_of(connection, takers) if self in takers else 0,
        )

    def _share_of(self, connection: ConnectionState, takers: Sequence[Channel]) -> int:
        """Return how many more tasks with large answers may be sent here.

        Their frames are small, so the first channel could take all of them. But each answer comes
        on the channel of its task, and a line may limit each connection. A channel that is in the
        middle of a frame has no share: tasks would wait for it while others have nothing to do.
        """
        table = self._table
        free = [
            one.connection.bulk_in_flight
            for one in takers
            if one.connection is not None and (one is self or one._writing is None)
        ]
        total = sum(free) + min(table.bulk.count, table.limit.room())
        return ceil(total / len(free)) - connection.bulk_in_flight

    def written(self, frame: Frame, now: float) -> None:
        """Record that all bytes of a frame were handed over, so that it may arrive."""
        self._writing = None
        if self.connection is not None and self.connection.keepalive.wrote(frame, now):
            self._table.timers.moved = True

    @property
    def has_frame(self) -> bool:
        """Return whether there may be a frame to be written."""
        connection, table = self.connection, self._table
        if connection is None:
            return False
        if not connection.ready:
            return not connection.auth_written
        if (table.small.count or table.bulk.count) and table.limit.room() > 0:
            return True
        if connection.keepalive.ping_wanted or connection.missed_answer:
            return True
        return connection.has_questions or (bool(table.resends) and table.room_for_resends() > 0)

    def traffic(self, heard_at: float, unsent_bytes: int, total_bytes: int, now: float) -> None:
        """Record traffic below the level of frames.

        Args:
            heard_at: the time at which bytes were received last.
            unsent_bytes: number of bytes that were handed over, and have not left.
            total_bytes: number of bytes that were received on this connection so far.
            now: the time.
        """
        connection = self.connection
        if connection is not None:
            self._table.timers.moved = True
            connection.keepalive.heard(heard_at)
            connection.keepalive.moved(unsent_bytes, now)
            connection.sending.measure(now, connection.sent_bytes - unsent_bytes)
            connection.receiving.measure(now, total_bytes)

    def lost(self, reason: str, now: float, *, too_large: TooLarge | None = None) -> None:
        """Handle a connection that ended, or could not be made.

        Args:
            reason: why, in words.
            now: the time.
            too_large: ``sent`` if the server found a frame too large, ``heard`` if one of its own
                was larger than ``max_size``.
        """
        if self.reconnector.ended:
            return
        reason = escaped(self._parts.key.hidden_in(reason))
        connection, self.connection = self.connection, None
        self.coming_until = None
        self._table.timers.moved = True
        if connection is not None and too_large is not None:
            self._parts.attribution.too_large(connection, too_large)
        if too_large == "heard":
            self.reconnector.session_uuid = None  # the replay would bring the same frame again
        self.reconnector.lost(reason, now)
        if connection is not None:
            self._doubt_tasks_of(connection, now)
            failure = self._authenticator.ended(connection)
            if failure is not None and not self.index:
                self._parts.fail(failure)
        self._table.notify("lost", reason, connection=self.index)
        if self.reconnector.gives_up(now) and not any(one.is_ready for one in self._channels):
            self._parts.give_up_connecting()

    def _doubt_tasks_of(self, connection: ConnectionState, now: float) -> None:
        connection.ended = True
        frame, self._writing = self._writing, None
        unwritten: Sequence[Task] = () if frame is None else frame.tasks
        others = ready_connections(self._channels)
        self._parts.reconciler.connection_lost(connection, unwritten, others, now)

    def close(self) -> None:
        """Drop the connection for good."""
        self.connection = None
        self._table.effects.append(Disconnect(self.index))

    # Time.

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is to be called, or None."""
        times = (
            None if self.connection is None else self.connection.next_timer(),
            self.reconnector.connect_at,
            self.reconnector.give_up_at,
            self.coming_until,
        )
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        connect_at = self.reconnector.connect_at
        give_up_at = self.reconnector.give_up_at
        if give_up_at is not None and give_up_at <= now:
            if not any(one.is_ready for one in self._channels):
                self._parts.give_up_connecting()
        elif connect_at is not None and connect_at <= now:
            self.coming_until = now + self._timing.coming
            self.reconnector.attempt()
            self._table.effects.append(Connect(self.index))
        if self.coming_until is not None and self.coming_until <= now:
            self.coming_until = None
        connection = self.connection
        if connection is None:
            return
        if reason := connection.why_dead(now):
            self._drop(reason, now)
            return
        if connection.ready and connection.keepalive.ping_is_due(now):
            connection.keepalive.ping_wanted = True
        if connection.replay_end is not None and connection.replay_end <= now:
            self._parts.reconciler.replay_over(connection, now)
        self._parts.attribution.conclude(connection, now)

    def _drop(self, reason: str, now: float) -> None:
        self._table.effects.append(Disconnect(self.index))
        self.lost(reason, now)

    # Authentication.

    def _on_authenticated(self, connection: ConnectionState, item: Item, now: float) -> None:
        if connection.ready:
            return
        self._table.timers.moved = True
        resumed = self._authenticator.accepted(connection, item)
        if resumed is None:  # Runware's SDKs take that for a failure
            self._drop("the reply to the authentication names no session", now)
        else:
            self.coming_until = None
            text = self.reconnector.session_uuid or ""
            self._table.notify("connected", text, resumed=resumed, connection=self.index)
            self._parts.reconciler.connection_ready(connection, resumed, now)

    def _on_key_refused(self, connection: ConnectionState, error: ErrorItem, now: float) -> None:
        action = self._authenticator.refused(connection, error)
        if action is RefusalAction.FAIL and not self.index:
            self._parts.fail(refusal(error))
        elif action is not RefusalAction.AUTHENTICATE_AGAIN:
            reason = str(refusal(error))
            self._drop(reason, now)
            if not self.reconnector.ended:
                self.reconnector.refused(reason, now)
                self._table.notify("key_refused", reason, connection=self.index)

    # Answers.

    def _on_item_of_no_task(self, connection: ConnectionState, item: Item, now: float) -> None:
        kind = item.get("taskType")
        if kind == "authentication":
            self._on_authenticated(connection, item, now)
        elif kind == "ping":
            self._on_pong(connection, now)
        else:
            self._table.drop(item, item.get("taskUUID"))

    def _on_pong(self, connection: ConnectionState, now: float) -> None:
        if (seconds := connection.keepalive.pong(now)) is not None:
            self._table.effects.append(Pong(seconds))

    def _on_error(self, connection: ConnectionState, error: ErrorItem, now: float) -> None:
        if error.task_uuid is not None:
            if (task := self._table.find(error.task_uuid)) is not None:
                self._parts.dispatcher.error(connection, task, error, now)
            else:
                self._table.drop(error, error.task_uuid)
            return
        subject = subject_of(error, ready=connection.ready)
        # After a key was refused and then accepted, the error is about a task that it may not run.
        accepted_again = connection.ready and self.reconnector.in_doubt
        if subject is Subject.PING:
            self._on_pong(connection, now)  # an error is an answer too
        elif subject is Subject.EARLY and self._authenticator.hold_early_error(
            connection, error, now
        ):
            self._table.timers.moved = True
        elif subject is Subject.EARLY or (subject is Subject.KEY and not accepted_again):
            self._on_key_refused(connection, error, now)
        elif connection.ready:
            self._parts.dispatcher.error_without_name(connection, error, now)


def ready_connections(channels: Sequence[Channel]) -> list[ConnectionState]:
    """Return the connections whose key the service has accepted, in the order of the channels."""
    connections = [channel.connection for channel in channels]
    return [one for one in connections if one is not None and one.ready]
