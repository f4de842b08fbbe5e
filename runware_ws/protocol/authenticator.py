"""Authentication: the first exchange on every connection, with its ways to fail."""

from __future__ import annotations

from enum import Enum, auto

from ..error_codes import code_info
from ..errors import AuthenticationError
from .connection_state import ConnectionState
from .reconnector import Reconnector
from .task_table import TaskTable
from .timing import Timing
from .wire import ErrorItem, Item


class Verdict(Enum):
    """A consequence of a refused authentication."""

    WITHOUT_SESSION = auto()  # authenticate once more on this connection
    FATAL = auto()
    BREAKER = auto()  # drop the connection, and try again later


class Authenticator:
    """Judges the replies to an authentication."""

    def __init__(self, table: TaskTable, reconnector: Reconnector, timing: Timing) -> None:
        self._table = table
        self._reconnector = reconnector
        self._timing = timing

    def accepted(self, link: ConnectionState, item: Item) -> bool | None:
        """Take the reply. Return whether the session was resumed, or None if it names none."""
        session_uuid = item.get("connectionSessionUUID")
        if not isinstance(session_uuid, str):
            return None
        was_ready_before = self._reconnector.ever_ready
        self._table.counters.reconnects += was_ready_before
        resumed = self._reconnector.ready(session_uuid)
        if was_ready_before and not resumed:
            self._table.abandoned.clear()
        link.ready, link.auth_deadline = True, None
        return resumed

    def refused(self, link: ConnectionState, error: ErrorItem) -> Verdict:
        """Take an error in reply, or one that says later that the key is not good any more."""
        if not link.ready and link.resuming is not None:
            self._resume_refused(link, error)
            return Verdict.WITHOUT_SESSION
        if not self._reconnector.ever_ready and not code_info(error.code).retryable:
            return Verdict.FATAL
        return Verdict.BREAKER

    def _resume_refused(self, link: ConnectionState, error: ErrorItem) -> None:
        """Drop the session, which must not keep the client out for ever.

        What was refused may have been the key, though: then the session is worth another try later.
        """
        link.resuming = None
        self._reconnector.resume_failed()
        if not code_info(error.code).about_key:
            self._reconnector.session_uuid = None
        link.auth_written = False

    def may_be_refusal(self, link: ConnectionState, error: ErrorItem, now: float) -> bool:
        """Return whether to go on waiting for the reply after an error that is perhaps the reply.

        If an old session was refused, another error is rather about a task of that session.
        """
        if link.resuming is not None:
            return False
        if link.named_session:
            return True
        if code_info(error.code).retryable:
            return False
        link.early_error = error
        if link.auth_deadline is not None:
            link.auth_deadline = min(link.auth_deadline, now + self._timing.early_grace)
        return True

    def ended(self, link: ConnectionState) -> AuthenticationError | None:
        """Take the end of a connection. Return the error if the key was refused before it."""
        if not link.ready and link.resuming is not None:
            self._reconnector.resume_failed()
        if link.early_error is None or link.ready or self._reconnector.ever_ready:
            return None
        return refusal(link.early_error)


def refusal(error: ErrorItem) -> AuthenticationError:
    """Return an error in reply to the authentication as an exception."""
    return AuthenticationError(error.message or "the key was refused", error.code)
