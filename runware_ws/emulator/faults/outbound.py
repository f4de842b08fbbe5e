"""Outbound faults, which affect results and other answers that are about to be sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import ProtocolError
from ...protocol.wire import Item, decode, encode_answer
from ..service.core import Service
from ..service.effects import Push
from ..service.schedule import Schedule
from ..service.sessions import ServiceConnection
from .inbound import expire_session, failure
from .kinds import (
    Anonymous,
    Delay,
    Drop,
    Duplicate,
    Expire,
    Fail,
    Fault,
    Garble,
    Lose,
    Mix,
    Oversize,
    Reorder,
    Silence,
    Stray,
)
from .state import FaultyConnection, Held, Trigger


class OutboundFaults:
    """Applies faults to frames, between the service and the network.

    A frame passes the faults in order. Each fault may pass it on, change it, or replace it by any
    number of frames, which then pass the faults after it.
    """

    def __init__(
        self,
        service: Service,
        triggers: Iterable[Trigger],
        connections: Mapping[ServiceConnection, FaultyConnection],
        held: Schedule[Held],
    ) -> None:
        self._service = service
        self._triggers = list(triggers)
        self._connections = connections
        self._held = held

    def send(self, push: Push, now: float, start: int = 0) -> None:
        """Send a frame through the faults from index `start` on."""
        faulty = self._connections[push.connection]
        # A frame that cannot get through any more is not counted: it comes again in the replay.
        for place in range(start, 0 if faulty.is_dead else len(self._triggers)):
            trigger = self._triggers[place]
            if _watches(trigger.fault, push) and trigger.strikes(lambda: self._tasks_of(push)):
                self._strike(trigger.fault, faulty, push, place, now)
                return
        faulty.send(push)

    def release(self, held: Held, now: float) -> None:
        """Send frames that were held back through the remaining faults."""
        held.faulty.gathering.pop(held.place, None)
        pushes: Sequence[Push] = held.pushes
        fault = self._triggers[held.place].fault
        if isinstance(fault, Mix):
            pushes = [replace(pushes[0], frame=_merged(push.frame for push in pushes))]
        elif isinstance(fault, Reorder):
            pushes = pushes[::-1]
        for push in pushes:
            self.send(push, now, held.place + 1)

    def _tasks_of(self, push: Push) -> list[Mapping[str, Any]]:
        """Return the tasks for `Fault.match`: the requests of results, the items of answers."""
        items = [item for part in _items_of(push.frame) for item in part]
        if not push.is_result:
            return list(items)
        jobs = [self._service.find(str(item.get("taskUUID"))) for item in items]
        return [job.request for job in jobs if job is not None]

    def _strike(
        self, fault: Fault, faulty: FaultyConnection, push: Push, place: int, now: float
    ) -> None:
        """Apply a fault, and send the resulting frames through the next faults."""
        match fault:
            case Expire():
                expire_session(self._service, faulty)
            case Silence():
                faulty.silence(fault)
            case Drop(moment="before"):
                faulty.cut(fault)
            case Garble():
                faulty.send(replace(push, frame=_garbled(push.frame)))
            case Delay():
                self._held.set(Held(faulty, place, [push]), now + fault.seconds)
            case Duplicate() if fault.seconds:
                copies = Held(faulty, place, [push] * fault.copies)
                self._held.set(copies, now + fault.seconds)
            case Reorder() | Mix():
                self._gather(fault, faulty, push, place, now)
        for passing in _passing(fault, push):
            self.send(passing, now, place + 1)
        if isinstance(fault, Drop) and fault.moment == "after":
            faulty.cut(fault)

    def _gather(
        self, fault: Reorder | Mix, faulty: FaultyConnection, push: Push, place: int, now: float
    ) -> None:
        """Hold a frame back until there are enough of them."""
        held = faulty.gathering.get(place)
        if held is None:
            held = faulty.gathering[place] = Held(faulty, place)
            self._held.set(held, now + fault.timeout)
        held.pushes.append(push)
        if len(held.pushes) == fault.size:
            self._held.discard(held)
            self.release(held, now)


def _watches(fault: Fault, push: Push) -> bool:
    if fault.of not in ("any", "result" if push.is_result else "answer"):
        return False
    if isinstance(fault, Anonymous):
        return b'"errors"' in push.frame and any(
            "taskUUID" in error for error in _items_of(push.frame)[1]
        )
    # A frame that was garbled and is replayed cannot be read any more.
    return not isinstance(fault, Fail | Mix | Oversize) or any(_items_of(push.frame))


def _passing(fault: Fault, push: Push) -> Sequence[Push]:
    """Return the frames for the next fault."""
    frame = push.frame
    match fault:
        case Lose() | Garble() | Delay() | Reorder() | Mix() | Drop(moment="before", written=True):
            return ()
        case Duplicate(seconds=0):
            return [push] * (1 + fault.copies)
        case Stray():
            error = {"code": fault.code, "message": fault.message}
            return Push(push.connection, encode_answer(errors=[error])), push
        case Anonymous():
            return (without_names(push),)
        case Oversize():
            frame = _padded(frame, fault.frame_bytes)
        case Fail():
            data, errors = _items_of(frame)
            frame = encode_answer(errors=[failure(fault, task) for task in [*data, *errors]])
    return (replace(push, frame=frame),)


# Frames


def _items_of(frame: bytes) -> tuple[list[Item], list[Item]]:
    """Return the items and the errors of a frame; none if it was garbled before."""
    try:
        items, errors = decode(frame)
    except ProtocolError:
        return [], []
    return items, [dict(error.raw) for error in errors]


def _frame(data: list[Item], errors: list[Item]) -> bytes:
    return encode_answer(data or None, errors or None)


def _merged(frames: Iterable[bytes]) -> bytes:
    """Return one frame with the items and errors of all."""
    data: list[Item] = []
    errors: list[Item] = []
    for frame in frames:
        some_data, some_errors = _items_of(frame)
        data += some_data
        errors += some_errors
    return _frame(data, errors)


def _garbled(frame: bytes) -> bytes:
    """Return the first half of a frame: still text, but no longer JSON."""
    return frame[: len(frame) // 2].decode(errors="ignore").encode()


def without_names(push: Push) -> Push:
    """Return a frame without the taskUUIDs of its errors."""
    data, errors = _items_of(push.frame)
    for error in errors:
        error.pop("taskUUID", None)
    return replace(push, frame=_frame(data, errors))


def _padded(frame: bytes, size: int) -> bytes:
    """Return a frame of `size` bytes, or of more if it was larger, with a long first item."""
    data, errors = _items_of(frame)
    first = (data or errors)[0]
    first["padding"] = ""
    first["padding"] = "x" * (size - len(_frame(data, errors)))
    return _frame(data, errors)
