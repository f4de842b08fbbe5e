"""The client's side of the protocol, as a state machine without I/O.

Everything that happens comes in as a call with the time (`receive`, `lost`, `handle_timer` …),
everything to be done goes out as one ordered list of effects (`take_effects`), and the bytes to
be written are fetched, a frame at a time, when the writer is free (`next_frame`). The session
says when it wants to be called next (`next_timer`).

What it knows: the tasks that are not settled, by taskUUID, which is the only thing that routes
an answer: its taskType is another than the request's [D], and the order means nothing.

What it refuses to know: on which connection an answer comes (a replay may come before the reply
to the authentication [S][?]), whether an answer comes once, and what an unknown member means.

Invariants: a task is settled exactly once, and from then on unknown here; a settled task holds
no bytes; a taskUUID is replaced only on the server's word that the task failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..error_codes import code_info
from ..errors import (
    ClientClosedError,
    ConnectionLostError,
    ProtocolError,
    RunwareError,
    TaskCancelledError,
    TaskTimeoutError,
)
from ..settings import Settings
from .answers import Subject, is_fatal, refusal, subject_of
from .connection_state import ConnectionState
from .dispatcher import Dispatcher
from .effects import Connect, Disconnect, Effect, Frame, Pong, Record
from .reconcile import OVERDUE, Reconciler
from .reconnector import ClientState, Reconnector
from .secret import Secret
from .send_queue import SendQueue
from .task_table import TaskTable
from .tasks import Stage, Step, Task, Transition, move
from .wire import ErrorItem, Item, decode

__all__ = ["Session"]


class Session:
    """All tasks, over however many connections it takes.

    Attributes:
        tasks: those that are not settled, by taskUUID; to be looked at only.
        renamed: likewise, of those tried again: the taskUUID that the caller gave.
        counters: what happened so far.
        reconnector: being connected, or not.
        failure: what ended the client, if it failed.

    Args:
        settings: the client's settings.
        api_key: the key.
        new_uuid: gives a UUID v4 in lower case.
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
        self._table = TaskTable(new_uuid, rng)
        self.tasks: Mapping[str, Task] = self._table.tasks
        self.renamed: Mapping[Task, str] = self._table.renamed
        self.counters = self._table.counters
        self.reconnector = Reconnector(rng, settings.max_reconnect_time)
        self.failure: RunwareError | None = None
        self._settings = settings
        self._journaled = journaled
        self._key = api_key
        self._reconciler = Reconciler(self._table)
        self._dispatcher = Dispatcher(self._table, self._reconciler, settings.max_retries)
        self._send_queue = SendQueue(api_key, settings, self._reconciler)

    # What the caller wants.

    def start(self, now: float) -> None:
        """Connect, and stay connected."""
        self.reconnector.start(now)
        self._table.timers.moved = True

    def submit(self, task: Task, now: float) -> None:
        """Run a new task, whose UUID must not be among `tasks`."""
        # One moment serves for most of its life, and for all that came in the same second.
        self._table.add(task, float(int(now + OVERDUE)))
        self._enqueue(task)

    def _enqueue(self, task: Task) -> None:
        if self._journaled:
            self._table.effects.append(Record(task))
        else:
            self._send_queue.add(task)

    def recorded(self, task: Task) -> None:
        """Send a task whose `Record` was performed."""
        if task.stage is Stage.QUEUED:
            self._send_queue.add(task)

    def attach(self, task: Task, now: float) -> None:
        """Find a task again that was sent long ago, or by somebody else, or perhaps never."""
        self._table.add(task, float(int(now + OVERDUE)))
        move(task, Transition.WRITE)  # long ago, by somebody
        move(task, Transition.DOUBT)
        if self._table.link is not None and self._table.link.ready:
            self._reconciler.ask(self._table.link, task, now)
        else:
            task.step = Step.REPLAY

    def cancel(self, task: Task) -> None:
        """Give a task up. The server finishes (and bills) it all the same [S]."""
        if task.stage is not Stage.SETTLED:
            self._reconciler.give_up(task, TaskCancelledError(task.uuid))

    def ping(self) -> bool:
        """Write a ping; its answer is an effect. Whether there is a connection for it."""
        link = self._table.link
        if link is None or not link.ready:
            return False
        link.ping_wanted = True
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
        """A connection is open."""
        self._table.timers.moved = True
        self.reconnector.state = "authenticating"
        self._table.link = ConnectionState(
            now,
            resuming=self.reconnector.session_uuid,
            keepalive=self._settings.keepalive,
            ping_timeout=self._settings.ping_timeout,
        )

    def receive(self, frame: bytes | bytearray | memoryview | str, now: float) -> None:
        """A frame came in. Whatever it holds, this does not raise."""
        link = self._table.link
        if link is None:
            return
        if link.heard(now):
            self._table.timers.moved = True  # from now on the next ping is due again
        successes = self.counters.succeeded
        self.counters.frames_received += 1
        try:
            items, faults = decode(self._key.hidden_in(frame))
        except ProtocolError:
            self._dispatcher.garbled(link)
            return
        for item in items:
            self._on_item(link, item, now)
        for fault in faults:
            if self._table.link is link:  # one before it may have ended the connection
                self._on_fault(link, fault, now)
        if not items and not faults:
            self._dispatcher.nothing_found(link, now)
        may_prove = link.ready and self.reconnector.unproved
        if may_prove and (self.counters.succeeded > successes or link.has_lasted(now)):
            self.reconnector.proved()

    def written(self, frame: Frame, now: float) -> None:
        """A frame from `next_frame` was written."""
        if self._table.link is not None and self._table.link.wrote(frame, now):
            self._table.timers.moved = True

    def traffic(self, heard_at: float, unsent_bytes: int, now: float) -> None:
        """What the transport saw below the level of frames: see `ConnectionState`."""
        if self._table.link is not None:
            self._table.timers.moved = True
            self._table.link.heard(heard_at)
            self._table.link.moved(unsent_bytes, now)

    def lost(self, reason: str, now: float, *, too_big: str = "") -> None:
        """The connection ended, or could not be made.

        Args:
            reason: why, in words.
            now: the time.
            too_big: when it ended over the size of a frame, what to do about that.
        """
        if self.reconnector.ended:
            return
        reason = self._key.hidden_in(reason)
        link, self._table.link = self._table.link, None
        self._table.timers.moved = True
        if too_big:
            self._on_too_big(link, too_big)
        self.reconnector.lost(reason, now)
        if link is not None:
            self._reconciler.connection_lost()
            self._on_early_end(link)
        self._table.notify("lost", reason)
        if self.reconnector.gives_up(now):
            self._give_up()

    def next_frame(self, now: float) -> Frame | None:
        """What to write next, or None."""
        link = self._table.link
        if link is None:
            return None
        if link.ready:
            frame = self._send_queue.next(link, now)
        else:
            frame = self._send_queue.authentication(link, now + self._settings.auth_timeout)
        if frame is not None:
            self._table.counters.frames_sent += 1
            if link.begins(frame, now):
                self._table.timers.moved = True
        return frame

    @property
    def has_frame(self) -> bool:
        """Whether `next_frame` is worth a call."""
        link = self._table.link
        return link is not None and self._send_queue.waits(link)

    def take_effects(self) -> list[Effect]:
        """What is to be done, in order; each effect is handed out once."""
        effects, self._table.effects = self._table.effects, []
        return effects

    # Time.

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called, or None."""
        self._table.timers.moved = False
        link = self._table.link
        moments = [self._table.timers.next(), *self.reconnector.moments()]
        if link is not None:
            moments += link.moments()
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def timer_moved(self) -> bool:
        """Whether `next_timer` may be nearer than it last was."""
        return self._table.timers.moved

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        self._table.timers.moved = True
        give_up_at, connect_at = self.reconnector.give_up_at, self.reconnector.connect_at
        if give_up_at is not None and give_up_at <= now:
            self._give_up()
        elif connect_at is not None and connect_at <= now:
            self.reconnector.attempt()
            self._table.effects.append(Connect())
        if self._table.link is not None:
            self._look_after(self._table.link, now)
        for task in self._table.timers.pop_due(now):
            self._on_due(task, now)

    def _look_after(self, link: ConnectionState, now: float) -> None:
        if reason := link.verdict(now):
            self._drop(reason, now)
            return
        link.look(now)
        if link.replay_end is not None and link.replay_end <= now:
            self._reconciler.replay_over(link, now)

    def _on_due(self, task: Task, now: float) -> None:
        if task.deadline is not None and task.deadline <= now:
            self._time_out(task)
        elif task.wake is None or task.wake > now:
            self._table.timers.schedule(task, task.wake)
        elif task.stage is Stage.QUEUED:
            self._table.timers.schedule(task, None)
            self._enqueue(task)
        elif self._table.link is not None and self._table.link.ready:
            self._dispatcher.due(self._table.link, task, now)

    def _time_out(self, task: Task) -> None:
        stage, why = task.stage.value, self.reconnector.why_away
        error = TaskTimeoutError(task.uuid, stage, task.timeout or 0.0, why)
        self._reconciler.give_up(task, error)

    # Authentication.

    def _on_authenticated(self, link: ConnectionState, item: Item, now: float) -> None:
        session_uuid = item.get("connectionSessionUUID")
        if link.ready:
            return
        self._table.timers.moved = True
        if not isinstance(session_uuid, str):  # a failure, as the SDKs see it [S]
            self._drop("the reply to the authentication names no session", now)
            return
        self._table.counters.reconnects += self.reconnector.ever_ready
        resumed = self.reconnector.ready(session_uuid)
        if not resumed:
            self._table.abandoned.clear()
        link.ready, link.auth_deadline = True, None
        self._table.notify("connected", session_uuid, resumed=resumed)
        self._reconciler.connection_ready(link, resumed, now)

    def _on_key_refused(self, link: ConnectionState, fault: ErrorItem, now: float) -> None:
        error = refusal(fault)
        if not link.ready and link.resuming is not None:
            # A refused session must not keep the client out for ever [S]. What was refused may
            # have been the key, though: then the session is worth another try later.
            link.resuming = None
            self.reconnector.resume_failed()
            if not code_info(fault.code).about_key:
                self.reconnector.session_uuid = None
            link.auth_written = False
        elif not self.reconnector.ever_ready and is_fatal(fault):
            self.fail(error)
        else:
            self._drop(str(error), now)
            if not self.reconnector.ended:
                self.reconnector.refused(str(error), now)
                self._table.notify("key_refused", str(error))

    def _on_early_end(self, link: ConnectionState) -> None:
        """A connection has ended; perhaps before the key was accepted."""
        if not link.ready and link.resuming is not None:
            self.reconnector.resume_failed()
        if link.early_error is not None and not (link.ready or self.reconnector.ever_ready):
            self.fail(refusal(link.early_error))

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
            self._table.drop(item.get("taskUUID"))

    def _on_pong(self, link: ConnectionState, now: float) -> None:
        if (seconds := link.pong(now)) is not None:
            self._table.effects.append(Pong(seconds))

    def _on_fault(self, link: ConnectionState, fault: ErrorItem, now: float) -> None:
        if fault.task_uuid is not None:
            if (task := self._table.find(fault.task_uuid)) is not None:
                self._dispatcher.fault(link, task, fault, now)
            else:
                self._table.drop(fault.task_uuid)
            return
        subject = subject_of(fault, ready=link.ready)
        # A key that was refused, and is accepted: it is a task that it is not good for.
        accepted_again = link.ready and self.reconnector.in_doubt
        if subject is Subject.PING:
            self._on_pong(link, now)  # an error is an answer too
        elif subject is Subject.EARLY and link.heard_early(fault, now):
            self._table.timers.moved = True
        elif subject is Subject.EARLY or (subject is Subject.KEY and not accepted_again):
            self._on_key_refused(link, fault, now)
        elif link.ready:
            self._dispatcher.anonymous_fault(link, fault, now)

    # Ends.

    def _on_too_big(self, link: ConnectionState | None, remedy: str) -> None:
        """The session is not resumed: its replay would bring the same frame again."""
        self.reconnector.session_uuid = None
        if link is not None:
            self._reconciler.too_big(link, remedy)

    def _drop(self, reason: str, now: float) -> None:
        self._table.effects.append(Disconnect())
        self.lost(reason, now)

    def _give_up(self) -> None:
        limit = self._settings.max_reconnect_time
        reason = f"no connection for {limit:g} s (max_reconnect_time): {self.reconnector.reason}"
        self.failure = ConnectionLostError(reason)
        self._end("failed", lambda task: ConnectionLostError(reason, task.uuid), reason)

    def _end(
        self, state: ClientState, error_for: Callable[[Task], RunwareError], reason: str
    ) -> None:
        if self.reconnector.ended:
            return
        for task in list(self._table.tasks.values()):
            self._table.settle(task, error_for(task))
        self._send_queue.clear()
        self.reconnector.end(state, reason)
        self._table.notify("closed", reason)
        self._table.effects.append(Disconnect())
        self._table.link = None
