"""The interface of telemetry, which is notified of each task."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, Protocol

if TYPE_CHECKING:
    from .submission import Submission

P = ParamSpec("P")
_log = logging.getLogger("runware_ws")


class Observer(Protocol):
    """Receives notifications of each task, in the event loop of the client. It must not wait."""

    def submitted(self, submission: Submission, waited: float) -> None:
        """Record a task that was handed to the session, `waited` seconds after the call."""

    def retried(self, submission: Submission, code: str) -> None:
        """Record that a task is retried after an error with this code."""

    def settled(self, submission: Submission, seconds: float | None) -> None:
        """Record the outcome of a task, and the seconds since the call, if known."""


class GuardedObserver(Observer):
    """Passes notifications on to another observer, and logs its errors.

    Args:
        observer: the other observer.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def submitted(self, submission: Submission, waited: float) -> None:
        _try(self._observer.submitted, submission, waited)

    def retried(self, submission: Submission, code: str) -> None:
        _try(self._observer.retried, submission, code)

    def settled(self, submission: Submission, seconds: float | None) -> None:
        _try(self._observer.settled, submission, seconds)


def _try(function: Callable[P, None], *args: P.args, **options: P.kwargs) -> None:
    try:
        function(*args, **options)
    except Exception:  # noqa: BLE001  # the code of the observer may raise anything
        _log.exception("the telemetry of the client failed")
