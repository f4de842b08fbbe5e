"""The client's side of the protocol, as a state machine without I/O.

Everything that happens comes in as a call with the time (`receive`, `lost`, `handle_timer` …),
everything to be done goes out as one ordered list of effects (`take_effects`), and the bytes to
be written are fetched, a frame at a time, when the writer is free (`next_frame`). The session
says when it wants to be called next (`next_timer`).

It knows the tasks that are not settled, by taskUUID, which alone routes an answer: the taskType of
an answer differs from the request, and the order means nothing. It refuses to know whether an
answer comes once, and on which connection: a replay may come before the reply to the key.

Invariants: a task is settled exactly once, and from then on unknown here; a settled task holds no
bytes; a taskUUID is replaced only after the server declared that the task failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import (
    ClientClosedError,
    ConnectionLostError,
    ProtocolError,
    RunwareError,
    TaskCancelledError,
    TaskTimeoutError,
)
from ..settings import Settings
from .answers import Subject, subject_of
from .attribution import Attribution, TooLarge
from .authenticator import Authenticator, Verdict, refusal
from .concurrency_limit import ConcurrencyLimit
from .connection_state import ConnectionState
from .dispatcher import Dispatcher
from .effects import Connect, Disconnect, Effect, Frame, Pong, Record
from .reconcile import Reconciler
from .reconnector import ClientState, Reconnector
from .secret import Secret
from .send_queue import SendQueue
from .task_table import TaskTable
from .tasks import Evidence, Stage, Task, Transition, move
from .wire import ErrorItem, Item, decode


class Session:
    """All tasks, over however many connections it takes.

    Attributes:
        tasks: those that are not settled, by their names; to be looked at only.
        find: returns the task of a name, or with an attempt of a UUID, or None.
        counters: what happened so far.
        reconnector: the state of being connected, or not.
        failure: what ended the client, if it failed.

    Args:
        settings: the client's settings.
        api_key: the key.
        new_uuid: returns a new UUID v4 in lower case.
        rng: returns a random number from 0 to 1, for jitter.
        journaled: whether a task is sent only after `recorded` was called for it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        api_key: Secret,
        new_uuid: Callable[[], str],
        rng: Callable[[], float],
        journaled: bool = False,
    ) -> None:
        self._settings = settings
        self._journaled = journaled
        self._timing = timing = settings.timing
        self._key = api_key
        may_resend = settings.on_doubt == "resend"
        limit = ConcurrencyLimit(settings.max_in_flight, timing, rng, adaptive=settings.adaptive)
        self._table = TaskTable(timing, new_uuid, rng, limit=limit, may_resend=may_resend)
        self.tasks: Mapping[str, Task] = self._table.tasks
        self.find: Callable[[str], Task | None] = self._table.find
        self.counters = self._table.counters
        self.reconnector = Reconnector(rng, settings.max_reconnect_time, timing)
        self.failure: RunwareError | None = None
        self._authenticator = Authenticator(self._table, self.reconnector, timing)
        self._reconciler = Reconciler(self._table, settings)
        self._dispatcher = Dispatcher(self._table, self._reconciler, timing)
        self._attribution = Attribution(self._table, self._reconciler, settings)
        self._send_queue = SendQueue(api_key, settings, self._table, self._reconciler)
        self._writing: Frame | None = None

    # What the caller wants.

    def start(self, now: float) -> None:
        """Connect, and stay connected."""
        self.reconnector.start(now)
        self._table.timers.moved = True

    def submit(self, task: Task, now: float) -> None:
        """Run a new task, whose UUID must not be among `tasks`."""
        # Rounded, so that tasks of one second share a timer.
        self._table.add(task, float(int(now + self._timing.overdue)))
        self._enqueue(task)

    def _enqueue(self, task: Task) -> None:
        if self._journaled and task.origin is not None:
            self._table.effects.append(Record(task))
        else:
            self._table.pending.add(task, task.priority)

    def recorded(self, task: Task) -> None:
        """Send a task whose `Record` was performed."""
        if task.stage is Stage.QUEUED:
            self._table.pending.add(task, task.priority)

    def attach(self, task: Task, now: float) -> None:
        """Find a task that another session may have sent."""
        self._table.add(task, float(int(now + self._timing.overdue)))
        move(task, Transition.WRITE)
        move(task, Transition.DOUBT)
        self._table.enter_flight(task)
        task.evidence = Evidence.WRITTEN
        link = self._table.link
        if link is not None and link.ready and link.replay_end is None:
            self._reconciler.ask(link, task, now)

    def cancel(self, task: Task) -> None:
        """Give a task up. The server finishes and bills it all the same."""
        if task.stage is not Stage.SETTLED:
            self._give_up(task, TaskCancelledError(task.uuid))

    def ping(self) -> bool:
        """Write a ping; its answer is an effect. Return False if there is no connection for it."""
        link = self._table.link
        if link is None or not link.ready:
            return False
        link.keepalive.ping_wanted = True
        return True

    def fail(self, error: RunwareError) -> None:
        """End for good, and for this reason."""
        self.failure = error
        self._end("failed", lambda _: type(error)(*error.args), str(error))

    def close(self, reason: str) -> None:
        """End for good: whatever is not settled fails."""
        self._end("closed", lambda task: ClientClosedError(reason, task.uuid), reason)

    # What the connection does.

    def connected(self, now: float) -> None:
        """Take note of a connection that is open."""
        self._table.timers.moved = True
        self.reconnector.state = "authenticating"
        self._table.link = ConnectionState(
            now,
            resuming=self.reconnector.session_uuid,
            keepalive=self._settings.keepalive,
            ping_timeout=self._settings.ping_timeout,
        )

    def receive(self, frame: bytes | bytearray | memoryview | str, now: float) -> None:
        """Take a frame. Whatever it holds, this does not raise."""
        link = self._table.link
        if link is None:
            return
        if link.keepalive.awaits_bytes:
            self._table.timers.moved = True  # from now on the next ping is due again
        link.keepalive.heard(now)
        successes = self.counters.succeeded
        self.counters.frames_received += 1
        try:
            items, errors = decode(self._key.hidden_in(frame))
        except ProtocolError:
            self._dispatcher.garbled(link)
            return
        for item in items:
            self._on_item(link, item, now)
        for error in errors:
            if self._table.link is link:  # one before it may have ended the connection
                self._on_error(link, error, now)
        if not items and not errors:
            self._dispatcher.nothing_found(link, now)
        if self._table.inquiry is not None:
            self._attribution.conclude(now)
        if self.reconnector.unproved and link.ready:
            is_good = self.counters.succeeded > successes or link.age(now) > self._timing.proof
            self.reconnector.prove(is_good)

    def next_frame(self, now: float) -> Frame | None:
        """Return what to write next, or None. `written` is called once it has left."""
        link = self._table.link
        if link is None:
            return None
        if link.ready:
            self._attribution.look_into(link, now)
            frame = self._send_queue.next(link, now)
        else:
            frame = self._send_queue.authentication(link, now + self._settings.auth_timeout)
        if frame is not None:
            self.counters.frames_sent += 1
            self._writing = frame
            if link.keepalive.begins(frame, now) or not link.ready:
                self._table.timers.moved = True
        return frame

    def written(self, frame: Frame, now: float) -> None:
        """Take note that all bytes of a frame have been handed over, so that it may arrive."""
        self._writing = None
        if self._table.link is not None and self._table.link.keepalive.wrote(frame, now):
            self._table.timers.moved = True

    @property
    def has_frame(self) -> bool:
        """Whether there may be a frame to be written."""
        link = self._table.link
        return link is not None and self._send_queue.has_frame(link)

    def traffic(self, heard_at: float, unsent_bytes: int, now: float) -> None:
        """Take note of what is below the level of frames: see `Keepalive`."""
        if (link := self._table.link) is not None:
            self._table.timers.moved = True
            link.keepalive.heard(heard_at)
            link.keepalive.moved(unsent_bytes, now)

    def lost(self, reason: str, now: float, *, too_large: TooLarge | None = None) -> None:
        """Take note that the connection ended, or could not be made.

        Args:
            reason: why, in words.
            now: the time.
            too_large: ``sent`` if the server found a frame too large, ``heard`` if one of its own
                was larger than ``max_size``.
        """
        if self.reconnector.ended:
            return
        reason = self._key.hidden_in(reason)
        link = self._table.link
        self._table.timers.moved = True
        if link is not None and too_large is not None:
            self._attribution.too_large(link, too_large)
        if too_large == "heard":
            self.reconnector.session_uuid = None  # the replay would bring the same frame again
        self._table.link = None
        self.reconnector.lost(reason, now)
        if link is not None:
            unwritten, self._writing = self._writing, None
            self._reconciler.connection_lost(unwritten.tasks if unwritten is not None else ())
            if (failure := self._authenticator.ended(link)) is not None:
                self.fail(failure)
        self._table.notify("lost", reason)
        if self.reconnector.gives_up(now):
            self._give_up_connecting()

    def take_effects(self) -> list[Effect]:
        """Return what is to be done, in order; each effect is handed out once."""
        effects, self._table.effects = self._table.effects, []
        return effects

    @property
    def limit(self) -> int:
        """How many tasks may be in flight at present."""
        return self._table.limit.limit

    # Time.

    def next_timer(self) -> float | None:
        """Return when `handle_timer` wants to be called, or None."""
        self._table.timers.moved = False
        link, reconnector = self._table.link, self.reconnector
        connection = None if link is None else link.next_timer()
        tasks = self._table.timers.next()
        limit = self._table.limit.next_timer()
        times = (tasks, connection, limit, reconnector.connect_at, reconnector.give_up_at)
        return min((time for time in times if time is not None), default=None)

    @property
    def timer_moved(self) -> bool:
        """Whether `next_timer` may be sooner than it last was."""
        return self._table.timers.moved

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        self._table.timers.moved = True
        give_up_at, connect_at = self.reconnector.give_up_at, self.reconnector.connect_at
        if give_up_at is not None and give_up_at <= now:
            self._give_up_connecting()
        elif connect_at is not None and connect_at <= now:
            self.reconnector.attempt()
            self._table.effects.append(Connect())
        if self._table.link is not None:
            self._look_after(self._table.link, now)
        self._table.limit.handle_timer(now)
        self._table.tell_limit()
        for task in self._table.timers.pop_due(now):
            self._on_due(task, now)
        self._attribution.conclude(now)

    def _look_after(self, link: ConnectionState, now: float) -> None:
        if reason := link.why_dead(now):
            self._drop(reason, now)
            return
        if link.ready and link.keepalive.ping_is_due(now):
            link.keepalive.ping_wanted = True
        if link.replay_end is not None and link.replay_end <= now:
            self._reconciler.replay_over(link, now)

    def _on_due(self, task: Task, now: float) -> None:
        link = self._table.link
        if task.deadline is not None and task.deadline <= now:
            self._time_out(task)
        elif task.wake is None or task.wake > now:
            self._table.timers.schedule(task, task.wake)
        elif task.stage is Stage.QUEUED:
            self._table.timers.schedule(task, None)
            self._enqueue(task)
        elif link is not None and link.ready:
            self._reconciler.due(link, task, now)

    def _time_out(self, task: Task) -> None:
        detail = self.reconnector.why_away or task.why_refused
        error = TaskTimeoutError(task.uuid, task.stage.value, task.timeout or 0.0, detail)
        self._give_up(task, error)

    def _give_up(self, task: Task, error: RunwareError) -> None:
        """Settle a task without a word from the server, which may still have one to say."""
        self._table.abandon(task, task.sent_at + self._timing.known_limit)
        self._table.settle(task, error)

    # Authentication.

    def _on_authenticated(self, link: ConnectionState, item: Item, now: float) -> None:
        if link.ready:
            return
        self._table.timers.moved = True
        resumed = self._authenticator.accepted(link, item)
        if resumed is None:  # Runware's SDKs take that for a failure
            self._drop("the reply to the authentication names no session", now)
        else:
            self._reconciler.connection_ready(link, resumed, now)

    def _on_key_refused(self, link: ConnectionState, error: ErrorItem, now: float) -> None:
        verdict = self._authenticator.refused(link, error)
        if verdict is Verdict.FATAL:
            self.fail(refusal(error))
        elif verdict is Verdict.BREAKER:
            reason = str(refusal(error))
            self._drop(reason, now)
            if not self.reconnector.ended:
                self.reconnector.refused(reason, now)
                self._table.notify("key_refused", reason)

    # Answers.

    def _on_item(self, link: ConnectionState, item: Item, now: float) -> None:
        if (task := self._table.find(item.get("taskUUID"))) is not None:
            self._dispatcher.item(link, task, item, now)
            return
        kind = item.get("taskType")
        if kind == "authentication":
            self._on_authenticated(link, item, now)
        elif kind == "ping":
            self._on_pong(link, now)
        else:
            self._table.drop(item, item.get("taskUUID"))

    def _on_pong(self, link: ConnectionState, now: float) -> None:
        if (seconds := link.keepalive.pong(now)) is not None:
            self._table.effects.append(Pong(seconds))

    def _on_error(self, link: ConnectionState, error: ErrorItem, now: float) -> None:
        if error.task_uuid is not None:
            if (task := self._table.find(error.task_uuid)) is not None:
                self._dispatcher.error(link, task, error, now)
            else:
                self._table.drop(error, error.task_uuid)
            return
        subject = subject_of(error, ready=link.ready)
        # After a key was refused and then accepted, the error is about a task that it may not run.
        accepted_again = link.ready and self.reconnector.in_doubt
        if subject is Subject.PING:
            self._on_pong(link, now)  # an error is an answer too
        elif subject is Subject.EARLY and self._authenticator.may_be_refusal(link, error, now):
            self._table.timers.moved = True
        elif subject is Subject.EARLY or (subject is Subject.KEY and not accepted_again):
            self._on_key_refused(link, error, now)
        elif link.ready:
            self._dispatcher.error_without_name(link, error, now)

    # Ends.

    def _drop(self, reason: str, now: float) -> None:
        self._table.effects.append(Disconnect())
        self.lost(reason, now)

    def _give_up_connecting(self) -> None:
        limit = self._settings.max_reconnect_time
        reason = f"no connection for {limit:g} s (max_reconnect_time): {self.reconnector.reason}"
        self.failure = ConnectionLostError(reason)
        self._end("failed", lambda task: ConnectionLostError(reason, task.uuid), reason)

    def _end(
        self, state: ClientState, error_for: Callable[[Task], RunwareError], reason: str
    ) -> None:
        if self.reconnector.ended:
            return
        for task in list(self.tasks.values()):
            self._table.settle(task, error_for(task))
        self._table.pending.clear()
        self.reconnector.end(state, reason)
        self._table.notify("closed", reason)
        self._table.effects.append(Disconnect())
        self._table.link = None
