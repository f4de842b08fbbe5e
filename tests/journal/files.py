"""Provide what tests of the journal's file have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from runware_ws.journal.changes import Keep
from runware_ws.journal.entry import Entry, entry_of
from runware_ws.journal.origin import Origin
from runware_ws.journal.store import Journal
from runware_ws.protocol.wire import encode_task

__all__ = [
    "entries_of",
    "in_another_process",
    "keep",
    "limited_files",
    "opened",
    "unprivileged",
    "uuid_ending_in",
    "uuid_of",
]

_NOBODY = 65534


def uuid_of(number: int) -> str:
    return str(UUID(int=number, version=4))


def uuid_ending_in(number: int) -> str:
    """One of the UUIDs in the journals of earlier versions."""
    return f"00000000-0000-4000-8000-{number:012d}"


def entries_of(journal: Journal) -> list[Entry]:
    """Return all entries of a journal in the order in which they were recorded."""
    return [entry_of(row) for row in journal.rows()]


def keep(number: int, image: str | bytes = "https://example.com/a.jpg", **kept: object) -> Keep:
    """A change that keeps a task, in the row after those of lower numbers."""
    uuid = uuid_of(number)
    text = image if isinstance(image, str) else image.decode()
    request = encode_task({"taskType": "upscale", "taskUUID": uuid, "inputs": {"image": text}})
    source = image if isinstance(image, str) else None
    origin = Origin(number + 1, request, source)
    change = Keep(uuid, uuid, 1, polled=False, owned=True, origin=origin)
    for name, value in kept.items():
        setattr(change, name, value)
    return change


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    try:
        yield journal
    finally:
        journal.close()


def in_another_process(path: Path) -> str:
    """Open a journal there, and close it again: what comes of it."""
    module = "runware_ws.journal.store"
    code = f"from {module} import Journal; Journal({str(path)!r}).close(); print('opened')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder of somebody whom permissions bind, which they do not bind root, and to be that
    somebody within it."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file of this process grows past `size`, as on a disk that is full."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
