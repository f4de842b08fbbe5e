"""Inbound faults: those of connections, keys, tasks and HTTP requests that arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...errors import ProtocolError
from ...protocol.wire import Item, decode_tasks
from ..service.answers import RefusedError, error_item, http_status
from ..service.core import Service
from ..service.validation import UPSCALE_TYPES
from .kinds import MESSAGE, Delay, Drop, Expire, Fail, Fault, Refuse, Silence, Status
from .state import Held, HeldSchedule, Line, Trigger

EVENTS = frozenset({"connection", "authentication", "request", "question", "call"})
_WORK = ("imageUpload", *UPSCALE_TYPES)  # a tuple, since a taskType may be anything
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


class InboundFaults:
    """Lets faults strike at what arrives, before the service sees it.

    Args:
        service: the service.
        triggers: the faults of inbound events, in order.
        held: where delayed tasks are kept.
    """

    def __init__(self, service: Service, triggers: Iterable[Trigger], held: HeldSchedule) -> None:
        self._service = service
        self._triggers = list(triggers)
        self._held = held

    def connection_status(self) -> int | None:
        """Return the HTTP status that refuses the next connection; None if it is accepted."""
        refusals = (one for one in self._triggers if isinstance(one.fault, Refuse))
        for fault in _striking(refusals, "connection"):
            if isinstance(fault, Refuse):
                return fault.status
        return None

    def connected(self, line: Line, now: float) -> None:
        """Let faults strike at a new connection."""
        others = (one for one in self._triggers if not isinstance(one.fault, Refuse))
        for fault in _striking(others, "connection"):
            self._takes(fault, line, {}, now)
        line.end_frame()

    def filter(self, line: Line, frame: bytes | str, now: float) -> Sequence[Item] | None:
        """Return the tasks of a frame that get through; None if all do, as they are."""
        tasks = self._tasks_of(frame)
        passing = [task for task in tasks if self._passes(line, task, now)]
        return None if len(passing) == len(tasks) else passing

    def refused_call(self, body: bytes) -> tuple[int, Item] | None:
        """Return the status and the error that refuse an HTTP request; None if it is accepted."""
        tasks = self._tasks_of(body)
        for fault in _striking(self._triggers, "call", *tasks):
            if isinstance(fault, Status):
                return fault.status, _error(fault.code or _CODES[fault.status], {})
        failures = [one for one in self._triggers if isinstance(one.fault, Fail)]
        for task in tasks:
            for fault in _striking(failures, event_of(task), task):
                if isinstance(fault, Fail):
                    error = failure(fault, task)
                    return http_status([error], any_data=False), error
        return None

    def _tasks_of(self, frame: bytes | str) -> list[Item]:
        """Return the tasks of a frame, if there is a fault to see them."""
        if not self._triggers:
            return []
        try:
            return decode_tasks(frame)
        except ProtocolError:
            return []  # the service answers with what is wrong

    def _passes(self, line: Line, task: Item, now: float) -> bool:
        for fault in _striking(self._triggers, event_of(task), task):
            if self._takes(fault, line, task, now):
                return False
        return not line.is_dead

    def _takes(self, fault: Fault, line: Line, task: Item, now: float) -> bool:
        """Carry a fault out, and return True if the task does not get through, or not now."""
        match fault:
            case Expire():
                expire_session(self._service, line)
                return False
            case Drop(moment="after"):
                line.drop_after = line.drop_after or fault
                return False
            case Drop():
                line.cut(fault)
            case Silence():
                line.silence(fault)
            case Refuse():
                line.send_error(_error(fault.code, task, "apiKey"))
            case Fail():
                line.send_error(failure(fault, task))
            case Delay():
                self._held.set(Held(line, tasks=[task]), now + fault.seconds)
        return True  # `Lose` does nothing else


def _striking(triggers: Iterable[Trigger], event: str, *tasks: Item) -> Iterator[Fault]:
    """Yield the faults that strike at an event. A fault counts the event when it is reached."""
    for trigger in triggers:
        if trigger.fault.of == event and trigger.strikes(lambda: tasks):
            yield trigger.fault


def event_of(task: Item) -> str:
    """Return the event that the arrival of a task is."""
    kind = task.get("taskType")
    if kind == "authentication":
        return "authentication"
    return "request" if kind in _WORK else "question"


def expire_session(service: Service, line: Line) -> None:
    """Expire the session of a connection, if it has one."""
    if line.connection.session is not None:
        service.expire_session(line.connection.session.uuid)


def failure(fault: Fail, task: Item) -> Item:
    """Return the error object by which a task fails."""
    error = RefusedError(fault.code, fault.message, fault.parameter)
    return error_item(error, task, name_task=not fault.anonymous)


def _error(code: str, task: Item, parameter: str | None = None) -> Item:
    return error_item(RefusedError(code, MESSAGE, parameter), task, name_task=False)
