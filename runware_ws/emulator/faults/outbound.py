"""The faults of what is sent: results and other answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...protocol.wire import encode_answer
from ..service.answers import Refusal, complaint
from ..service.effects import Push
from ..service.sessions import Link
from .frames import garbled, is_nameable, items_of, merged, nameless, padded
from .holding import Held
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
from .scene import Scene
from .state import Trigger

__all__ = ["Departures"]


class Departures:
    """Lets the faults strike at frames, between the service and the world.

    Args:
        scene: where they leave their traces.
        triggers: the faults of such events, in their row.
    """

    def __init__(self, scene: Scene, triggers: Iterable[Trigger]) -> None:
        self._scene = scene
        self._triggers = list(triggers)

    def send(self, push: Push, now: float, start: int = 0) -> None:
        """Send a frame past the faults from the place `start` on."""
        # What can no longer get through is not counted: it comes again with the replay.
        end = len(self._triggers) if self._scene.hears(push.link) else 0
        for place in range(start, end):
            trigger = self._triggers[place]
            if _watches(trigger.fault, push) and trigger.strikes(lambda: self._about(push)):
                self._scene.note(trigger.fault)
                for left in self._strike(trigger.fault, push, place, now):
                    self.send(left, now, place + 1)
                return
        self._scene.emit(push)

    def release(self, held: Held, now: float) -> None:
        """Let frames go on that were held back."""
        pushes: Sequence[Push] = held.pushes
        fault = self._triggers[held.place].fault
        if isinstance(fault, Mix):
            pushes = [replace(pushes[0], frame=merged(push.frame for push in pushes))]
        elif isinstance(fault, Reorder):
            pushes = pushes[::-1]
        for push in pushes:
            self.send(push, now, held.place + 1)

    def _about(self, push: Push) -> list[Mapping[str, Any]]:
        """What a frame is about: the requests of results; of other answers what they say."""
        items = [item for part in items_of(push.frame) for item in part]
        if not push.keep:
            return list(items)
        jobs = [self._scene.service.find(str(item.get("taskUUID"))) for item in items]
        return [job.request for job in jobs if job is not None]

    def _strike(self, fault: Fault, push: Push, place: int, now: float) -> Sequence[Push]:
        """Do what the fault does to the world; the frames that it leaves to be sent."""
        match fault:
            case Drop():
                return self._drop(fault, push, place, now)
            case Delay() | Lose() | Garble():
                self._withhold(fault, push, place, now)
                return ()
            case Duplicate():
                return self._duplicate(fault, push, place, now)
            case Reorder() | Mix():
                return self._gather(fault, push, place, now)
            case Expire():
                self._scene.expire(push.link)
            case Silence():
                self._scene.silence(push.link, written=fault.written)
            case Stray():
                error = {"code": fault.code, "message": fault.message}
                return Push(push.link, encode_answer(errors=[error])), push
        return (replace(push, frame=_changed(fault, push.frame)),)

    def _drop(self, fault: Drop, push: Push, place: int, now: float) -> Sequence[Push]:
        if fault.moment == "after":
            self.send(push, now, place + 1)
            self._scene.cut(push.link, fault)
            return ()
        self._scene.cut(push.link, fault)
        return () if fault.written else (push,)

    def _withhold(self, fault: Fault, push: Push, place: int, now: float) -> None:
        """The frame does not come, or late, or in pieces that no other fault can read."""
        if isinstance(fault, Delay):
            self._hold(push.link, fault.seconds, place, now).pushes.append(push)
        elif isinstance(fault, Garble):
            self._scene.emit(replace(push, frame=garbled(push.frame)))

    def _duplicate(self, fault: Duplicate, push: Push, place: int, now: float) -> Sequence[Push]:
        if not fault.seconds:
            return [push] * (1 + fault.copies)
        self._hold(push.link, fault.seconds, place, now).pushes.extend([push] * fault.copies)
        return (push,)

    def _hold(self, link: Link, seconds: float, place: int, now: float) -> Held:
        held = Held(link, now + seconds, place)
        self._scene.holding.add(held)
        return held

    def _gather(self, fault: Reorder | Mix, push: Push, place: int, now: float) -> Sequence[Push]:
        held = self._scene.holding.find(push.link, place)
        if held is None:
            held = self._hold(push.link, fault.timeout, place, now)
        held.pushes.append(push)
        if len(held.pushes) == fault.size:
            self._scene.holding.let_go(held)
            self.release(held, now)
        return ()


def _watches(fault: Fault, push: Push) -> bool:
    if fault.of not in ("any", "result" if push.keep else "answer"):
        return False
    if isinstance(fault, Anonymous):
        return is_nameable(push.frame)
    # What was garbled, came back unsent, and is replayed, can be read no more.
    return not isinstance(fault, Fail | Mix | Oversize) or any(items_of(push.frame))


def _changed(fault: Fault, frame: bytes) -> bytes:
    """The frame, in another form if this is a fault of the form."""
    match fault:
        case Anonymous():
            return nameless(frame)
        case Oversize():
            return padded(frame, fault.frame_bytes)
        case Fail():
            return _failed(fault, frame)
    return frame


def _failed(fault: Fail, frame: bytes) -> bytes:
    """An error for each task of the frame, whatever became of it."""
    data, errors = items_of(frame)
    refusal = Refusal(fault.code, fault.message, fault.parameter)
    tasks = [*data, *errors]
    name_task = not fault.anonymous
    return encode_answer(errors=[complaint(refusal, task, name_task=name_task) for task in tasks])
