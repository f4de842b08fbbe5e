"""A lock that allows one client at a time to use a journal.

SQLite's own lock is not enough on POSIX systems: it is lost as soon as any code in this process
closes the file. So this lock is on another file, which stays open. The system releases it when the
process ends for any reason.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


class LockedError(Exception):
    """Another process, or another client of this one, has the lock."""


class Lock:
    """A lock, which is acquired by its constructor.

    Args:
        path: path of its file, which is created, and removed at the end.

    Raises:
        LockedError: it is held by another process or client.
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        while self._descriptor < 0:
            self._descriptor = _lock(path)

    def release(self) -> None:
        """Release the lock, and remove its file."""
        with suppress(OSError):
            self._path.unlink()
        self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """Release the lock in a forked process, so that only its parent holds it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _lock(path: Path) -> int:
    """Return the descriptor of the locked file, or -1 if it was removed meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":  # there, SQLite's own lock is of this kind
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except BlockingIOError:
        os.close(descriptor)
        raise LockedError from None
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return -1
