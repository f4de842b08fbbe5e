"""The table of unsettled tasks. All additions, settlements and new attempts go through it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import RunwareError
from ..escaping import escaped
from .backoff import full_jitter
from .concurrency_limit import ConcurrencyLimit
from .connection_state import ConnectionState, UnattributedError, answered
from .effects import Effect, Event, EventKind, Load, Notify, Settle
from .priority_queue import PriorityQueue
from .tasks import SETTLE, Evidence, Stage, Task, Transition, move
from .timers import Timers
from .timing import Timing
from .wire import ErrorItem, Item, with_uuid

_COST_UNITS = 1e12  # a dollar in the units in which costs are added
_MAX_COST = 1e9
_NUMBERS = (int, float)
# Number of settled tasks to remember, to notice a second result of one that was written repeatedly.
_MAX_REMEMBERED = 10_000
_AT_SERVICE = (Stage.SENT, Stage.ACCEPTED)


@dataclass(slots=True)
class Counters:
    """Counts since the client was opened; see `Stats`."""

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    refused: int = 0
    resent: int = 0
    reconnects: int = 0
    recovered: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    garbled: int = 0
    double_runs: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    cost_units: int = 0

    @property
    def cost(self) -> float:
        """The sum of all costs, in US dollars."""
        return self.cost_units / _COST_UNITS


class TaskTable:
    """The tasks, and the state that all parts of the session share.

    Attributes:
        tasks: all unsettled tasks by their names (`Task.uuid`).
        timers: the times at which tasks are due.
        counters: the counts.
        effects: the effects to perform, in order.
        abandoned: wire UUIDs of tasks that were given up and may still be answered, each with the
            time until which that may happen.
        resends: tasks that were written before and must be written again, in order.
        unloaded: tasks to be written as soon as their bytes are loaded.
        oversize_suspects: tasks of which one may have an answer that is too large. They are asked
            for one at a time, and nothing else is sent meanwhile.
        may_resend: whether a task in doubt may be sent again.
        limit: the limit of tasks in flight.
        small, bulk: small and large tasks to be sent, or to be sent again because they were not
            run. Some may be settled already.
        bulk_tasks: number of unsettled large tasks.
        bulk_in_flight: number of large tasks that count as in flight.
        small_until: time until which a connection is reserved for small tasks.
        take_up: adds and returns a task that is not among `tasks`, by its name; or returns None.
            There may be more tasks of an earlier process than are handled at a time.
    """

    def __init__(
        self,
        timing: Timing,
        new_uuid: Callable[[], str],
        rng: Callable[[], float],
        *,
        limit: ConcurrencyLimit,
        may_resend: bool,
    ) -> None:
        self.tasks: dict[str, Task] = {}
        self.timers = Timers()
        self.counters = Counters()
        self.effects: list[Effect] = []
        self.abandoned: dict[str, float] = {}
        self.resends: dict[Task, None] = {}
        self.unloaded: dict[Task, None] = {}
        self.oversize_suspects: set[Task] = set()
        self.may_resend = may_resend
        self.limit = limit
        self.small: PriorityQueue[Task] = PriorityQueue()
        self.bulk: PriorityQueue[Task] = PriorityQueue()
        self.bulk_tasks = 0
        self.bulk_in_flight = 0
        self.small_until = 0.0
        self.take_up: Callable[[str], Task | None] = lambda _: None
        self._attempts: dict[str, Task] = {}  # by the UUIDs of attempts after the first
        self._images: dict[str, str] = {}  # of settled tasks that were written more than once
        self._timing = timing
        self._new_uuid = new_uuid
        self._rng = rng

    def add(self, task: Task, look_by: float) -> None:
        """Add a task, and schedule it for `look_by` or for its deadline if that is earlier."""
        self.counters.submitted += 1
        self.tasks[task.uuid] = task
        if task.bulk:
            self.bulk_tasks += 1
        if task.wire_uuid != task.uuid:
            self._attempts[task.wire_uuid] = task
        deadline = task.deadline
        self.timers.look_by(task, look_by if deadline is None or look_by < deadline else deadline)

    def find(self, uuid: object) -> Task | None:
        """Return the task that an answer names. Servers may write UUIDs in upper case."""
        if not isinstance(uuid, str):
            return None
        if (found := self.tasks.get(uuid)) is not None:
            return found
        uuid = uuid.lower()
        return self.tasks.get(uuid) or self._attempts.get(uuid) or self.take_up(uuid)

    def settle(self, task: Task, outcome: Item | RunwareError) -> None:
        """Settle a task. This is the only way by which it leaves the table."""
        del self.tasks[task.uuid]
        if self._attempts:
            for uuid in task.attempt_uuids:
                self._attempts.pop(uuid, None)
        if task.asked is not None:
            answered(task)
        move(task, SETTLE)
        if task.bulk:
            self.bulk_tasks -= 1
        if task.in_flight_when_sent:
            self.leave_flight(task)
        task.payload = b""
        if task.due is not None:
            self.timers.cancel(task)
        connection = task.connection
        is_suspect = connection is not None and connection.inquiry is not None
        if self.resends or self.unloaded or self.oversize_suspects or is_suspect:
            self.clear(task)
        if not isinstance(outcome, dict):
            self.counters.failed += 1
        self.effects.append(Settle(task, outcome))

    def send_again(self, task: Task) -> None:
        """Send a task again, before all others, as soon as there is room."""
        self.resends[task] = None
        if not task.in_flight_when_sent:  # it is of an earlier process
            self.enter_flight(task)

    def is_to_be_sent_again(self, task: Task) -> bool:
        """Return whether a task waits to be sent again."""
        return task in self.resends or task in self.unloaded

    def room_for_resends(self) -> int:
        """Return how many of the tasks that are to be sent again may be sent now.

        They are in flight by the count. One may be sent whatever the count as long as no other is
        at the service, as far as is known: tasks in doubt are not to hold it up.
        """
        if self.limit.is_paused:
            return 0
        waiting = len(self.resends) + sum(task.in_flight_when_sent > 0 for task in self.unloaded)
        room = self.limit.room(waiting)
        if room <= 0 and not any(task.stage in _AT_SERVICE for task in self.tasks.values()):
            return 1
        return room

    def load(self, task: Task) -> None:
        """Request the bytes of a task, which is written when they are loaded."""
        self.unloaded[task] = None
        self.effects.append(Load(task))

    def enqueue(self, task: Task) -> None:
        """Put a task into the queue for sending."""
        queue = self.bulk if task.bulk else self.small
        queue.add(task, task.priority)

    def clear_pending(self) -> None:
        """Empty the queues for sending."""
        self.small.clear()
        self.bulk.clear()

    def enter_flight(self, task: Task) -> None:
        """Count a task as in flight."""
        limit = self.limit
        limit.in_flight = task.in_flight_when_sent = limit.in_flight + 1
        if task.bulk:
            self._count_bulk(task, 1)

    def leave_flight(self, task: Task) -> None:
        """Stop counting a task as in flight."""
        task.in_flight_when_sent = 0
        self.limit.in_flight -= 1
        if task.bulk:
            self._count_bulk(task, -1)

    def move_bulk(self, task: Task, connection: ConnectionState) -> None:
        """Record the connection to which a large task is written."""
        if task.in_flight_when_sent:
            self._count_bulk(task, -1)
        task.connection = connection
        if task.in_flight_when_sent:
            self._count_bulk(task, 1)

    def _count_bulk(self, task: Task, change: int) -> None:
        self.bulk_in_flight += change
        if task.connection is not None:
            task.connection.bulk_in_flight += change

    def clear(self, task: Task) -> None:
        """Rule a task out as the owner of an error without a taskUUID, or of a too large answer."""
        if self.resends:
            self.resends.pop(task, None)
        if self.unloaded:
            self.unloaded.pop(task, None)
        if task.connection is not None and task.connection.inquiry is not None:
            task.connection.inquiry.clear(task)
        if self.oversize_suspects:
            self.oversize_suspects.discard(task)

    def succeed(self, task: Task, item: Item, now: float) -> None:
        """Settle a task with its result."""
        counters = self.counters
        counters.succeeded += 1
        if task.in_flight_when_sent:
            self.limit.succeeded(task.in_flight_when_sent, now - task.sent_at)
            if self.limit.change:
                self.tell_limit()
        if task.writes > 1:
            counters.recovered[task.found_by or "sent again"] += 1
            self._remember(task.wire_uuid, item)
        elif task.found_by:
            counters.recovered[task.found_by] += 1
        cost = item.get("cost")
        if isinstance(cost, _NUMBERS) and 0 < cost < _MAX_COST:
            counters.cost_units += round(cost * _COST_UNITS)  # whole, so that the sum is exact
        self.settle(task, item)

    def drop(self, item: Item | ErrorItem, uuid: object) -> None:
        """Count an answer without a waiting task."""
        self.counters.dropped += 1
        if isinstance(uuid, str):
            self.abandoned.pop(uuid.lower(), None)
            if self._images and isinstance(item, dict):
                self._compare(uuid.lower(), item)

    def _remember(self, uuid: str, item: Item) -> None:
        if image := _image_of(item):
            self._images[uuid] = image
            if len(self._images) > _MAX_REMEMBERED:
                del self._images[next(iter(self._images))]

    def _compare(self, uuid: str, item: Item) -> None:
        """Report that a task was run twice, if there are two results with different images for it.

        A service that refuses known UUIDs cannot do that. So this service does not refuse them, and
        from now on no task in doubt is sent again.
        """
        image = _image_of(item)
        if image and self._images.get(uuid, image) != image:
            del self._images[uuid]
            self.counters.double_runs += 1
            self.may_resend = False
            text = f"task {uuid} was run twice by the service; tasks in doubt are not sent again"
            self.notify("double_run", text)

    def abandon(self, task: Task, until: float) -> None:
        """Remember a task that was given up, if the server may still answer it."""
        if task.writes:
            self.abandoned[task.wire_uuid] = until

    def has_abandoned(self, now: float) -> bool:
        """Return whether an error without a taskUUID may be about a task that was given up."""
        return any(until > now for until in self.abandoned.values())

    def forget_abandoned(self, now: float) -> None:
        """Forget the tasks that were given up so long ago that no answer can come any more."""
        while self.abandoned and self.abandoned[oldest := next(iter(self.abandoned))] <= now:
            del self.abandoned[oldest]

    def has_older(self, connection: ConnectionState) -> bool:
        """Return whether an error may be about a task that was written on an earlier connection."""
        if not connection.named_session or connection.no_older_at == self.counters.submitted:
            return False
        written = (task for task in self.tasks.values() if task.stage is not Stage.QUEUED)
        if any(task.sent_at < connection.born for task in written):
            return True
        connection.no_older_at = (
            self.counters.submitted
        )  # there is none until another task is attached
        return False

    def requeue(self, task: Task, now: float, *, new_uuid: bool, step: int) -> None:
        """Restart a task after a delay that grows with `step`, under its own UUID or a new one.

        A new UUID is used only after the server declared that the old attempt failed.
        """
        self._take_back(task)
        if new_uuid:
            self._rename(task)
        self.timers.schedule(task, now + full_jitter(step, self._timing.retry, self._rng))

    def put_back(self, task: Task) -> None:
        """Put a task that was not run to the front of the queue for sending."""
        self._take_back(task)
        self.timers.schedule(task, None)
        if task.stored:
            self.load(task)
        else:
            queue = self.bulk if task.bulk else self.small
            queue.add_first(task, task.priority)

    def run_inline(self, task: Task, payload: bytes | bytearray, *, new_uuid: bool) -> None:
        """Run a task again as soon as there is room, with its image instead of the image's UUID."""
        task.inline = None
        task.payload = with_uuid(payload, task.uuid, task.wire_uuid)
        if new_uuid:
            self._rename(task)
        if task.in_flight_when_sent:
            self.leave_flight(task)
        if not task.bulk:
            task.bulk = True
            self.bulk_tasks += 1
        self.put_back(task)

    def _take_back(self, task: Task) -> None:
        move(task, Transition.RETRY)
        if task.in_flight_when_sent:
            self.leave_flight(task)
        self.clear(task)
        task.forget_doubt()
        if task.asked is not None:
            answered(task)
        task.asks = 0

    def refused_unnamed(self, error: UnattributedError, now: float) -> None:
        """Tell the limit of an error without a name, if it is a refusal for lack of room."""
        if error.is_of_room:
            error.is_counted = True
            self.limit.refused_unnamed(now)
            self.tell_limit()

    def tell_limit(self) -> None:
        """Report that the limit has changed, if it did."""
        limit = self.limit
        if limit.change:
            text = f"{limit.limit} tasks may be in flight: {limit.change}"
            self.notify("limit", text, count=limit.limit)
            limit.change = ""

    def _rename(self, task: Task) -> None:
        task.former_uuids = (*task.former_uuids, task.wire_uuid)
        if task.uuid_of_attempt is None:
            uuid = self._new_uuid()
        else:
            uuid = task.uuid_of_attempt(len(task.former_uuids) + 1)
        task.payload = with_uuid(task.payload, task.wire_uuid, uuid)
        task.wire_uuid = uuid
        task.writes = 0
        task.evidence = Evidence.NEVER_WRITTEN
        task.refusal = None
        task.suspicions = 0
        task.owned = True
        self._attempts[uuid] = task

    def in_flight(self) -> list[Task]:
        """Return the unsettled tasks that were written."""
        return [task for task in self.tasks.values() if task.stage is not Stage.QUEUED]

    def notify(
        self,
        kind: EventKind,
        detail: str,
        *,
        resumed: bool = False,
        count: int = 0,
        connection: int = 0,
    ) -> None:
        """Report an event."""
        self.effects.append(Notify(Event(kind, escaped(detail), resumed, count, connection)))


def _image_of(item: Item) -> str:
    """Return a member of a result that identifies its image; "" if it has none."""
    for name in ("imageUUID", "mediaUUID", "imageURL", "mediaURL"):
        if isinstance(value := item.get(name), str):
            return value
    return ""
