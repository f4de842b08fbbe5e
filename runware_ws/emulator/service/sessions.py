"""Connections, and the sessions that outlive them."""

from __future__ import annotations

from collections import deque

from .schedule import Deadlines

__all__ = ["Link", "Session", "SessionBook"]


class Link:
    """One WebSocket connection, as the service knows it: a handle without content of its own.

    Attributes:
        number: counts the connections, from 1.
        session: the session it authenticated for; None before that.
        is_open: False once either side has closed it.
    """

    __slots__ = ("is_open", "number", "session")

    def __init__(self, number: int) -> None:
        self.number = number
        self.session: Session | None = None
        self.is_open = True

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Link {self.number} {state}, session {self.session and self.session.uuid}>"


class Session:
    """What belongs to one connectionSessionUUID.

    Attributes:
        uuid: the connectionSessionUUID.
        link: the connection that has it now; None while it is dropped.
        is_known: False once it has expired: nothing is kept for it any more.
    """

    __slots__ = ("_missed", "_missed_bytes", "is_known", "link", "uuid")

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.link: Link | None = None
        self.is_known = True
        self._missed: deque[bytes] = deque()
        self._missed_bytes = 0

    def keep(self, frame: bytes, max_bytes: int) -> None:
        """Put a frame by until the session is resumed; over `max_bytes` the oldest are dropped."""
        self._missed.append(frame)
        self._missed_bytes += len(frame)
        while self._missed_bytes > max_bytes:
            self._missed_bytes -= len(self._missed.popleft())

    def take_missed(self) -> list[bytes]:
        """The frames put by, in their order; they are delivered once."""
        frames = list(self._missed)
        self._missed.clear()
        self._missed_bytes = 0
        return frames

    @property
    def missed(self) -> int:
        """How many frames wait to be replayed."""
        return len(self._missed)

    def __repr__(self) -> str:
        return f"<Session {self.uuid}, {self.missed} missed, on {self.link}>"


class SessionBook:
    """All sessions that are known, live and dropped; UUIDs compare without regard to case."""

    def __init__(self, memory: float) -> None:
        self._by_uuid: dict[str, Session] = {}
        self._dropped: Deadlines[str] = Deadlines(memory)

    def add(self, uuid: str) -> Session:
        session = self._by_uuid[uuid.lower()] = Session(uuid)
        return session

    def find(self, uuid: str) -> Session | None:
        return self._by_uuid.get(uuid.lower())

    def attach(self, session: Session, link: Link) -> None:
        """Give the session to a connection."""
        self._dropped.discard(session.uuid.lower())
        session.link = link
        link.session = session

    def drop(self, session: Session, now: float) -> None:
        """The session's connection is gone; from now on its memory runs out."""
        session.link = None
        self._dropped.set(session.uuid.lower(), now)

    def forget(self, uuid: str) -> None:
        """Let a session expire now."""
        self._dropped.discard(uuid.lower())
        if session := self._by_uuid.pop(uuid.lower(), None):
            session.is_known = False
            session.take_missed()

    def first_expiry(self) -> float | None:
        return self._dropped.first()

    def expire(self, now: float) -> None:
        for uuid in list(self._dropped.pop_due(now)):
            self.forget(uuid)

    def __len__(self) -> int:
        return len(self._by_uuid)
