"""Draw from a seed what is to go wrong in a soak, all kinds in turn."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from runware_ws.emulator.faults import (
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
    Refuse,
    Reorder,
    Silence,
    Stray,
)

__all__ = ["WEATHERS", "Plan", "Strike", "plan_of"]

WEATHERS = ("cut", "reset", "refused", "silent", "late", "slow", "split")
# The kinds take turns until there are so many more than are asked for: some wait for an event that
# does not come so often.
_SURPLUS = 1.3
_TRANSIENT = ("internalServerError", "serviceUnavailable", "rateLimitExceeded", "noAvailableServer")
_ANY = ("result", "answer", "request", "question", "authentication")


@dataclass(frozen=True)
class Strike:
    """A change in the weather on the line, when so many tasks are done."""

    at: int
    weather: str


@dataclass(frozen=True)
class Plan:
    """All that is to go wrong.

    Attributes:
        faults: those of the emulator.
        strikes: those of the line, in their order.
        kinds: how many there are of each.
    """

    faults: tuple[Fault, ...]
    strikes: tuple[Strike, ...]
    kinds: Counter[str]

    def struck(self, counts: Counter[str]) -> int:
        """Return how many of them have struck: one that lasts for several events counts once."""
        return sum(min(planned, counts[kind]) for kind, planned in self.kinds.items())


def plan_of(dice: random.Random, tasks: int, count: int) -> Plan:
    """A plan for so many tasks, of which at least so many faults are likely to strike."""
    moments = _Moments(dice, tasks, count)
    faults: list[Fault] = []
    strikes: list[Strike] = []
    names = [*_FAULTS, *WEATHERS]
    kinds = Counter(names[number % len(names)] for number in range(int(count * _SURPLUS)))
    for kind in kinds.elements():
        if kind in _FAULTS:
            faults += _FAULTS[kind](moments)
        else:
            strikes.append(Strike(dice.randrange(tasks // 50, tasks * 9 // 10), kind))
    kinds["drop"] += kinds["expire"]
    dice.shuffle(faults)
    return Plan(tuple(faults), tuple(sorted(strikes, key=lambda one: one.at)), kinds)


class _Moments:
    """Draws the events at which faults strike, as many as there will surely be of each kind."""

    def __init__(self, dice: random.Random, tasks: int, count: int) -> None:
        self.dice = dice
        self._events = {
            "connection": count // 4,
            "authentication": count // 4,
            "request": tasks * 9 // 10,
            "question": tasks // 3,  # one for each second task at least, that is polled
            "result": tasks // 3,  # the other ones are pushed
            "answer": tasks // 20,
            "any": count // 10,
        }

    def at(self, *events: str) -> dict[str, Any]:
        """One of these events. Never the first: a key that is refused then is wrong."""
        event = self.dice.choice(events)
        return {"of": event, "nth": 2 + self.dice.randrange(max(self._events[event], 2))}


def _refuse(on: _Moments) -> list[Fault]:
    where = on.at("connection", "authentication")
    return [Refuse(**where, status=on.dice.choice((429, 500, 502, 503)))]


def _drop(on: _Moments) -> list[Fault]:
    how: Any = on.dice.choice(("close", "abort", "reset"))
    moment: Any = on.dice.choice(("before", "after"))
    where = on.at(*_ANY, "connection")
    return [Drop(**where, how=how, moment=moment, written=on.dice.random() < 0.5)]


def _duplicate(on: _Moments) -> list[Fault]:
    seconds = on.dice.choice((0.0, 0.2))
    return [Duplicate(**on.at("result", "answer"), copies=on.dice.randint(1, 3), seconds=seconds)]


def _gather(cls: type[Reorder | Mix]) -> Callable[[_Moments], list[Fault]]:
    def gather(on: _Moments) -> list[Fault]:
        size = on.dice.randint(2, 8)
        return [cls(**on.at("result", "answer"), times=size, size=size, timeout=0.1)]

    return gather


def _fail(on: _Moments) -> list[Fault]:
    """A failure that may pass. One that is none, since the task is done after all: ``timeout``."""
    anonymous = on.dice.random() < 0.5
    if on.dice.random() < 0.25:
        return [Fail(**on.at("result"), code="timeout", finished=True, anonymous=anonymous)]
    where = on.at("result", "request")
    return [Fail(**where, code=on.dice.choice(_TRANSIENT), anonymous=anonymous)]


def _expire(on: _Moments) -> list[Fault]:
    where = on.at("result", "answer", "request", "question")
    return [Expire(**where), Drop(**where)]


def _silence(on: _Moments) -> list[Fault]:
    return [Silence(**on.at(*_ANY, "connection"), written=on.dice.random() < 0.5)]


_Draw: TypeAlias = Callable[[_Moments], list[Fault]]
_FAULTS: dict[str, _Draw] = {
    "refuse": _refuse,
    "drop": _drop,
    "expire": _expire,
    "silence": _silence,
    "duplicate": _duplicate,
    "reorder": _gather(Reorder),
    "mix": _gather(Mix),
    "fail": _fail,
    "delay": lambda on: [Delay(**on.at(*_ANY), seconds=on.dice.uniform(0.05, 0.5))],
    "lose": lambda on: [Lose(**on.at(*_ANY))],
    "garble": lambda on: [Garble(**on.at("result", "answer"))],
    "anonymous": lambda on: [Anonymous(**on.at("any"))],
    "stray": lambda on: [Stray(**on.at("result", "answer"))],
    "oversize": lambda on: [Oversize(**on.at("result", "answer"))],
}
