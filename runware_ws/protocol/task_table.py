"""The tasks that are not settled, and the only ways in, out and over to a new UUID."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import RunwareError
from .backoff import full_jitter
from .connection_state import ConnectionState
from .effects import Effect, Event, EventKind, Notify, Settle
from .tasks import Stage, Step, Task, Transition, move
from .timers import Timers
from .wire import Item, with_uuid

__all__ = ["TaskTable"]

_COST_UNITS = 10**12
_MAX_COST = 10**9
_RETRY_DELAYS = (0.5, 10.0)  # first and highest ceiling, in seconds


@dataclass(slots=True)
class Counters:
    """Counts of what happened since the client was opened; see `Stats`."""

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    reconnects: int = 0
    recovered: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    garbled: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    cost_units: int = 0

    @property
    def cost(self) -> float:
        """The sum of all costs, in US dollars."""
        return self.cost_units / _COST_UNITS

    def add_cost(self, cost: object) -> None:
        """Add the cost of a result. The sum is kept in whole units, so that it is exact."""
        if isinstance(cost, int | float) and 0 < cost < _MAX_COST:
            self.cost_units += round(cost * _COST_UNITS)


class TaskTable:
    """What all parts of the session share.

    Attributes:
        tasks: every task that is not settled, by its UUID in lower case.
        renamed: of those that run again under another UUID, the one that the caller gave.
        timers: when they want attention.
        counters: what happened.
        effects: what is to be done, in order.
        link: the present connection, or None.
        abandoned: tasks of this session that were given up here, and of which the server may still
            speak, until then; an error that names no task may be theirs.
    """

    def __init__(self, new_uuid: Callable[[], str], rng: Callable[[], float]) -> None:
        self.tasks: dict[str, Task] = {}
        self.renamed: dict[Task, str] = {}
        self.timers = Timers()
        self.counters = Counters()
        self.effects: list[Effect] = []
        self.link: ConnectionState | None = None
        self.abandoned: dict[str, float] = {}
        self._new_uuid = new_uuid
        self._rng = rng

    def add(self, task: Task, look_by: float) -> None:
        """Take a task in, and look at it by then or by its deadline."""
        self.counters.submitted += 1
        self.tasks[task.uuid] = task
        deadline = task.deadline
        self.timers.look_by(task, look_by if deadline is None or look_by < deadline else deadline)

    def find(self, uuid: object) -> Task | None:
        """The task that an answer names; servers may write UUIDs in upper case."""
        if not isinstance(uuid, str):
            return None
        return self.tasks.get(uuid) or self.tasks.get(uuid.lower())

    def settle(self, task: Task, outcome: Item | RunwareError) -> None:
        """Let a task go, with its outcome: the one way out."""
        del self.tasks[task.uuid]
        if self.renamed:
            self.renamed.pop(task, None)
        move(task, Transition.SETTLE)
        task.step = Step.NONE
        task.payload = b""
        self.timers.disarm(task)
        if self.link is not None:
            self.link.forget(task)
        if isinstance(outcome, RunwareError):
            self.counters.failed += 1
        self.effects.append(Settle(task, outcome))

    def drop(self, uuid: object) -> None:
        """An answer came that nobody waits for."""
        self.counters.dropped += 1
        if isinstance(uuid, str):
            self.abandoned.pop(uuid.lower(), None)

    def succeed(self, task: Task, item: Item) -> None:
        """Settle a task with its result."""
        counters = self.counters
        counters.succeeded += 1
        if task.stage is Stage.SUSPECT or task.writes > 1 or task.known_since is not None:
            counters.recovered[task.step.value] += 1
        if cost := item.get("cost"):
            counters.add_cost(cost)
        self.settle(task, item)

    def retry(self, task: Task, now: float) -> None:
        """Run a task again that failed by the server's own word, under another UUID."""
        uuid = self._new_uuid()
        if self.link is not None:
            self.link.forget(task)
        del self.tasks[task.uuid]
        if not task.owned:
            self.renamed[task] = task.uuid
        task.payload = with_uuid(task.payload, task.uuid, uuid)
        task.uuid = uuid
        task.renew()
        self.tasks[uuid] = task
        self._wait_for_retry(task, now)

    def retry_in_doubt(self, task: Task, now: float) -> None:
        """Look for a task later, and if need be send it again, that seems to have been refused for
        a cause that may pass. The server did not say so of it: so it keeps its UUID.
        """
        move(task, Transition.DOUBT)
        task.attempts += 1
        task.step = Step.NONE
        if self.link is not None:
            self.link.clear(task)
        self._wait_for_retry(task, now)

    def _wait_for_retry(self, task: Task, now: float) -> None:
        self.counters.retried += 1
        delay = full_jitter(task.attempts - 2, *_RETRY_DELAYS, self._rng)
        self.timers.schedule(task, now + delay)

    def notify(
        self, kind: EventKind, detail: str, *, resumed: bool = False, count: int = 0
    ) -> None:
        """Tell people."""
        self.effects.append(Notify(Event(kind, detail, resumed, count)))
