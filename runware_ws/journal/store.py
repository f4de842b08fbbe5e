"""The journal: what must survive the process, in one SQLite file.

Written before a task is sent and before its outcome is handed over, many changes to a commit. It
holds the session, every task that is not settled, and every result that was not acknowledged. An
input file is kept by its path and hash; any other input is kept whole. The key is not in it.

A process that is killed loses nothing. If the whole machine loses its power, the last commits may
be missing (``synchronous=NORMAL``): a task may then have been sent that the journal does not know.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

from ..errors import JournalError, ProtocolError
from ..protocol.wire import decode_item, decode_tasks, encode_item, with_uuid

_APPLICATION_ID = 0x52577773  # "RWws"
_VERSION = 3
_SMALLEST_PAGE = 512  # bytes
# Runware documents that it keeps a session for 120 s after a disconnect.
_SESSION_AGE = 120.0
_SCHEMA = (
    "CREATE TABLE session (uuid TEXT NOT NULL, seen REAL NOT NULL)",
    """CREATE TABLE task (
        uuid TEXT PRIMARY KEY,  -- its name for its whole life
        wire_uuid TEXT NOT NULL,  -- the taskUUID of its present attempt
        source BLOB,  -- path or URL of the input; NULL for anything else
        digest TEXT,  -- SHA-256 of the input, if it is kept by path
        request BLOB,  -- the task as a frame, without its image if that is kept by path;
                       -- NULL if it must not be sent again
        attempts INTEGER NOT NULL,
        polled INTEGER NOT NULL,
        owned INTEGER NOT NULL,
        tag BLOB,  -- the caller's, as JSON; NULL if there is none
        result BLOB  -- the answer, once there is one
    ) WITHOUT ROWID""",
)


@dataclass(slots=True)
class Origin:
    """The origin of a task, as the journal keeps it.

    Attributes:
        request: the task as a frame of its own, without its image if `digest` is given; b"" once it
            is recorded.
        source: path or URL of the image, or None.
        digest: hash of the file at `source`; "" if the image is in `request`.
        tag: the caller's tag as JSON, or None.
        recorded_as: the taskUUID with which it is recorded; "" before that.
    """

    request: bytes
    source: str | None
    digest: str = ""
    tag: bytes | None = None
    recorded_as: str = ""


@dataclass(slots=True)
class Keep:
    """Record a task with its present attempt."""

    uuid: str
    wire_uuid: str
    attempts: int
    polled: bool
    owned: bool
    origin: Origin

    query: ClassVar[str] = "INSERT OR REPLACE INTO task VALUES (?,?,?,?,?,?,?,?,?,NULL)"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        origin, request = self.origin, self.origin.request
        if origin.recorded_as:  # it is tried again, perhaps under another taskUUID
            query = "SELECT request FROM task WHERE uuid=?"
            (kept,) = database.execute(query, (self.uuid,)).fetchone() or (None,)
            request = bytes(with_uuid(kept or b"", origin.recorded_as, self.wire_uuid))
        # The request can be large, and nobody needs it here any more.
        origin.recorded_as, origin.request = self.wire_uuid, b""
        source = None if origin.source is None else os.fsencode(origin.source)
        what = (self.uuid, self.wire_uuid, source, origin.digest, request)
        return (*what, self.attempts, self.polled, self.owned, origin.tag)


@dataclass(slots=True)
class KeepResult:
    """Record the answer of a task."""

    uuid: str
    answer: dict[str, Any]

    query: ClassVar[str] = "UPDATE task SET result=?, request=NULL WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return encode_item(self.answer), self.uuid


@dataclass(slots=True)
class KeepName:
    """Record that a task was given up after it was sent: it must not be sent again."""

    uuid: str

    query: ClassVar[str] = "UPDATE task SET request=NULL WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.uuid,)


@dataclass(slots=True)
class Forget:
    """Forget a task."""

    uuid: str

    query: ClassVar[str] = "DELETE FROM task WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.uuid,)


Change = Keep | KeepResult | KeepName | Forget
"""A change of the journal: a query, and the row of its parameters when its turn comes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A task as it was found in the journal; see the table."""

    uuid: str
    wire_uuid: str
    source: str | None
    digest: str
    request: bytes
    attempts: int
    polled: bool
    owned: bool
    tag: bytes | None
    has_result: bool


def digest(image: bytes | bytearray | memoryview) -> str:
    """Return the hash of an image in base64."""
    return hashlib.sha256(image).hexdigest()


def _wall_clock() -> float:
    return time.time()


class Journal:
    """An open journal. Its methods block, and may be called from any thread.

    Args:
        path: its file.
        clock: returns the time, which must mean the same to the next process. Default: the wall
            clock.

    Raises:
        JournalError: the file is not a journal, is damaged, cannot be written, or is in use.
    """

    def __init__(
        self, path: str | os.PathLike[str], clock: Callable[[], float] = _wall_clock
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        with self._clear_errors():
            self._create()
            self._database = sqlite3.connect(
                self._path, timeout=0.2, isolation_level=None, check_same_thread=False
            )
        try:
            with self._clear_errors():
                self._open()
        except BaseException:
            self._database.close()
            raise

    def _create(self) -> None:
        """Create the file so that others may not read it: it holds images and links.

        A file that exists is not opened here: closing it again would drop the lock that another
        client of this process may have on it (POSIX).
        """
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        size = self._path.stat().st_size
        wal = self._path.with_name(self._path.name + "-wal")
        # SQLite would take all this for a new database.
        if 0 < size < _SMALLEST_PAGE or (not size and wal.exists() and wal.stat().st_size):
            text = f"it is not a journal, or it is damaged (it has only {size} bytes)"
            raise JournalError(str(self._path), text)

    def _open(self) -> None:
        run = self._database.execute
        # Held until the end, so that a second process cannot open it; the system releases it when
        # this process dies.
        run("PRAGMA locking_mode=EXCLUSIVE")
        is_new = self._is_new()
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run("BEGIN EXCLUSIVE")
        if is_new:
            for statement in _SCHEMA:
                run(statement)
            run(f"PRAGMA application_id={_APPLICATION_ID}")
            run(f"PRAGMA user_version={_VERSION}")
        run("COMMIT")
        (verdict,) = run("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise JournalError(str(self._path), f"it is damaged: {verdict}")

    def _is_new(self) -> bool:
        """Return whether the file is empty. What is not this program's is refused."""
        run = self._database.execute
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not application and not version:
            return True
        if application != _APPLICATION_ID:
            raise JournalError(str(self._path), "it is another program's database")
        if version != _VERSION:
            raise JournalError(str(self._path), f"its version {version} is not known here")
        return False

    def session(self) -> str | None:
        """Return the session that was open last, if it is young enough to be resumed."""
        with self._clear_errors():
            row = self._database.execute("SELECT uuid, seen FROM session").fetchone()
        if row is None or not 0 <= self._clock() - row[1] < _SESSION_AGE:
            return None
        return str(row[0])

    def entries(self) -> list[Entry]:
        """Return every task that is in it."""
        columns = "uuid, wire_uuid, source, coalesce(digest, ''), coalesce(request, x''), attempts"
        flags = "polled, owned, tag, result IS NOT NULL"
        with self._clear_errors():
            rows = self._database.execute(f"SELECT {columns}, {flags} FROM task")  # noqa: S608
            return [_entry(*row) for row in rows]

    def answer(self, uuid: str) -> dict[str, Any] | None:
        """Return the answer of a task, if it is there."""
        with self._clear_errors():
            query = "SELECT result FROM task WHERE uuid=?"
            row = self._database.execute(query, (uuid,)).fetchone()
            return None if row is None or row[0] is None else decode_item(row[0])

    def commit(self, changes: Iterable[Change], session: str | None) -> None:
        """Make changes, all or none, and note that the session is alive."""
        with self._clear_errors():
            self._database.execute("BEGIN")
            try:
                for query, alike in groupby(changes, attrgetter("query")):
                    # One row at a time: each can be large.
                    rows = (change.row(self._database) for change in alike)
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

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError, ValueError, ProtocolError) as error:
                raise JournalError(str(self._path), _words(error)) from None


def _entry(uuid: str, wire_uuid: str, source: bytes | None, *row: Any) -> Entry:
    """Return a row as an entry.

    Raises:
        ValueError, ProtocolError: its page was overwritten.
    """
    digest_, request, attempts, polled, owned, tag, has_result = row
    if request and [task.get("taskUUID") for task in decode_tasks(request)] != [wire_uuid]:
        raise ValueError(f"malformed task {uuid}")
    path = None if source is None else os.fsdecode(source)
    flags = (bool(polled), bool(owned), tag, bool(has_result))
    return Entry(uuid, wire_uuid, path, digest_, request, attempts, *flags)


def _words(error: Exception) -> str:
    text = str(error)
    if isinstance(error, ProtocolError):
        return f"it is damaged: {text}"
    if "locked" in text:
        return "another process, or another client, is using it"
    if "not a database" in text or "malformed" in text:
        return f"it is not a journal, or it is damaged ({text})"
    if isinstance(error, OSError):
        return error.strerror or text
    return text
