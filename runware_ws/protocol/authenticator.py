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

    def accepted(self, connection: ConnectionState, item: Item) -> bool | None:
        """Handle the reply. Return whether the session was resumed, or None if it names none."""
        session_uuid = item.get("connectionSessionUUID")
        if not isinstance(session_uuid, str):
            return None
        was_ready_before = self._reconnector.ever_ready
        self._table.counters.reconnects += was_ready_before
        resumed = self._reconnector.ready(session_uuid)
        if was_ready_before and not resumed:
            self._table.abandoned.clear()
        connection.ready, connection.auth_deadline = True, None
        return resumed

    def refused(self, connection: ConnectionState, error: ErrorItem) -> RefusalAction:
        """Handle an error in reply, or a later error that says that the key became invalid."""
        if not connection.ready and connection.resuming is not None:
            self._resume_refused(connection, error)
            return RefusalAction.AUTHENTICATE_AGAIN
        if not self._reconnector.ever_ready and not code_info(error.code).retryable:
            return RefusalAction.FAIL
        return RefusalAction.RECONNECT_LATER

    def _resume_refused(self, connection: ConnectionState, error: ErrorItem) -> None:
        """Drop the session, so that it cannot lock the client out for ever.

        The service may have refused the key instead; then the session is tried again later.
        """
        connection.resuming = None
        self._reconnector.resume_failed()
        if not code_info(error.code).about_key:
            self._reconnector.session_uuid = None
        connection.auth_written = False

    def hold_early_error(self, connection: ConnectionState, error: ErrorItem, now: float) -> bool:
        """Keep an error that may be the reply, and wait for another one. Return whether it may be.

        After an old session was refused, a further error is probably about a task of that session.
        """
        if connection.resuming is not None:
            return False
        if connection.named_session:
            return True
        if code_info(error.code).retryable:
            return False
        connection.early_error = error
        if connection.auth_deadline is not None:
            connection.auth_deadline = min(connection.auth_deadline, now + self._timing.early_grace)
        return True

    def ended(self, connection: ConnectionState) -> AuthenticationError | None:
        """Handle the end of a connection. Return the error if the key was refused before."""
        if not connection.ready and connection.resuming is not None:
            self._reconnector.resume_failed()
        if connection.early_error is None or connection.ready or self._reconnector.ever_ready:
            return None
        return refusal(connection.early_error)


def refusal(error: ErrorItem) -> AuthenticationError:
    """Return an error in reply to the authentication as an exception."""
    return AuthenticationError(error.message or "the key was refused", error.code)
