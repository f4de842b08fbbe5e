"""The fault injector, a layer between the host and the service with the interface of the service.

Each event passes it in one direction::

    event ─▶ inbound faults ─▶ service ─▶ outbound faults ─▶ effects

Like the service it is pure: time and random numbers are arguments. Without faults it changes
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ...protocol.wire import encode_answer, encode_tasks
from ..service.answers import HttpCall
from ..service.core import Service
from ..service.effects import Close, Cut, Delivery, Push, Respond, ServiceEffect
from ..service.jobs import Failed, Job, JobOutcome
from ..service.schedule import Schedule
from ..service.sessions import ServiceConnection
from .inbound import EVENTS, InboundFaults
from .kinds import Fail, Fault
from .outbound import OutboundFaults, without_names
from .state import FaultyConnection, Held, Trigger


class FaultInjector:
    """A service with faults. Its methods are those of `Service`.

    Args:
        service: the service without faults.
        faults: the faults, in order.
        random_for: returns a source of random numbers, from 0 up to 1, for the fault at an index.
    """

    def __init__(
        self,
        service: Service,
        faults: Sequence[Fault] = (),
        random_for: Callable[[int], Callable[[], float]] = lambda _: lambda: 0.0,
    ) -> None:
        self._service = service
        self._triggers = [Trigger(fault, random_for(n)) for n, fault in enumerate(faults)]
        self._failing = [one for one in self._triggers if _fails_jobs(one.fault)]
        inbound = [one for one in self._triggers if one.fault.of in EVENTS]
        outbound = [one for one in self._triggers if one not in inbound + self._failing]
        self._effects: list[ServiceEffect] = []
        self._connections: dict[ServiceConnection, FaultyConnection] = {}
        self._held: Schedule[Held] = Schedule()
        self._inbound = InboundFaults(service, inbound, self._held)
        self._outbound = OutboundFaults(service, outbound, self._connections, self._held)

    @property
    def struck(self) -> Counter[str]:
        """The number of times that each kind of fault has struck."""
        struck: Counter[str] = Counter()
        for trigger in self._triggers:
            if trigger.struck:
                struck[trigger.fault.kind] += trigger.struck
        return struck

    # Events

    def connection_status(self) -> int | None:
        """Return the HTTP status that refuses the next connection; None if it is accepted."""
        return self._inbound.connection_status()

    def connect(self, now: float, *, dry_run: bool = False) -> ServiceConnection:
        connection = self._service.connect(now, dry_run=dry_run)
        faulty = self._connections[connection] = FaultyConnection(connection, self._effects)
        self._inbound.connected(faulty, now)
        return connection

    def disconnect(
        self, connection: ServiceConnection, now: float, unsent: Iterable[Push] = ()
    ) -> None:
        faulty = self._connections.pop(connection)
        held = [one for one in self._held if one.faulty is faulty]
        for one in held:
            self._held.discard(one)
        held_pushes = [push for one in held for push in one.pushes]
        self._service.disconnect(connection, now, [*unsent, *faulty.unsent, *held_pushes])
        self._pass_on(now)

    def receive(self, connection: ServiceConnection, frame: bytes | str, now: float) -> None:
        faulty = self._connections[connection]
        if faulty.is_dead:
            return
        tasks = self._inbound.filter(faulty, frame, now)
        if tasks is None:
            self._service.receive(connection, frame, now)
        elif tasks:
            self._service.receive(connection, encode_tasks(tasks), now)
        self._pass_on(now)
        faulty.end_frame()

    def request(
        self, body: bytes, key: str | None, now: float, *, dry_run: bool = False
    ) -> HttpCall:
        refused = self._inbound.refused_call(body)
        if refused is None:
            call = self._service.request(body, key, now, dry_run=dry_run)
            self._pass_on(now)
            return call
        status, error = refused
        call = HttpCall()
        call.is_open = False
        self._effects.append(Respond(call, status, encode_answer(errors=[error])))
        return call

    def hang_up(self, call: HttpCall) -> None:
        self._service.hang_up(call)

    def finished(self, job: Job, outcome: JobOutcome, now: float) -> None:
        fault = self._failure_of(job)
        if fault is not None:
            outcome = Failed(fault.code, fault.message, fault.parameter)
        self._service.finished(job, outcome, now)
        self._pass_on(now, anonymous=fault is not None and fault.anonymous)

    def delivered(self, delivery: Delivery, accepted: bool, now: float) -> None:
        self._service.delivered(delivery, accepted, now)
        self._pass_on(now)

    # Time

    def next_timer(self) -> float | None:
        times = self._service.next_timer(), self._held.first()
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        self._service.handle_timer(now)
        self._pass_on(now)
        for held in self._held.pop_due(now):
            if held.pushes:
                self._outbound.release(held, now)
            elif not held.faulty.is_dead:
                self._service.receive(held.faulty.connection, encode_tasks(held.tasks), now)
                self._pass_on(now)

    def take_effects(self) -> list[ServiceEffect]:
        effects = self._effects.copy()
        self._effects.clear()  # the lines append to this very list
        return effects

    # Way out

    def _pass_on(self, now: float, *, anonymous: bool = False) -> None:
        """Pass the effects of the service through the outbound faults."""
        for effect in self._service.take_effects():
            if isinstance(effect, Push):
                is_stripped = anonymous and effect.is_result
                self._outbound.send(without_names(effect) if is_stripped else effect, now)
            elif isinstance(effect, Close | Cut):
                self._connections[effect.connection].send(effect)
            else:
                self._effects.append(effect)

    def _failure_of(self, job: Job) -> Fail | None:
        """Return the fault that makes a job fail, if one strikes."""
        for trigger in self._failing:
            if isinstance(trigger.fault, Fail) and trigger.strikes(lambda: (job.request,)):
                return trigger.fault
        return None


def _fails_jobs(fault: Fault) -> bool:
    """Return True for a fault that changes the outcome of a job, not only the frame about it."""
    return isinstance(fault, Fail) and fault.of == "result" and not fault.finished
