"""Provide clients with a journal, and look at what is in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

from runware_ws import RunwareClient
from runware_ws.batch import Outcome
from runware_ws.journal.entry import Entry
from tests.journal.files import entries_of, opened

__all__ = ["in_file", "left_by", "snapshot"]


def snapshot(path: Path) -> Path:
    """The journal that a process would leave if it were killed now: a copy, as it is locked."""
    copy = path.with_name(f"{uuid4()}.db")
    shutil.copy(path, copy)
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        shutil.copy(wal, copy.with_name(copy.name + "-wal"))
    return copy


def in_file(path: Path) -> list[Entry]:
    """Return what is in a journal, by its UUID; it is not in use."""
    with opened(path) as journal:
        return sorted(entries_of(journal), key=lambda entry: entry.uuid)


async def left_by(client: RunwareClient) -> list[Outcome[Path | str | None]]:
    """All that an earlier process has left to this one."""
    return [outcome async for outcome in client.recovered()]
