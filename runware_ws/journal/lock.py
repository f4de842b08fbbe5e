"""The lock by which one client at a time uses a journal.

SQLite's own lock is not enough on POSIX systems: it vanishes as soon as anything in this process
that has read the file closes it again. The lock of an open file of its own does not. It ends with
the process, however that ends.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


class LockedError(Exception):
    """Another process, or another client of this one, has the lock."""


class Lock:
    """A lock that is held from now on.

    Args:
        path: its file, which is created, and removed at the end.

    Raises:
        LockedError: somebody else holds it.
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        while self._descriptor < 0:
            self._descriptor = _lock(path)

    def release(self) -> None:
        """Let others in."""
        with suppress(OSError):
            self._path.unlink()
        self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """Let go of the lock in a process that was forked, so that its parent alone holds it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _lock(path: Path) -> int:
    """Return the descriptor of a file that is locked, or -1 if it was removed meanwhile."""
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
