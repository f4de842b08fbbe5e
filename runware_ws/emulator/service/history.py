"""The history of the service, for tests: the tasks that arrived, and those that were run."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...protocol.wire import Item

_MAX_TEXT = 2_000
_MAX_ITEMS = 20
_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class ReceivedTask:
    """A task as it arrived.

    Attributes:
        at: the time, on the clock of the service.
        connection: the number of the connection; 0 for an HTTP request.
        task: its members. The key is masked, and long texts are cut.
    """

    at: float
    connection: int
    task: Mapping[str, Any]


class History:
    """The tasks that arrived and those that were run, the newest `limit` of each.

    Attributes:
        executions: number of times that each task was run, by taskUUID in lower case. It is more
            than 1 only if the rules allow it.
        requests: the tasks that arrived, including refused ones, except those of an HTTP request
            without a valid key.
        billed: the cost of all executions.
        webhooks_failed: the tasks whose webhook or upload failed in every attempt, by taskUUID.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.executions: Counter[str] = Counter()
        self.requests: deque[ReceivedTask] = deque(maxlen=limit)
        self.billed = 0.0
        self.webhooks_failed: deque[str] = deque(maxlen=limit)

    def add_request(self, at: float, connection: int, task: Item) -> None:
        self.requests.append(ReceivedTask(at, connection, _shortened(task)))

    def add_execution(self, key: str, cost: float) -> None:
        if len(self.executions) >= self._limit and key not in self.executions:
            del self.executions[next(iter(self.executions))]
        self.executions[key] += 1
        self.billed += cost


def _shortened(task: Mapping[str, Any]) -> Item:
    """Return a copy of a task with long texts cut and the key masked."""
    return {name: "***" if name == "apiKey" else _short(task[name], _MAX_DEPTH) for name in task}


def _short(value: Any, depth: int) -> Any:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return f"{value[:40]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {name: _short(value[name], depth - 1) for name in value} if depth else {}
    if isinstance(value, list):
        return [_short(one, depth - 1) for one in value[:_MAX_ITEMS]] if depth else []
    return value
