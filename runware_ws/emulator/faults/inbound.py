"""Inbound faults, which affect connections, keys, tasks and HTTP requests that arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from ...errors import ProtocolError
from ...protocol.wire import Item, decode_tasks
from ..service.answers import RefusedError, error_item, http_status
from ..service.core import Service
from ..service.schedule import Schedule
from ..service.validation import UPSCALE_TYPES
from .kinds import MESSAGE, STATUS_CODES, Delay, Drop, Expire, Fail, Fault, Refuse, Silence, Status
from .state import FaultyConnection, Held, Trigger

_F = TypeVar("_F", bound=Fault)
EVENTS = frozenset({"connection", "authentication", "request", "question", "call"})
_WORK = ("imageUpload", "mediaStorage", *UPSCALE_TYPES)  # a tuple, since a taskType may be anything


class InboundFaults:
    """Applies faults to inbound events before the service sees them."""

    def __init__(self, service: Service, triggers: Iterable[Trigger], held: Schedule[Held]) -> None:
        self._service = service
        self._triggers = list(triggers)
        self._held = held

    def connection_status(self) -> int | None:
        """Return the HTTP status that refuses the next connection; None if it is accepted."""
        return next((fault.status for fault in self._striking("connection", Refuse)), None)

    def connected(self, faulty: FaultyConnection, now: float) -> None:
        """Apply faults to a new connection."""
        for fault in self._striking("connection", (Drop, Silence)):
            self._takes(fault, faulty, {}, now)
        faulty.end_frame()

    def filter(
        self, faulty: FaultyConnection, frame: bytes | str, now: float
    ) -> Sequence[Item] | None:
        """Return the tasks of a frame that get through; None if all do, unchanged."""
        tasks = self._tasks_of(frame)
        passing = [task for task in tasks if self._passes(faulty, task, now)]
        return None if len(passing) == len(tasks) else passing

    def refused_call(self, body: bytes) -> tuple[int, Item] | None:
        """Return the status and the error that refuse an HTTP request; None if it is accepted."""
        tasks = self._tasks_of(body)
        for fault in self._striking("call", Status, *tasks):
            return fault.status, _error(fault.code or STATUS_CODES[fault.status], {})
        for task in tasks:
            for failing in self._striking(event_of(task), Fail, task):
                error = failure(failing, task)
                return http_status([error], any_data=False), error
        return None

    def _tasks_of(self, frame: bytes | str) -> list[Item]:
        """Return the tasks of a frame, if there is a fault that watches them."""
        if not self._triggers:
            return []
        try:
            return decode_tasks(frame)
        except ProtocolError:
            return []  # the service answers with what is wrong

    def _striking(
        self, event: str, kind: type[_F] | tuple[type[_F], ...], *tasks: Item
    ) -> Iterator[_F]:
        """Yield the faults of a kind that strike at an event. Each counts it when reached."""
        for trigger in self._triggers:
            fault = trigger.fault
            if isinstance(fault, kind) and fault.of == event and trigger.strikes(lambda: tasks):
                yield fault

    def _passes(self, faulty: FaultyConnection, task: Item, now: float) -> bool:
        for fault in self._striking(event_of(task), Fault, task):
            if self._takes(fault, faulty, task, now):
                return False
        return not faulty.is_dead

    def _takes(self, fault: Fault, faulty: FaultyConnection, task: Item, now: float) -> bool:
        """Apply a fault, and return True if the task does not get through, or not now."""
        match fault:
            case Expire():
                expire_session(self._service, faulty)
                return False
            case Drop(moment="after"):
                faulty.drop_after = faulty.drop_after or fault
                return False
            case Drop():
                faulty.cut(fault)
            case Silence():
                faulty.silence(fault)
            case Refuse():
                faulty.send_error(_error(fault.code, task, "apiKey"))
            case Fail():
                faulty.send_error(failure(fault, task))
            case Delay():
                self._held.set(Held(faulty, tasks=[task]), now + fault.seconds)
        return True  # `Lose` does nothing else


def event_of(task: Item) -> str:
    """Return the kind of event for an inbound task."""
    kind = task.get("taskType")
    if kind == "authentication":
        return "authentication"
    return "request" if kind in _WORK else "question"


def expire_session(service: Service, faulty: FaultyConnection) -> None:
    """Expire the session of a connection, if it has one."""
    if faulty.connection.session is not None:
        service.expire_session(faulty.connection.session.uuid)


def failure(fault: Fail, task: Item) -> Item:
    """Return the error object by which a task fails."""
    error = RefusedError(fault.code, fault.message, fault.parameter)
    return error_item(error, task, name_task=not fault.anonymous)


def _error(code: str, task: Item, parameter: str | None = None) -> Item:
    return error_item(RefusedError(code, MESSAGE, parameter), task, name_task=False)
