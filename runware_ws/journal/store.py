"""The journal: one SQLite file with everything that must survive the process.

It is written before a task is sent, and before its outcome is returned, with many changes in one
commit. It holds the session, all unsettled tasks, and all results that were not acknowledged. An
input file is kept as its path and hash; any other input is kept whole. The key is not in it.

A process that is killed loses nothing. After a power failure the last commits may be missing
(``synchronous=NORMAL``): then a task that was sent may be unknown to the journal.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, groupby
from operator import attrgetter
from pathlib import Path

from ..errors import JournalError
from ..transport.fork import guard
from .changes import Change
from .entry import Entry, EntryRow, entry_of
from .lock import Lock, LockedError
from .schema import UnknownDatabaseError, bring_up_to_date, version_of

_SMALLEST_PAGE = 512  # bytes
# Runware documents that it keeps a session for 120 s after a disconnect.
_SESSION_AGE = 120.0
_IN_USE = "another process, or another client, is using it"
_ENTRY = (
    "row, uuid, wire_uuid, attempts, polled, owned, source, digest, tag,"
    " request IS NOT NULL, result IS NOT NULL"
)

_Identity = tuple[int, int] | None


def _wall_clock() -> float:
    return time.time()


class Journal:
    """An open journal. Its methods block, and may be called from any thread.

    Args:
        path: its file.
        clock: returns the time, which must be comparable across processes. Default: the wall clock.

    Attributes:
        path: the given path.

    Raises:
        JournalError: the file is not a journal, is damaged, cannot be written, or is in use.
    """

    def __init__(
        self, path: str | os.PathLike[str], clock: Callable[[], float] = _wall_clock
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._mutex = threading.Lock()
        self._is_parents = False
        self._identity: list[_Identity] = [None, None]
        self._rows = count(1)
        with self._clear_errors():
            # Links are resolved once, so that another path to the same file leads to the same lock.
            self._file = Path(os.path.realpath(path))
            self._wal = _beside(self._file, "-wal")
            self._lock = Lock(_beside(self._file, "-lock")) if sys.platform != "win32" else None
        try:
            with self._clear_errors():
                self._create()
                self._database = sqlite3.connect(
                    self._file, timeout=0.2, isolation_level=None, check_same_thread=False
                )
        except BaseException:
            self._release()
            raise
        try:
            with self._clear_errors():
                self._open()
                self._identity = self._identify()
        except BaseException:
            self.close()
            raise
        guard(self)

    def _create(self) -> None:
        """Create the file with access for its owner only: it may contain images and links.

        An existing file is not opened here: closing it would drop the lock of SQLite that other
        code in this process may have on it (POSIX).
        """
        with suppress(FileExistsError):
            os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        status = self._file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a file")
        size = status.st_size
        # SQLite would treat such a file as a new database.
        if 0 < size < _SMALLEST_PAGE or (not size and _size(self._wal)):
            raise OSError(f"it is not a journal, or it is damaged (it has only {size} bytes)")

    def _open(self) -> None:
        run = self._database.execute
        # Held until the end, so that no other program can open it; the system releases it when
        # this process dies.
        run("PRAGMA locking_mode=EXCLUSIVE")
        version = version_of(self._database)
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run("BEGIN EXCLUSIVE")
        (verdict,) = run("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise OSError(f"it is damaged: {verdict}")
        bring_up_to_date(self._database, version)
        (last_row,) = run("SELECT coalesce(max(row), 0) FROM task").fetchone()
        self._rows = count(last_row + 1)
        run("COMMIT")

    # Reading.

    def session(self) -> str | None:
        """Return the last session, if it is recent enough to be resumed."""
        with self._clear_errors():
            row = self._database.execute("SELECT uuid, seen FROM session").fetchone()
        if row is None or not 0 <= self._clock() - row[1] < _SESSION_AGE:
            return None
        return str(row[0])

    def rows(self, after: int = -1, limit: int = -1) -> list[EntryRow]:
        """Return the rows of entries in the order in which they were recorded.

        Args:
            after: the `Entry.row` of the last row that was read before.
            limit: the maximum number of rows; -1, the default, for no limit.
        """
        query = f"SELECT {_ENTRY} FROM task WHERE row>? ORDER BY row LIMIT ?"  # noqa: S608
        with self._clear_errors():
            return self._database.execute(query, (after, limit)).fetchall()

    def entry(self, row: int) -> Entry | None:
        """Return a task, if it is there."""
        query = f"SELECT {_ENTRY} FROM task WHERE row=?"  # noqa: S608
        with self._clear_errors():
            found = self._database.execute(query, (row,)).fetchone()
        return None if found is None else entry_of(found)

    def request(self, row: int) -> bytes:
        """Return the request of a task; b"" if there is none."""
        return self._bytes("SELECT request FROM task WHERE row=?", row)

    def answer(self, row: int) -> bytes:
        """Return the encoded answer of a task; b"" if there is none."""
        return self._bytes("SELECT result FROM task WHERE row=?", row)

    def _bytes(self, query: str, row: int) -> bytes:
        with self._clear_errors():
            (value,) = self._database.execute(query, (row,)).fetchone() or (None,)
            return value or b""

    # Writing.

    def new_row(self) -> int:
        """Return the number of a row for a new task. They grow in the order of the calls."""
        return next(self._rows)

    def commit(self, changes: Iterable[Change], session: str | None) -> None:
        """Commit changes in one transaction, and record that the session is alive."""
        with self._clear_errors():
            self._database.execute("BEGIN")
            try:
                for query, alike in groupby(changes, attrgetter("query")):
                    # One row at a time: each can be large.
                    rows = (change.parameters(self._database) for change in alike)
                    self._database.executemany(query, rows)
                if session is not None:
                    self._database.execute("DELETE FROM session")
                    row = (session, self._clock())
                    self._database.execute("INSERT INTO session VALUES (?, ?)", row)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            # Checked afterwards: data that was written to a deleted file is lost.
            if self._identify() != self._identity:
                raise OSError("it was deleted, moved or replaced while it was in use")

    def _identify(self) -> list[_Identity]:
        """Return the identities of this journal's files, to detect that they were replaced."""
        return [_identity(path) for path in (self._file, self._wal)]

    # The end.

    def close(self) -> None:
        """Close the file."""
        if self._is_parents:
            return
        with self._mutex:
            self._part_from_log()
            self._database.close()
        self._release()

    def _part_from_log(self) -> None:
        """Remove the log if the file was moved or replaced.

        Otherwise SQLite would apply the log to another file at the same path.
        """
        file, log = self._identity
        if file and _identity(self._file) != file:
            with suppress(sqlite3.Error):
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if _identity(self._wal) == log:
                with suppress(OSError):
                    self._wal.unlink()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def forked(self) -> None:
        """Release the file in a forked process, without closing it.

        On closing, SQLite would treat the parent's lock as its own, and delete the parent's log. So
        the connection is never closed, not even when the interpreter ends.
        """
        import ctypes

        self._is_parents = True
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._database))
        if self._lock is not None:
            self._lock.leave_to_parent()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        if self._is_parents:
            raise JournalError(str(self.path), "it is open in the process that forked this one")
        with self._mutex:
            try:
                yield
            except LockedError:
                raise JournalError(str(self.path), _IN_USE) from None
            except (sqlite3.Error, OSError, ValueError, UnknownDatabaseError) as error:
                raise JournalError(str(self.path), _words(error)) from None


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _identity(path: Path) -> _Identity:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _words(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return _IN_USE
    if "not a database" in text or "malformed" in text:
        return f"it is not a journal, or it is damaged ({text})"
    if isinstance(error, OSError):
        return error.strerror or text
    return text
