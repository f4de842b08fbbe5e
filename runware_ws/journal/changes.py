"""The changes to a journal. Each has a query, and makes the row of parameters when it is due."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..protocol.wire import encode_item, with_uuid

if TYPE_CHECKING:
    import sqlite3


@dataclass(slots=True)
class Origin:
    """The origin of a task, as the journal keeps it.

    Attributes:
        request: the task as a frame, without its image if there is a `digest`; b"" once it is
            recorded.
        source: path or URL of the image, or None.
        digest: hash of the file at `source`; "" if the image is in `request`.
        tag: the caller's tag as JSON, or None.
        recorded_as: the taskUUID with which it is recorded; "" before that.
    """

    request: bytes = field(repr=False)
    source: str | None
    digest: str = ""
    tag: bytes | None = None
    recorded_as: str = ""


def digest(image: bytes | bytearray | memoryview) -> str:
    """Return the SHA-256 of an encoded image in hexadecimal."""
    return hashlib.sha256(image).hexdigest()


@dataclass(slots=True)
class Keep:
    """Record a task with its current attempt."""

    uuid: str
    wire_uuid: str
    attempts: int
    polled: bool
    owned: bool
    origin: Origin

    query: ClassVar[str] = "INSERT OR REPLACE INTO task VALUES (?,?,?,?,?,?,?,?,?,NULL)"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        origin, request = self.origin, self.origin.request
        if origin.recorded_as:  # it is retried, perhaps under another taskUUID
            query = "SELECT request FROM task WHERE uuid=?"
            (kept,) = database.execute(query, (self.uuid,)).fetchone() or (None,)
            request = bytes(with_uuid(kept or b"", origin.recorded_as, self.wire_uuid))
        # The request can be large, and is not needed here any more.
        origin.recorded_as, origin.request = self.wire_uuid, b""
        source = None if origin.source is None else os.fsencode(origin.source)
        flags = (self.attempts, self.polled, self.owned)
        return (self.uuid, self.wire_uuid, *flags, source, origin.digest, origin.tag, request)


@dataclass(slots=True)
class KeepResult:
    """Record the answer of a task."""

    uuid: str
    answer: dict[str, Any] = field(repr=False)

    query: ClassVar[str] = "UPDATE task SET result=?, request=NULL WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return encode_item(self.answer), self.uuid


@dataclass(slots=True)
class Forget:
    """Forget a task."""

    uuid: str

    query: ClassVar[str] = "DELETE FROM task WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.uuid,)


@dataclass(slots=True)
class SetApart:
    """Copy an unreadable answer to a table that is never read."""

    uuid: str

    query: ClassVar[str] = "INSERT INTO unreadable SELECT uuid, result FROM task WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.uuid,)


Change = Keep | KeepResult | Forget | SetApart
