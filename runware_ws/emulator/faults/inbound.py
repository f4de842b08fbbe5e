"""The faults of what arrives: connections, keys, tasks and HTTP requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import UnionType

from ...errors import ProtocolError
from ...protocol.wire import Item, decode_tasks
from ..service.answers import Refusal, complaint, status_of
from ..service.sessions import Link
from ..service.tasks import UPSCALES
from .holding import Held
from .kinds import Delay, Drop, Expire, Fail, Fault, Refuse, Silence, Status
from .scene import Scene
from .state import Trigger

__all__ = ["WATCHED", "Arrivals"]

WATCHED = frozenset({"connection", "authentication", "request", "question", "call"})
_WORDS = "The fault script says so."
_CODES = {
    400: "invalidRequest",
    401: "invalidApiKey",
    402: "insufficientCredits",
    403: "forbidden",
    429: "rateLimitExceeded",
    500: "internalServerError",
    503: "serviceUnavailable",
    504: "timeout",
}


class Arrivals:
    """Lets the faults strike at what arrives, before the service hears of it.

    Args:
        scene: where they leave their traces.
        triggers: the faults of such events, in their row.
    """

    def __init__(self, scene: Scene, triggers: Iterable[Trigger]) -> None:
        self._scene = scene
        self._triggers: dict[str, list[Trigger]] = {event: [] for event in WATCHED}
        for trigger in triggers:
            self._triggers[trigger.fault.of].append(trigger)

    # Connections

    def refusal(self) -> int | None:
        """The HTTP status that answers the next connection in place of the upgrade, if any."""
        for fault in self._striking("connection", only=Refuse):
            if isinstance(fault, Refuse):
                return fault.status
        return None

    def connected(self, link: Link, now: float) -> None:
        """A connection was opened."""
        for fault in self._striking("connection", only=Drop | Silence):
            self._takes_away(fault, link, {}, now)

    # Tasks

    def tasks(
        self, link: Link, frame: bytes | str, now: float
    ) -> tuple[Sequence[Item] | None, list[Drop]]:
        """What of a frame gets through, and the ends of the connection that come after it.

        The tasks are None for "all, as they are".
        """
        tasks = self._tasks_of(frame)
        after: list[Drop] = []
        passing = [task for task in tasks if self._passes(link, task, after, now)]
        return (None if len(passing) == len(tasks) else passing), after

    def _tasks_of(self, frame: bytes | str) -> list[Item]:
        """The tasks of a frame, if there is a fault that cares, and it is one."""
        if not any(self._triggers.values()):
            return []
        try:
            return decode_tasks(frame)
        except ProtocolError:
            return []  # the service will say what is wrong with it

    def _passes(self, link: Link, task: Item, after: list[Drop], now: float) -> bool:
        for fault in self._striking(_event_of(task), task):
            if isinstance(fault, Drop) and fault.moment == "after":
                after.append(fault)
            elif self._takes_away(fault, link, task, now):
                return False
        return self._scene.hears(link)

    def _takes_away(self, fault: Fault, link: Link, task: Item, now: float) -> bool:
        """Do what the fault does; whether the task does not arrive, or not now."""
        match fault:
            case Expire():
                self._scene.expire(link)
                return False
            case Refuse():
                self._scene.say(link, _error(fault.code, task, "apiKey"))
            case Fail():
                self._scene.say(link, _failure(fault, task))
            case Delay():
                self._scene.holding.add(Held(link, now + fault.seconds, tasks=[task]))
            case Drop():
                self._scene.cut(link, fault)
            case Silence():
                self._scene.silence(link, written=fault.written)
        return True  # lost, for one

    # HTTP requests

    def call(self, body: bytes) -> tuple[int, Item] | None:
        """The status and the error with which an HTTP request is refused, if it is."""
        tasks = self._tasks_of(body)
        for fault in self._striking("call", *tasks):
            if isinstance(fault, Status):
                return fault.status, _error(fault.code or _CODES[fault.status], {})
        for task in tasks:
            for fault in self._striking(_event_of(task), task, only=Fail):
                if isinstance(fault, Fail):
                    error = _failure(fault, task)
                    return status_of([error], any_data=False), error
        return None

    def _striking(
        self, event: str, *tasks: Item, only: type[Fault] | UnionType = Fault
    ) -> Iterator[Fault]:
        """The faults that strike at an event, in their row; each is counted when it is reached.

        Args:
            event: what happens.
            tasks: what it is about.
            only: the kind that matters; others are not counted.
        """
        for trigger in self._triggers[event]:
            if isinstance(trigger.fault, only) and trigger.strikes(lambda: tasks):
                self._scene.note(trigger.fault)
                yield trigger.fault


def _event_of(task: Item) -> str:
    kind = task.get("taskType")
    if kind == "authentication":
        return "authentication"
    return "request" if kind == "imageUpload" or kind in UPSCALES else "question"


def _error(code: str, task: Item, parameter: str | None = None) -> Item:
    return complaint(Refusal(code, _WORDS, parameter), task, name_task=False)


def _failure(fault: Fail, task: Item) -> Item:
    refusal = Refusal(fault.code, fault.message, fault.parameter)
    return complaint(refusal, task, name_task=not fault.anonymous)
