"""Authentication, the first exchange on every connection, and its failures."""

from __future__ import annotations

from enum import Enum, auto

from ..error_codes import code_info
from ..errors import AuthenticationError
from .connection_state import ConnectionState
from .reconnector import Reconnector
from .task_table import TaskTable
from .timing import Timing
from .wire import ErrorItem, Item


class RefusalAction(Enum):
    """The reaction to a refused authentication."""

    AUTHENTICATE_AGAIN = auto()  # on this connection, without the session
    FAIL = auto()  # end the client
    RECONNECT_LATER = auto()


class Authenticator:
    """Handles the replies to the authentication."""

    def __init__(self, table: TaskTable, reconnector: Reconnector, timing: Timing) -> None:
        self._table = table
        self._reconnector = reconnector
        self._timing = timing

    def accepted(self, link: ConnectionState, item: Item) -> bool | None:
        """Handle the reply. Return whether the session was resumed, or None if it names none."""
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

    def refused(self, link: ConnectionState, error: ErrorItem) -> RefusalAction:
        """Handle an error in reply, or a later error that says that the key became invalid."""
        if not link.ready and link.resuming is not None:
            self._resume_refused(link, error)
            return RefusalAction.AUTHENTICATE_AGAIN
        if not self._reconnector.ever_ready and not code_info(error.code).retryable:
            return RefusalAction.FAIL
        return RefusalAction.RECONNECT_LATER

    def _resume_refused(self, link: ConnectionState, error: ErrorItem) -> None:
        """Drop the session, so that it cannot lock the client out for ever.

        The service may have refused the key instead; then the session is tried again later.
        """
        link.resuming = None
        self._reconnector.resume_failed()
        if not code_info(error.code).about_key:
            self._reconnector.session_uuid = None
        link.auth_written = False

    def hold_early_error(self, link: ConnectionState, error: ErrorItem, now: float) -> bool:
        """Keep an error that may be the reply, and wait for another one. Return whether it may be.

        After an old session was refused, a further error is probably about a task of that session.
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
        """Handle the end of a connection. Return the error if the key was refused before."""
        if not link.ready and link.resuming is not None:
            self._reconnector.resume_failed()
        if link.early_error is None or link.ready or self._reconnector.ever_ready:
            return None
        return refusal(link.early_error)


def refusal(error: ErrorItem) -> AuthenticationError:
    """Return an error in reply to the authentication as an exception."""
    return AuthenticationError(error.message or "the key was refused", error.code)
