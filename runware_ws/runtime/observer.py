"""The interface of telemetry: it is told of each task as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .submission import Submission


class Observer(Protocol):
    """Is told of each task, in the event loop of the client. It must not raise or wait."""

    def submitted(self, submission: Submission, waited: float) -> None:
        """Take note of a task that was handed to the session, `waited` seconds after the call."""

    def retried(self, submission: Submission, code: str) -> None:
        """Take note that a task is run again after an error with this code."""

    def settled(self, submission: Submission, seconds: float | None) -> None:
        """Take note of the outcome of a task, and of the time since the call, if it is known."""
