"""What happened, for tests and for the curious; it never holds the key, nor megabytes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...protocol.wire import Item

__all__ = ["Record", "Seen", "shortened"]

_LONGEST_TEXT = 2_000
_LONGEST_LIST = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A task of a request, as it arrived.

    Attributes:
        at: when, on the clock of the service.
        link: the number of the connection; 0 for an HTTP request.
        task: its members; a key is masked, a long text is cut.
    """

    at: float
    link: int
    task: Mapping[str, Any]


class Record:
    """Counts and requests, the newest `limit` of each.

    Attributes:
        executions: how often each task was run, by taskUUID in lower case. A service that keeps
            its promise never counts past 1.
        requests: every task that arrived, also those that were refused; but none of an HTTP
            request without the key.
        billed: what all executions together cost.
        webhooks_failed: webhooks and uploads given up after their last attempt, by taskUUID.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.executions: Counter[str] = Counter()
        self.requests: deque[Seen] = deque(maxlen=limit)
        self.billed = 0.0
        self.webhooks_failed: deque[str] = deque(maxlen=limit)

    def request(self, at: float, link: int, task: Item) -> None:
        self.requests.append(Seen(at, link, shortened(task)))

    def execution(self, key: str, cost: float) -> None:
        if len(self.executions) >= self._limit and key not in self.executions:
            del self.executions[next(iter(self.executions))]
        self.executions[key] += 1
        self.billed += cost


def shortened(task: Mapping[str, Any]) -> Item:
    """A copy with long texts cut, deep nesting left out, and the key masked."""
    return {name: "***" if name == "apiKey" else _short(task[name], 3) for name in task}


def _short(value: Any, depth: int) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:40]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {name: _short(value[name], depth - 1) for name in value} if depth else {}
    if isinstance(value, list):
        return [_short(one, depth - 1) for one in value[:_LONGEST_LIST]] if depth else []
    return value
