"""Save a result, with its line in the record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from ..results import UpscaleResult
from .record import FolderRecord, RecordedResult, hash_of


async def save(
    result: UpscaleResult, entry: RecordedResult, out: Path, record: FolderRecord
) -> tuple[Path, bytes]:
    """Save a result in three steps: its line in the record, its file, and its acknowledgment.

    So a result that was not saved stays in the journal, whatever fails in between.

    Args:
        result: the result.
        entry: its entry in the record, without the members that the result determines.
        out: the output folder.
        record: the record of that folder, open.

    Returns:
        The path of the file, and its content.

    Raises:
        OSError: it cannot be saved, or the folder has vanished.
        RunwareError: the result has no image.
    """
    data = await result.read()

    def write_line() -> None:
        whole = replace(entry, sha256=hash_of(data), size=len(data))
        record.add(replace(whole, task_uuid=result.task_uuid, cost=result.cost))

    await anyio.to_thread.run_sync(write_line)
    return await result.save(out / entry.output), data
