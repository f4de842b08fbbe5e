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

from ..codes import is_authentication_code
from ..errors import (
    ClientClosedError,
    ConnectionLostError,
    ProtocolError,
    RunwareError,
    TaskCancelledError,
    TaskTimeoutError,
)
from ..secret import Secret
from .answers import Subject, is_fatal, refusal, subject_of
from .effects import Connect, Drop, Effect, Frame, Kept, Pong
from .judge import Judge
from .ledger import Ledger
from .link import Link
from .outbox import Outbox
from .presence import Presence, State
from .reconcile import OVERDUE, Reconciler
from .records import SessionSettings
from .tasks import Stage, Step, Task, Trigger, move
from .wire import Fault, Item, decode

__all__ = ["Session"]


class Session:
    """All tasks, over however many connections it takes.

    Attributes:
        tasks: those that are not settled, by taskUUID; to be looked at only.
        renamed: likewise, of those tried again: the taskUUID that the caller gave.
        counters: what happened so far.
        presence: being connected, or not.
        failure: what ended the client, if it failed.

    Args:
        settings: see `SessionSettings`.
        api_key: the key.
        new_uuid: gives a UUID v4 in lower case.
        dice: gives a number from 0 to 1, for jitter.
    """

    def __init__(
        self,
        settings: SessionSettings,
        *,
        api_key: Secret,
        new_uuid: Callable[[], str],
        dice: Callable[[], float],
    ) -> None:
        self._ledger = Ledger(new_uuid, dice)
        self.tasks: Mapping[str, Task] = self._ledger.tasks
        self.renamed: Mapping[Task, str] = self._ledger.renamed
        self.counters = self._ledger.counters
        self.presence = Presence(dice, settings.max_reconnect_time)
        self.failure: RunwareError | None = None
        self._settings = settings
        self._key = api_key
        self._reconciler = Reconciler(self._ledger)
        self._judge = Judge(self._ledger, self._reconciler, settings.max_retries)
        self._outbox = Outbox(api_key, settings.limits, self._reconciler)

    # What the caller wants.

    def start(self, now: float) -> None:
        """Connect, and stay connected."""
        self.presence.start(now)
        self._ledger.timers.moved = True

    def submit(self, task: Task, now: float) -> None:
        """Run a new task, whose UUID must not be among `tasks`."""
        # One moment serves for most of its life, and for all that came in the same second.
        self._ledger.add(task, float(int(now + OVERDUE)))
        self._enqueue(task)

    def _enqueue(self, task: Task) -> None:
        if self._settings.journaled:
            self._ledger.effects.append(Kept(task))
        else:
            self._outbox.add(task)

    def kept(self, task: Task) -> None:
        """A `Kept` was carried out: the task may be sent."""
        if task.stage is Stage.QUEUED:
            self._outbox.add(task)

    def attach(self, task: Task, now: float) -> None:
        """Find a task again that was sent long ago, or by somebody else, or perhaps never."""
        self._ledger.add(task, float(int(now + OVERDUE)))
        move(task, Trigger.WRITE)  # long ago, by somebody
        move(task, Trigger.DOUBT)
        if self._ledger.link is not None and self._ledger.link.ready:
            self._reconciler.ask(self._ledger.link, task, now)
        else:
            task.step = Step.REPLAY

    def cancel(self, task: Task) -> None:
        """Give a task up. The server finishes (and bills) it all the same [S]."""
        if task.stage is not Stage.SETTLED:
            self._reconciler.give_up(task, TaskCancelledError(task.uuid))

    def ping(self) -> bool:
        """Write a ping; its answer is an effect. Whether there is a connection for it."""
        link = self._ledger.link
        if link is None or not link.ready:
            return False
        link.ping_wanted = True
        return True

    def fail(self, error: RunwareError) -> None:
        """End for good, and for this reason."""
        self.failure = error
        self._end(State.FAILED, lambda _: type(error)(*error.args), str(error))

    def close(self, reason: str) -> None:
        """End for good: whatever is not settled fails."""
        self._end(State.CLOSED, lambda task: ClientClosedError(reason, task.uuid), reason)

    # What the connection does.

    def connected(self, now: float) -> None:
        """A connection is open."""
        self._ledger.timers.moved = True
        self.presence.state = State.AUTHENTICATING
        self._ledger.link = Link(
            now,
            resuming=self.presence.session_uuid,
            keepalive=self._settings.keepalive,
            ping_timeout=self._settings.ping_timeout,
        )

    def receive(self, frame: bytes | bytearray | memoryview | str, now: float) -> None:
        """A frame came in. Whatever it holds, this does not raise."""
        link = self._ledger.link
        if link is None:
            return
        if link.heard(now):
            self._ledger.timers.moved = True  # from now on the next ping is due again
        successes = self.counters.succeeded
        self.counters.frames_received += 1
        try:
            items, faults = decode(self._key.hidden_in(frame))
        except ProtocolError:
            self._judge.garbled(link)
            return
        for item in items:
            self._on_item(link, item, now)
        for fault in faults:
            if self._ledger.link is link:  # one before it may have ended the connection
                self._on_fault(link, fault, now)
        if not items and not faults:
            self._judge.nothing_found(link, now)
        may_prove = link.ready and self.presence.unproved
        if may_prove and (self.counters.succeeded > successes or link.has_lasted(now)):
            self.presence.proved()

    def written(self, frame: Frame, now: float) -> None:
        """A frame from `next_frame` was written."""
        if self._ledger.link is not None and self._ledger.link.wrote(frame, now):
            self._ledger.timers.moved = True

    def traffic(self, heard_at: float, unsent_bytes: int, now: float) -> None:
        """What the transport saw below the level of frames: see `Link`."""
        if self._ledger.link is not None:
            self._ledger.timers.moved = True
            self._ledger.link.heard(heard_at)
            self._ledger.link.moved(unsent_bytes, now)

    def lost(self, reason: str, now: float, *, too_big: str = "") -> None:
        """The connection ended, or could not be made.

        Args:
            reason: why, in words.
            now: the time.
            too_big: when it ended over the size of a frame, what to do about that.
        """
        if self.presence.ended:
            return
        reason = self._key.hidden_in(reason)
        link, self._ledger.link = self._ledger.link, None
        self._ledger.timers.moved = True
        if too_big:
            self._on_too_big(link, too_big)
        self.presence.lost(reason, now)
        if link is not None:
            self._reconciler.connection_lost()
            self._on_early_end(link)
        self._ledger.notify("lost", reason)
        if self.presence.gives_up(now):
            self._give_up()

    def next_frame(self, now: float) -> Frame | None:
        """What to write next, or None."""
        link = self._ledger.link
        if link is None:
            return None
        if link.ready:
            frame = self._outbox.next(link, now)
        else:
            frame = self._outbox.authentication(link, now + self._settings.auth_timeout)
        if frame is not None:
            self._ledger.counters.frames_sent += 1
            if link.begins(frame, now):
                self._ledger.timers.moved = True
        return frame

    @property
    def has_frame(self) -> bool:
        """Whether `next_frame` is worth a call."""
        link = self._ledger.link
        return link is not None and self._outbox.waits(link)

    def take_effects(self) -> list[Effect]:
        """What is to be done, in order; each effect is handed out once."""
        effects, self._ledger.effects = self._ledger.effects, []
        return effects

    # Time.

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called, or None."""
        self._ledger.timers.moved = False
        link = self._ledger.link
        moments = [self._ledger.timers.next(), *self.presence.moments()]
        if link is not None:
            moments += link.moments()
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def timer_moved(self) -> bool:
        """Whether `next_timer` may be nearer than it last was."""
        return self._ledger.timers.moved

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        self._ledger.timers.moved = True
        give_up_at, connect_at = self.presence.give_up_at, self.presence.connect_at
        if give_up_at is not None and give_up_at <= now:
            self._give_up()
        elif connect_at is not None and connect_at <= now:
            self.presence.attempt()
            self._ledger.effects.append(Connect())
        if self._ledger.link is not None:
            self._look_after(self._ledger.link, now)
        for task in self._ledger.timers.pop_due(now):
            self._on_due(task, now)

    def _look_after(self, link: Link, now: float) -> None:
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
            self._ledger.timers.schedule(task, task.wake)
        elif task.stage is Stage.QUEUED:
            self._ledger.timers.schedule(task, None)
            self._enqueue(task)
        elif self._ledger.link is not None and self._ledger.link.ready:
            self._judge.due(self._ledger.link, task, now)

    def _time_out(self, task: Task) -> None:
        stage, why = task.stage.value, self.presence.why_away
        error = TaskTimeoutError(task.uuid, stage, task.timeout or 0.0, why)
        self._reconciler.give_up(task, error)

    # Authentication.

    def _on_authenticated(self, link: Link, item: Item, now: float) -> None:
        session_uuid = item.get("connectionSessionUUID")
        if link.ready:
            return
        self._ledger.timers.moved = True
        if not isinstance(session_uuid, str):  # a failure, as the SDKs see it [S]
            self._drop("the reply to the authentication names no session", now)
            return
        self._ledger.counters.reconnects += self.presence.ever_ready
        resumed = self.presence.ready(session_uuid)
        if not resumed:
            self._ledger.ghosts.clear()
        link.ready, link.auth_deadline = True, None
        self._ledger.notify("connected", session_uuid, resumed=resumed)
        self._reconciler.connection_ready(link, resumed, now)

    def _on_key_refused(self, link: Link, fault: Fault, now: float) -> None:
        error = refusal(fault)
        if not link.ready and link.resuming is not None:
            # A refused session must not keep the client out for ever [S]. What was refused may
            # have been the key, though: then the session is worth another try later.
            link.resuming = None
            self.presence.resume_failed()
            if not is_authentication_code(fault.code):
                self.presence.session_uuid = None
            link.auth_written = False
        elif not self.presence.ever_ready and is_fatal(fault):
            self.fail(error)
        else:
            self._drop(str(error), now)
            if not self.presence.ended:
                self.presence.refused(str(error), now)
                self._ledger.notify("key_refused", str(error))

    def _on_early_end(self, link: Link) -> None:
        """A connection has ended; perhaps before the key was accepted."""
        if not link.ready and link.resuming is not None:
            self.presence.resume_failed()
        if link.early_error is not None and not (link.ready or self.presence.ever_ready):
            self.fail(refusal(link.early_error))

    # Answers.

    def _on_item(self, link: Link, item: Item, now: float) -> None:
        if (task := self._ledger.find(item.get("taskUUID"))) is not None:
            self._judge.item(link, task, item, now)
            return
        kind = item.get("taskType")
        if kind == "authentication":
            self._on_authenticated(link, item, now)
        elif kind == "ping":
            self._on_pong(link, now)
        else:
            self._ledger.drop(item.get("taskUUID"))

    def _on_pong(self, link: Link, now: float) -> None:
        if (seconds := link.pong(now)) is not None:
            self._ledger.effects.append(Pong(seconds))

    def _on_fault(self, link: Link, fault: Fault, now: float) -> None:
        if fault.task_uuid is not None:
            if (task := self._ledger.find(fault.task_uuid)) is not None:
                self._judge.fault(link, task, fault, now)
            else:
                self._ledger.drop(fault.task_uuid)
            return
        subject = subject_of(fault, ready=link.ready)
        # A key that was refused, and is accepted: it is a task that it is not good for.
        accepted_again = link.ready and self.presence.in_doubt
        if subject is Subject.PING:
            self._on_pong(link, now)  # an error is an answer too
        elif subject is Subject.EARLY and link.heard_early(fault, now):
            self._ledger.timers.moved = True
        elif subject is Subject.EARLY or (subject is Subject.KEY and not accepted_again):
            self._on_key_refused(link, fault, now)
        elif link.ready:
            self._judge.anonymous_fault(link, fault, now)

    # Ends.

    def _on_too_big(self, link: Link | None, remedy: str) -> None:
        """The session is not resumed: its replay would bring the same frame again."""
        self.presence.session_uuid = None
        if link is not None:
            self._reconciler.too_big(link, remedy)

    def _drop(self, reason: str, now: float) -> None:
        self._ledger.effects.append(Drop())
        self.lost(reason, now)

    def _give_up(self) -> None:
        limit = self._settings.max_reconnect_time
        reason = f"no connection for {limit:g} s (max_reconnect_time): {self.presence.reason}"
        self.failure = ConnectionLostError(reason)
        self._end(State.FAILED, lambda task: ConnectionLostError(reason, task.uuid), reason)

    def _end(self, state: State, error_for: Callable[[Task], RunwareError], reason: str) -> None:
        if self.presence.ended:
            return
        for task in list(self._ledger.tasks.values()):
            self._ledger.settle(task, error_for(task))
        self._outbox.clear()
        self.presence.end(state, reason)
        self._ledger.notify("closed", reason)
        self._ledger.effects.append(Drop())
        self._ledger.link = None
