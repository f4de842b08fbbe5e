"""The service with faults: it stands between the service and the world, and looks like the service.

Everything passes here, in both directions. What arrives goes through the faults of connections,
authentications, requests, questions and calls before the service hears of it; what the service
wants sent goes through those of results and answers. Like the service it is pure: the time is an
argument, chance is injected, and what is to be done comes out as one list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ...protocol.wire import Item, encode_answer, encode_tasks
from ..service.calls import Call
from ..service.core import Service
from ..service.effects import Effect, Push, Respond, Upload, Webhook
from ..service.jobs import Failed, Job, Outcome
from ..service.sessions import Link
from .frames import nameless
from .inbound import WATCHED, Arrivals
from .kinds import Fail, Fault
from .outbound import Departures
from .scene import Scene
from .state import Trigger

__all__ = ["FaultyService"]

_Dice = Callable[[], float]


class FaultyService:
    """Takes what happens, gives what is to be done, and lets the faults strike in between.

    Args:
        service: what is without faults.
        faults: they stand in a row; see `runware_ws.emulator.faults`.
        dice: gives for each place in the row what draws numbers from 0 up to 1.
    """

    def __init__(
        self,
        service: Service,
        faults: Sequence[Fault] = (),
        dice: Callable[[int], _Dice] | None = None,
    ) -> None:
        self._service = service
        self._scene = Scene(service)
        draw = dice or (lambda _: lambda: 0.0)
        triggers = [Trigger(fault, draw(place)) for place, fault in enumerate(faults)]
        self._failing = [trigger for trigger in triggers if _strikes_the_engine(trigger.fault)]
        rest = [trigger for trigger in triggers if trigger not in self._failing]
        arriving = [trigger for trigger in rest if trigger.fault.of in WATCHED]
        self._arrivals = Arrivals(self._scene, arriving)
        self._departures = Departures(
            self._scene, [trigger for trigger in rest if trigger not in arriving]
        )

    @property
    def struck(self) -> Counter[str]:
        """How often each kind of fault has struck: a copy."""
        return self._scene.struck.copy()

    # What happens outside; see `Service`

    def refusal(self) -> int | None:
        """The HTTP status that answers the next connection in place of the upgrade, if any."""
        return self._arrivals.refusal()

    def connect(self, now: float) -> Link:
        link = self._service.connect(now)
        self._arrivals.connected(link, now)
        return link

    def disconnect(self, link: Link, now: float, unsent: Iterable[Push] = ()) -> None:
        self._service.disconnect(link, now, [*unsent, *self._scene.end(link)])
        self._collect(now)

    def receive(self, link: Link, frame: bytes | str, now: float) -> None:
        if not self._scene.hears(link):
            return
        tasks, ends = self._arrivals.tasks(link, frame, now)
        if tasks is None:
            self._service.receive(link, frame, now)
        elif tasks:
            self._service.receive(link, encode_tasks(tasks), now)
        self._collect(now)
        for end in ends:
            self._scene.cut(link, end)

    def request(self, body: bytes, key: str | None, now: float) -> Call:
        refused = self._arrivals.call(body)
        if refused is None:
            call = self._service.request(body, key, now)
            self._collect(now)
            return call
        return self._refuse(*refused)

    def hang_up(self, call: Call) -> None:
        self._service.hang_up(call)

    def finished(self, job: Job, outcome: Outcome, now: float) -> None:
        fault = self._failure(job)
        if fault is not None:
            outcome = Failed(fault.code, fault.message, fault.parameter)
        self._service.finished(job, outcome, now)
        self._collect(now, nameless_results=fault is not None and fault.anonymous)

    def called(self, effect: Webhook | Upload, accepted: bool, now: float) -> None:
        self._service.called(effect, accepted, now)
        self._collect(now)

    # Time

    def next_timer(self) -> float | None:
        dues = (self._service.next_timer(), self._scene.holding.first())
        return min((due for due in dues if due is not None), default=None)

    def handle_timer(self, now: float) -> None:
        self._service.handle_timer(now)
        self._collect(now)
        for held in self._scene.holding.pop_due(now):
            if held.pushes:
                self._departures.release(held, now)
            elif self._scene.hears(held.link):
                self._service.receive(held.link, encode_tasks(held.tasks), now)
                self._collect(now)

    def take_effects(self) -> list[Effect]:
        effects, self._scene.effects = self._scene.effects, []
        return effects

    # Inside

    def _collect(self, now: float, *, nameless_results: bool = False) -> None:
        """Let go through the faults what the service wants done."""
        for effect in self._service.take_effects():
            if not isinstance(effect, Push):
                self._scene.emit(effect)
            elif nameless_results and effect.keep:
                named = Push(effect.link, nameless(effect.frame), keep=True)
                self._departures.send(named, now)
            else:
                self._departures.send(effect, now)

    def _failure(self, job: Job) -> Fail | None:
        """The fault by which a job fails, if one strikes."""
        for trigger in self._failing:
            fault = trigger.fault
            if isinstance(fault, Fail) and trigger.strikes(lambda: (job.request,)):
                self._scene.note(fault)
                return fault
        return None

    def _refuse(self, status: int, error: Item) -> Call:
        call = Call()
        call.is_open = False
        self._scene.emit(Respond(call, status, encode_answer(errors=[error])))
        return call


def _strikes_the_engine(fault: Fault) -> bool:
    return isinstance(fault, Fail) and fault.of == "result" and not fault.finished
