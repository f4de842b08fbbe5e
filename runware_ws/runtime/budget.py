"""A limit on what a client may spend.

A cost is known only when its task is settled. So a task in flight counts as the highest cost so
far, and before any cost is known, tasks are sent one at a time. A task with an unknown outcome (it
timed out, was cancelled, or was lost) counts as spent, because the service may finish and bill it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from ..errors import BudgetError, RunwareError, TaskError
from ..inputs import Image
from ..options import RequestTemplate
from ..protocol.request import DOCUMENTED_PRICE
from ..protocol.tasks import Task
from ..settings import Settings
from .admission import time_limit
from .api_key import ApiKey
from .concurrency import Notification
from .download import Downloads
from .observer import Observer
from .submission import Submission
from .submitter import Submitter

if TYPE_CHECKING:
    from ..journal.store import Journal

# Sums of costs such as 0.0013 are not exact.
_ROUNDING = 1e-9


class Budget:
    """The money that may be spent, and the money that was spent.

    Args:
        limit: the limit in US dollars.

    Attributes:
        spent: cost of all settled tasks in US dollars, with estimates for those with an unknown
            outcome.
    """

    def __init__(self, limit: float) -> None:
        self.spent = 0.0
        self._limit = limit
        self._highest: float | None = None
        self._in_flight = 0
        self._settled = Notification()

    async def reserve(self) -> None:
        """Wait until another task fits into the budget, at the highest cost so far.

        Raises:
            BudgetError: no other task fits, even if the tasks in flight cost nothing.
        """
        while not self._fits(self._in_flight + 1) or (self._highest is None and self._in_flight):
            if not self._fits(1):
                raise BudgetError(self._limit, self.spent)
            await self._settled.wait()
        self._in_flight += 1

    def release(self) -> None:
        """Release a reservation, because the task is settled or was not sent."""
        self._in_flight -= 1
        self._settled.notify()

    def charge(self, cost: float | None) -> None:
        """Count a task as spent. `cost` is in US dollars, or None if unknown."""
        self.spent += self._estimate if cost is None else cost
        if cost is not None:
            self._highest = max(cost, self._highest or 0.0)

    @property
    def _estimate(self) -> float:
        return DOCUMENTED_PRICE if self._highest is None else self._highest

    def _fits(self, tasks: int) -> bool:
        return self.spent + tasks * self._estimate <= self._limit + _ROUNDING


class BudgetedSubmitter(Submitter):
    """Submits tasks within the budget."""

    def __init__(
        self,
        settings: Settings,
        key: ApiKey,
        journal: Journal | None,
        downloads: Downloads,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(settings, key, journal, downloads, observer)
        self._budget = Budget(inf if settings.budget is None else settings.budget)
        self._reserved: set[Task] = set()

    async def submit(
        self, image: Image, template: RequestTemplate, *, timeout: float | None, **options: Any
    ) -> Submission:
        """Submit an image once there is room for it and the budget allows it."""
        started = self.driver.clock()
        deadline = None if timeout is None else started + timeout
        task_uuid = str(options.get("task_uuid") or "")
        with time_limit(task_uuid, timeout, deadline, "the budget was reached"):
            await self._budget.reserve()
        try:
            self.driver.check_open()  # it may have been closed since
            left = None if deadline is None else max(deadline - self.driver.clock(), 1e-3)
            submission = await super().submit(image, template, timeout=left, **options)
        except BaseException:
            self._budget.release()
            raise
        if submission.outcome is not None or submission in self._reserved:
            self._budget.release()  # it is an earlier one of the same name, or the client has ended
        else:
            self._reserved.add(submission)
        return submission

    def _settled(self, task: Task, outcome: dict[str, Any] | RunwareError) -> None:
        super()._settled(task, outcome)
        if task in self._reserved:
            self._reserved.remove(task)
            if not _is_free(task, outcome):
                self._budget.charge(_cost(outcome))
            self._budget.release()


def _is_free(task: Task, outcome: dict[str, Any] | RunwareError) -> bool:
    """Return whether a settled task is known to cost nothing: it was refused, or was not sent."""
    if isinstance(outcome, RunwareError):
        return isinstance(outcome, TaskError) or not task.writes
    return False


def _cost(outcome: dict[str, Any] | RunwareError) -> float | None:
    """Return the cost of a settled task; None if unknown."""
    cost = None if isinstance(outcome, RunwareError) else outcome.get("cost")
    return float(cost) if isinstance(cost, int | float) else None
