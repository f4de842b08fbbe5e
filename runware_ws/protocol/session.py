"""The client's side of the protocol, as a state machine without I/O.

Every input is a call with the time, on the session or on one of its channels (`Channel.receive`,
`Channel.lost`, `handle_timer` …). The output is one ordered list of effects (`take_effects`).
Frames are fetched one at a time when the writer is free (`Channel.next_frame`). `next_timer`
returns the time at which the session wants to be called next.

It knows the unsettled tasks by taskUUID. Only the taskUUID routes an answer: the taskType of an
answer differs from that of the request, and answers come in any order. It does not rely on an
answer coming once, or on a certain connection: a replay may come before the reply to the key.

Invariants: a task is settled exactly once, and is unknown here from then on; a settled task holds
no bytes; a taskUUID is replaced only after the server declared that the task failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from ..errors import (
    ClientClosedError,
    ConnectionLostError,
    RunwareError,
    TaskCancelledError,
    TaskTimeoutError,
)
from ..settings import Settings
from .attribution import Attribution
from .channel import Channel, Parts, ready_connections
from .concurrency_limit import ConcurrencyLimit
from .connection_state import ConnectionState, connection_for
from .dispatcher import Dispatcher
from .effects import Effect, Record, Settle
from .reconcile import Reconciler
from .reconnector import ClientState
from .secret import Secret
from .send_queue import SendQueue
from .task_table import TaskTable
from .tasks import Evidence, Stage, Task, Transition, move


class Session:
    """All tasks, over one or more connections.

    Attributes:
        tasks: the unsettled tasks by their names (read-only).
        find: returns the task with this name or with an attempt of this UUID, or None.
        counters: the counts so far.
        effects: the effects to perform, in order; see `take_effects`.
        timers: their `moved` tells whether `next_timer` may return an earlier time than when the
            caller has last set `moved` to False.
        channels: the channels to the service; the first is the main one.
        main: the main channel.
        ended: whether the state is final.
        failure: the error that ended the client, if it failed.

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
        may_resend = settings.on_doubt == "resend"
        limit = ConcurrencyLimit(settings.max_in_flight, timing, rng, adaptive=settings.adaptive)
        self._table = table = TaskTable(timing, new_uuid, rng, limit=limit, may_resend=may_resend)
        self.tasks: Mapping[str, Task] = table.tasks
        self.find: Callable[[str], Task | None] = table.find
        self.counters = table.counters
        self.effects = table.effects
        self.timers = table.timers
        self.ended = False
        self.failure: RunwareError | None = None
        self._reconciler = Reconciler(table, settings)
        parts = Parts(
            settings,
            api_key,
            table,
            self._reconciler,
            Dispatcher(table, self._reconciler, timing),
            Attribution(table, self._reconciler, settings),
            SendQueue(api_key, settings, table, self._reconciler),
            self.fail,
            self._give_up_connecting,
        )
        self.channels: list[Channel] = []
        for index in range(settings.connections):
            self.channels.append(Channel(index, parts, self.channels, rng))
        self.main = self.channels[0]
        self._closed_channels = self.channels[:0:-1]  # to be opened when they are of use
        self._looked_at = -inf

    # What the caller wants.

    def take_up_from(self, source: Callable[[str], Task | None]) -> None:
        """Set the function that attaches and returns a task which an answer or a caller names."""
        self._table.take_up = source

    def start(self, now: float) -> None:
        """Connect, and stay connected."""
        self.main.start(now)

    def submit(self, task: Task, now: float) -> None:
        """Run a new task, whose UUID must not be among `tasks`."""
        table, timing = self._table, self._timing
        table.add(task, (now + timing.overdue) // 1)  # so that tasks of one second share a timer
        if not task.bulk:
            table.small_until = now + timing.small_rest
        if table.bulk_tasks and self._closed_channels:
            self._open_channel_if_mixed(now)
        if self._journaled or task.uuid_of_attempt is not None:
            self._enqueue(task)
        else:
            table.enqueue(task)

    def _enqueue(self, task: Task) -> None:
        if self._journaled and task.origin is not None:
            self._table.effects.append(Record(task))
        else:
            self._send(task)

    def recorded(self, task: Task) -> None:
        """Send a task whose `Record` effect was performed."""
        if task.stage is Stage.QUEUED:
            self._send(task)

    def _send(self, task: Task) -> None:
        if task.stored:
            self._table.load(task)
        elif task.uuid_of_attempt is None or task.writes:
            self._table.enqueue(task)
        else:
            self._ask_for(task)

    def awaits(self, task: Task) -> bool:
        """Return whether the bytes of a task are still needed: a `Load` effect may be outdated."""
        return task in self._table.unloaded

    def loaded(self, task: Task, payload: bytes | bytearray, why_not: str = "") -> None:
        """Send a task whose `Load` effect was performed. Without bytes, a reason must be given."""
        if not self.awaits(task):
            return
        del self._table.unloaded[task]
        task.payload, task.stored = payload, False
        if not payload:
            self._reconciler.not_found(task, why_not)
        elif task.stage is Stage.QUEUED:
            self._table.enqueue(task)
        else:
            self._table.send_again(task)

    def attach(self, task: Task, now: float) -> None:
        """Find a task that another session may have sent."""
        self._table.add(task, (now + self._timing.overdue) // 1)
        task.evidence = Evidence.WRITTEN
        self._ask_for(task)

    def _ask_for(self, task: Task) -> None:
        """Ask for a task that another client may have sent."""
        move(task, Transition.WRITE)
        move(task, Transition.DOUBT)
        self._table.enter_flight(task)
        connection = connection_for(task, self._ready_connections())
        if connection is not None and connection.replay_end is None:
            self._reconciler.ask_first(connection, task)

    def cancel(self, task: Task) -> None:
        """Cancel a task. The server may still finish and bill it."""
        if task.stage is not Stage.SETTLED:
            self._give_up(task, TaskCancelledError(task.uuid))

    def ping(self) -> bool:
        """Request a ping on each connection. Return False if there is no connection."""
        connections = self._ready_connections()
        for connection in connections:
            connection.keepalive.ping_wanted = True
        return bool(connections)

    def fail(self, error: RunwareError) -> None:
        """End the session for good, with this error."""
        self.failure = error
        self._end("failed", lambda _: type(error)(*error.args), str(error))

    def close(self, reason: str) -> None:
        """End the session for good. Unsettled tasks fail."""
        self._end("closed", lambda task: ClientClosedError(reason, task.uuid), reason)

    # Its state.

    @property
    def state(self) -> ClientState:
        """The state of the client: see `RunwareClient.state`."""
        if not self.main.is_ready and self._ready_connections():
            return "connected"
        return self.main.reconnector.state

    @property
    def why_away(self) -> str:
        """The state without a connection, and its reason; "" while there is a connection."""
        return "" if self._ready_connections() else self.main.reconnector.why_away

    @property
    def limit(self) -> int:
        """Return the number of tasks that may be in flight now."""
        return self._table.limit.limit

    @property
    def connections(self) -> int:
        """Return the number of connections that are ready."""
        return len(self._ready_connections())

    def _ready_connections(self) -> list[ConnectionState]:
        return ready_connections(self.channels)

    def take_effects(self) -> list[Effect]:
        """Return the effects to perform, in order. Each effect is returned once."""
        effects = self.effects[:]
        self.effects.clear()
        return effects

    # Time.

    def next_timer(self) -> float | None:
        """Return the time at which to call `handle_timer`, or None."""
        channels = [channel.next_timer() for channel in self.channels]
        times = (self.timers.next(), self._table.limit.next_timer(), self._look_at(), *channels)
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Perform everything that is due."""
        self._table.timers.moved = True
        for channel in self.channels:
            channel.handle_timer(now)
        self._open_channel_if_mixed(now)
        self._open_channel_if_occupied(now)
        self._table.forget_abandoned(now)
        self._table.limit.handle_timer(now)
        self._table.tell_limit()
        for task in self._table.timers.pop_due(now):
            self._on_due(task, now)

    def _on_due(self, task: Task, now: float) -> None:
        if task.deadline is not None and task.deadline <= now:
            self._time_out(task)
        elif task.wake is None or task.wake > now:
            self._table.timers.schedule(task, task.wake)
        elif task.stage is Stage.QUEUED:
            self._table.timers.schedule(task, None)
            self._enqueue(task)
        elif (connection := connection_for(task, self._ready_connections())) is not None:
            self._reconciler.due(connection, task, now)
        else:
            self._reconciler.lost_sight_of(task, None, now)

    def _time_out(self, task: Task) -> None:
        detail = self.why_away or task.why_refused
        error = TaskTimeoutError(task.uuid, task.stage.value, task.timeout or 0.0, detail)
        self._give_up(task, error)

    def _give_up(self, task: Task, error: RunwareError) -> None:
        """Settle a task without an answer from the server. The answer may still come."""
        self._table.abandon(task, task.sent_at + self._timing.known_limit)
        self._table.settle(task, error)

    # More channels.

    def _open_channel_if_mixed(self, now: float) -> None:
        """Open a second channel if there are small and large tasks."""
        table = self._table
        is_first = len(self._closed_channels) == len(self.channels) - 1
        if not self._closed_channels or not is_first or not self.main.is_ready:
            return
        has_small = table.bulk_tasks < len(table.tasks) or now < table.small_until
        if table.bulk_tasks > 0 and has_small:
            self._closed_channels.pop().start(now)

    def _open_channel_if_occupied(self, now: float) -> None:
        """Open as many channels again if large frames, of which more are to come, occupy all."""
        if (look_at := self._look_at()) is None or look_at > now:
            return
        self._looked_at = now
        table, connections = self._table, self._ready_connections()
        if len(connections) + len(self._closed_channels) < len(self.channels):
            return  # one of those that were opened is still to come, or refused: so would others be
        since = [
            one.busy_since(
                sending=table.bulk.count > 0 and table.limit.room() > 0,
                receiving=table.bulk_in_flight > len(connections),
            )
            for one in connections[1:] or connections  # the first may be kept for small ones
        ]
        if all(one is not None and one + self._timing.occupied <= now for one in since):
            for _ in range(min(len(connections), len(self._closed_channels))):
                self._closed_channels.pop().start(now)

    def _look_at(self) -> float | None:
        """Return when to find out whether large frames occupy all channels, or None."""
        if not self._closed_channels:
            return None
        times = [one.busy_since(sending=True, receiving=True) for one in self._ready_connections()]
        began = min((time for time in times if time is not None), default=None)
        return None if began is None else max(began, self._looked_at) + self._timing.occupied

    # Ends.

    def _give_up_connecting(self) -> None:
        limit = self._settings.max_reconnect_time
        why = self.main.reconnector.reason
        reason = f"no connection for {limit:g} s (max_reconnect_time): {why}"
        self.failure = ConnectionLostError(reason)
        self._end("failed", lambda task: ConnectionLostError(reason, task.uuid), reason)

    def _end(
        self, state: ClientState, error_for: Callable[[Task], RunwareError], reason: str
    ) -> None:
        if self.ended:
            return
        self.ended = True
        for task in list(self.tasks.values()):
            try:
                self._table.settle(task, error_for(task))
            except Exception:  # noqa: BLE001  # a bug: it must not leave anybody waiting
                self._table.effects.append(Settle(task, error_for(task)))
        self._table.clear_pending()
        for channel in self.channels:
            channel.reconnector.end(state, reason)
        self._table.notify("closed", reason)
        for channel in self.channels:
            channel.close()
