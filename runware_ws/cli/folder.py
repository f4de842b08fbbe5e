"""Check the output folder before anything is sent, and create it once there is a connection."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import UsageError, one_line
from .record import FolderRecord


def check_writable(folder: Path) -> None:
    """Raise UsageError if `folder`, or the folder to create it in, cannot be written to."""
    paths = (folder, *folder.absolute().parents)
    existing = next(one for one in paths if os.path.exists(one))  # noqa: PTH110  # never raises
    effective = os.access in os.supports_effective_ids
    if not existing.is_dir():
        reason = "Not a directory"
    elif not os.access(existing, os.W_OK | os.X_OK, effective_ids=effective):
        reason = "Permission denied"
    else:
        return
    raise UsageError(
        f"--out: {one_line(existing)} cannot be written to: {reason}; choose another folder"
    )


def create(folder: Path, record: FolderRecord) -> None:
    """Create the folder if it is missing, and open its record.

    Raises:
        UsageError: one of them cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        record.open()
    except OSError as error:
        path = one_line(error.filename or folder)
        raise UsageError(
            f"--out: {path} cannot be written: {error.strerror}; choose another folder"
        ) from None
