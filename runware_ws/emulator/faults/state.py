"""When a fault strikes: counts what it watches, and draws lots where it is left to chance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .kinds import Fault

__all__ = ["Trigger", "is_match"]


class Trigger:
    """A fault, with what it has seen so far.

    Args:
        fault: the fault.
        dice: gives a number from 0 up to 1. Each trigger has its own, so that what one draws
            does not depend on what the others have seen.

    Attributes:
        seen: how many events were counted.
        struck: at how many of them it struck.
    """

    def __init__(self, fault: Fault, dice: Callable[[], float]) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0
        self._dice = dice

    def strikes(self, members: Callable[[], Iterable[Mapping[str, Any]]]) -> bool:
        """Whether the fault strikes at this event.

        Args:
            members: gives the tasks that the event is about; asked only when it matters.
        """
        match = self.fault.match
        if match is not None and not any(is_match(match, task) for task in members()):
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
        return fault.probability is None or self._dice() < fault.probability


def is_match(match: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Whether a task has these members; ``*`` in a text stands for anything, case is ignored."""
    return all(name in task and _is_equal(value, task[name]) for name, value in match.items())


def _is_equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, str) and isinstance(value, str):
        pattern = re.escape(wanted).replace(r"\*", ".*")
        return re.fullmatch(pattern, value, re.IGNORECASE | re.DOTALL) is not None
    return bool(wanted == value)
