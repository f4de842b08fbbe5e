"""The connections of the service, and the sessions that outlive them."""

from __future__ import annotations

from collections import deque


class ServiceConnection:
    """A handle of a WebSocket connection in events and effects.

    Attributes:
        number: the number of the connection, from 1.
        session: the session it authenticated for; None before that.
        dry_run: True if its tasks are checked and priced, but not run.
        is_open: False once either side has closed it.
    """

    __slots__ = ("dry_run", "is_open", "number", "session")

    def __init__(self, number: int, *, dry_run: bool = False) -> None:
        self.number = number
        self.dry_run = dry_run
        self.session: ServiceSession | None = None
        self.is_open = True

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        session = self.session.uuid if self.session is not None else None
        return f"<ServiceConnection {self.number} {state}, session {session}>"


class ServiceSession:
    """The state of one connectionSessionUUID.

    Attributes:
        uuid: the connectionSessionUUID.
        connection: the connection that uses it; None while there is none.
        is_known: False once it has expired. It can no longer be resumed, and nothing is kept
            for it.
    """

    __slots__ = ("_missed", "_missed_bytes", "connection", "is_known", "uuid")

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.connection: ServiceConnection | None = None
        self.is_known = True
        self._missed: deque[bytes] = deque()
        self._missed_bytes = 0

    def keep(self, frame: bytes, max_bytes: int) -> None:
        """Keep a frame until the session is resumed. Above `max_bytes`, drop the oldest frames."""
        self._missed.append(frame)
        self._missed_bytes += len(frame)
        while self._missed_bytes > max_bytes:
            self._missed_bytes -= len(self._missed.popleft())

    def take_missed(self) -> list[bytes]:
        """Remove the kept frames, and return them in order."""
        frames = list(self._missed)
        self._missed.clear()
        self._missed_bytes = 0
        return frames

    def __repr__(self) -> str:
        return f"<ServiceSession {self.uuid}, {len(self._missed)} missed, on {self.connection}>"


class SessionTable:
    """All sessions that can be resumed, by UUID, ignoring case."""

    def __init__(self) -> None:
        self._by_uuid: dict[str, ServiceSession] = {}

    def add(self, uuid: str) -> ServiceSession:
        session = self._by_uuid[uuid.lower()] = ServiceSession(uuid)
        return session

    def find(self, uuid: str) -> ServiceSession | None:
        return self._by_uuid.get(uuid.lower())

    def forget(self, session: ServiceSession) -> None:
        """Expire a session now."""
        self._by_uuid.pop(session.uuid.lower(), None)
        session.is_known = False
        session.take_missed()

    def __len__(self) -> int:
        return len(self._by_uuid)
