"""One connection between the session and an open socket, from the attempt to make it to its end."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ..protocol.effects import Frame
from ..protocol.session import Session
from ..settings import Endpoint
from ..transport import Data, DisconnectedError, Socket, open_socket

__all__ = ["Connection"]


class Connection:
    """Carries frames, as long as the session means this connection when it speaks of one.

    Args:
        session: the session.
        clock: the time.
        changed: called when the session has something to be done.
        failed: called with an error that nobody thought of.
    """

    def __init__(
        self,
        session: Session,
        clock: Callable[[], float],
        changed: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.is_present = True
        self._session = session
        self._clock = clock
        self._changed = changed
        self._failed = failed
        self._scope = anyio.CancelScope()
        self._socket: Socket | None = None
        self._frame: Frame | None = None

    async def run(self, endpoint: Endpoint) -> DisconnectedError:
        """Connect, and carry frames until the connection ends. Why it did."""
        why = DisconnectedError("the connection was closed")
        with self._scope:
            try:
                async with open_socket(endpoint) as socket:
                    why = await self._carry(socket)
            except DisconnectedError as lost:
                why = lost
            except Exception as error:  # noqa: BLE001  # of a library: this connection's end only
                why = DisconnectedError(f"{type(error).__name__}: {error}")
        return why

    async def _carry(self, socket: Socket) -> DisconnectedError:
        if not self.is_present:
            return DisconnectedError("dropped while it was being opened")
        self._socket = socket
        self._session.connected(self._clock())
        self._changed()
        try:
            return await socket.run(self)
        finally:
            with anyio.CancelScope(shield=True):
                await socket.close()

    def drop(self) -> None:
        """End it at once; the session knows."""
        self.is_present = False
        self._scope.cancel()

    async def close(self) -> None:
        """End it with a goodbye; the session knows."""
        self.is_present = False
        try:
            if self._socket is not None:
                await self._socket.close()
        finally:
            self._scope.cancel()

    def wake(self) -> None:
        """The session may have a frame."""
        socket = self._socket
        if socket is not None and not socket.is_awake and self._session.has_frame:
            # What is alone in flight is not joined by others that were woken by the same answers.
            socket.wake(at_once=len(self._session.tasks) <= 1)

    def look(self, now: float) -> None:
        """Tell the session what only the socket sees."""
        if self._socket is not None:
            self._session.traffic(self._socket.heard_at, self._socket.unsent_bytes(), now)

    # As `Peer`: nothing once it is over, and never an exception. It is called from within the event
    # loop's or a library's own code, where nobody could deal with a bug; so a bug is told.

    def received(self, data: Data) -> None:
        if self.is_present:
            try:
                self._session.receive(data, self._clock())
            except Exception as error:  # noqa: BLE001
                self._failed(error)

    def received_all(self) -> None:
        if self.is_present:
            try:
                self._changed()
            except Exception as error:  # noqa: BLE001
                self._failed(error)

    def next_frame(self) -> bytes | None:
        if not self.is_present:
            return None
        try:
            self._frame = self._session.next_frame(self._clock())
            if self._session.timer_moved:
                self._changed()
        except Exception as error:  # noqa: BLE001
            self._failed(error)
            return None
        return None if self._frame is None else self._frame.data

    def written(self) -> None:
        frame, self._frame = self._frame, None
        if self.is_present and frame is not None:
            self._session.written(frame, self._clock())
