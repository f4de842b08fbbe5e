"""The state of the faults: the counts of each, and their effects on each connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...protocol.wire import Item, encode_answer
from ..service.effects import Close, Cut, Push, ServiceEffect
from ..service.sessions import ServiceConnection
from .kinds import Drop, Fault, Silence


class Trigger:
    """A fault, with the number of events that it has seen, and of those at which it struck.

    Each trigger draws its own random numbers, from 0 up to 1, so that they do not depend on the
    events of other faults.
    """

    def __init__(self, fault: Fault, draw: Callable[[], float]) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0
        self._draw = draw

    def strikes(self, tasks: Callable[[], Iterable[Mapping[str, Any]]]) -> bool:
        """Count an event, and return True if the fault strikes at it.

        Args:
            tasks: returns the tasks that the event is about; only called if they matter.
        """
        match = self.fault.match
        if match is not None and not any(_is_match(match, task) for task in tasks()):
            return False
        self.seen += 1
        strikes = not self._is_spent and self._is_its_turn()
        self.struck += strikes
        return strikes

    @property
    def _is_spent(self) -> bool:
        times = self.fault.times
        if times is None and self.fault.nth is not None:
            times = 1
        return times is not None and self.struck >= times

    def _is_its_turn(self) -> bool:
        fault = self.fault
        if fault.nth is not None:
            return self.seen >= fault.nth
        if fault.every is not None:
            return self.seen % fault.every == 0
        return fault.probability is None or self._draw() < fault.probability


def _is_match(match: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    return all(name in task and _is_equal(value, task[name]) for name, value in match.items())


def _is_equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, str) and isinstance(value, str):
        pattern = re.escape(wanted).replace(r"\*", ".*")
        return re.fullmatch(pattern, value, re.IGNORECASE | re.DOTALL) is not None
    return bool(wanted == value)


class FaultyConnection:
    """One connection, with the effects of faults on it.

    Attributes:
        drop_after: the fault that ends the connection after the current frame.
        gathering: the frames that are held back until there are enough, by the index of the fault.
        is_dead: True after it was cut or silenced; all input is then ignored.
        unsent: the pushes that were not sent because of a silence.
    """

    def __init__(self, connection: ServiceConnection, effects: list[ServiceEffect]) -> None:
        self.connection = connection
        self.drop_after: Drop | None = None
        self.gathering: dict[int, Held] = {}
        self.is_dead = False
        self.unsent: list[Push] = []
        self._effects = effects
        self._silence: Silence | None = None

    def send(self, effect: Push | Close | Cut) -> None:
        """Perform an effect on the connection, unless it is silent."""
        if self._silence is None:
            self._effects.append(effect)
        elif isinstance(effect, Push) and not self._silence.written:
            self.unsent.append(effect)

    def send_error(self, error: Item) -> None:
        """Send an error that no other fault sees."""
        self.send(Push(self.connection, encode_answer(errors=[error])))

    def cut(self, drop: Drop) -> None:
        """End the connection. Pushes after this come back from the host as unsent."""
        self.is_dead = True
        if drop.how == "close":
            self.send(Close(self.connection, drop.code, "injected by a fault"))
        else:
            self.send(Cut(self.connection, drop.how))

    def end_frame(self) -> None:
        """End the connection if a fault requires that after the current frame."""
        if self.drop_after is not None:
            drop, self.drop_after = self.drop_after, None
            self.cut(drop)

    def silence(self, fault: Silence) -> None:
        """Stop sending and receiving."""
        self.is_dead = True
        self._silence = self._silence or fault


@dataclass(slots=True, eq=False)
class Held:
    """Outbound frames, or inbound tasks, that are held back together.

    `place` is the index of the fault that holds frames; the faults after it are applied later.
    """

    faulty: FaultyConnection
    place: int = -1
    pushes: list[Push] = field(default_factory=list)
    tasks: list[Item] = field(default_factory=list, repr=False)
