"""The changes to a journal. Each has a query, and makes its parameters when it is due."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..protocol.wire import encode_item, with_uuid
from .origin import Origin

if TYPE_CHECKING:
    import sqlite3


@dataclass(slots=True)
class Keep:
    """Record a task with its current attempt."""

    uuid: str
    wire_uuid: str
    attempts: int
    polled: bool
    owned: bool
    origin: Origin

    query: ClassVar[str] = "INSERT OR REPLACE INTO task VALUES (?,?,?,?,?,?,?,?,?,?,NULL)"

    def parameters(self, database: sqlite3.Connection) -> tuple[object, ...]:
        origin, request = self.origin, self.origin.request
        if origin.recorded_as:  # it is retried, perhaps under another taskUUID
            query = "SELECT request FROM task WHERE row=?"
            (kept,) = database.execute(query, (origin.row,)).fetchone() or (None,)
            request = with_uuid(kept or b"", origin.recorded_as, self.wire_uuid)
        # The request can be large, and is not needed here any more.
        origin.recorded_as, origin.request = self.wire_uuid, b""
        return (
            origin.row,
            self.uuid,
            self.wire_uuid,
            self.attempts,
            self.polled,
            self.owned,
            None if origin.source is None else os.fsencode(origin.source),
            origin.digest,
            origin.tag,
            request,
        )


@dataclass(slots=True)
class KeepResult:
    """Record the answer of a task."""

    row: int
    answer: dict[str, Any] = field(repr=False)

    query: ClassVar[str] = "UPDATE task SET result=?, request=NULL WHERE row=?"

    def parameters(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return encode_item(self.answer), self.row


@dataclass(slots=True)
class Forget:
    """Forget a task."""

    row: int

    query: ClassVar[str] = "DELETE FROM task WHERE row=?"

    def parameters(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.row,)


@dataclass(slots=True)
class SetApart:
    """Copy an unreadable answer to a table that is never read."""

    row: int

    query: ClassVar[str] = "INSERT INTO unreadable SELECT uuid, result FROM task WHERE row=?"

    def parameters(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.row,)


Change = Keep | KeepResult | Forget | SetApart
