"""An entry of the journal: a task as it was recorded."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

EntryRow = tuple[Any, ...]
"""An entry as the database returns it. The garbage collector does not track such tuples."""


class Entry(NamedTuple):
    """A task in the journal, without its large columns; see `runware_ws.journal.schema`.

    Attributes:
        row: its position in the order in which tasks were recorded.
    """

    row: int
    uuid: str
    wire_uuid: str
    attempts: int
    polled: bool
    owned: bool
    source: str | None
    digest: str
    tag: bytes | None
    has_request: bool
    has_result: bool


def entry_of(row: EntryRow) -> Entry:
    """Return a row as an entry."""
    number, uuid, wire_uuid, attempts, polled, owned, source, digest, tag, *flags = row
    return Entry(
        row=number,
        uuid=uuid,
        wire_uuid=wire_uuid,
        attempts=attempts,
        polled=bool(polled),
        owned=bool(owned),
        source=None if source is None else os.fsdecode(source),
        digest=digest or "",
        tag=tag,
        has_request=bool(flags[0]),
        has_result=bool(flags[1]),
    )
