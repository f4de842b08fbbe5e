"""The journal: what must survive the process, in one SQLite file.

Written before a task is sent and before its outcome is handed over, many changes to a commit. It
holds the session, every task that is not settled, and every result that was not taken. An input
file is kept by reference, with its hash; any other input as it is. The key is not in it.

A process that dies (``kill -9``) loses nothing. Should the whole machine lose its power, the last
commits may be missing (``synchronous=NORMAL``): a task can then be sent without the journal
knowing of it.
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

__all__ = [
    "Change",
    "Entry",
    "Forget",
    "Journal",
    "Keep",
    "KeepName",
    "KeepResult",
    "Origin",
    "digest",
]

_APPLICATION_ID = 0x52577773  # "RWws"
_VERSION = 2
_SMALLEST = 512  # bytes of the smallest page that a database can have
# The service keeps a session for 120 s after a drop [D].
_SESSION_AGE = 120.0
_SCHEMA = (
    "CREATE TABLE session (uuid TEXT NOT NULL, seen REAL NOT NULL)",
    """CREATE TABLE task (
        uuid TEXT PRIMARY KEY,
        source BLOB,  -- the path or the URL of the input; NULL for anything else
        digest TEXT,  -- SHA-256 of the input, when it is kept by reference
        request BLOB,  -- the task as a frame, without its image when that is kept by reference;
                       -- NULL when it must not be sent again
        attempts INTEGER NOT NULL,
        polled INTEGER NOT NULL,
        owned INTEGER NOT NULL,
        result BLOB  -- the answer, once there is one
    ) WITHOUT ROWID""",
)


@dataclass(slots=True)
class Origin:
    """Where a task comes from, as the journal keeps it.

    Attributes:
        request: the task as a frame of its own, without its image when `digest` is given; b""
            once it stands in the journal.
        source: the path or URL of the image, or None.
        digest: the hash of the file at `source`; "" when the image is in `request`.
        kept_as: the UUID under which it stands in the journal; "" before that.
    """

    request: bytes
    source: str | None
    digest: str = ""
    kept_as: str = ""


@dataclass(slots=True)
class Keep:
    """Remember a task, under its present UUID."""

    uuid: str
    attempts: int
    polled: bool
    owned: bool
    origin: Origin

    query: ClassVar[str] = "INSERT OR REPLACE INTO task VALUES (?,?,?,?,?,?,?,NULL)"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        origin, request = self.origin, self.origin.request
        if origin.kept_as:  # it is tried again under another UUID
            query = "SELECT request FROM task WHERE uuid=?"
            (kept,) = database.execute(query, (origin.kept_as,)).fetchone() or (None,)
            request = bytes(with_uuid(kept or b"", origin.kept_as, self.uuid))
            database.execute("DELETE FROM task WHERE uuid=?", (origin.kept_as,))
        # It can be large, and nobody needs it here any more.
        origin.kept_as, origin.request = self.uuid, b""
        source = None if origin.source is None else os.fsencode(origin.source)
        what = (self.uuid, source, origin.digest, request)
        return (*what, self.attempts, self.polled, self.owned)


@dataclass(slots=True)
class KeepResult:
    """Remember a task's answer."""

    uuid: str
    answer: dict[str, Any]

    query: ClassVar[str] = "UPDATE task SET result=?, request=NULL WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return encode_item(self.answer), self.uuid


@dataclass(slots=True)
class KeepName:
    """Remember of a task that it was sent, and not what: it must not be sent again."""

    uuid: str

    query: ClassVar[str] = "UPDATE task SET request=NULL WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.uuid,)


@dataclass(slots=True)
class Forget:
    """Forget a task, also if it stands there under the UUID that it had before a retry."""

    uuid: str
    origin: Origin | None = None

    query: ClassVar[str] = "DELETE FROM task WHERE uuid=?"

    def row(self, database: sqlite3.Connection) -> tuple[object, ...]:
        return (self.uuid if self.origin is None else self.origin.kept_as,)


Change = Keep | KeepResult | KeepName | Forget
"""What may happen to the journal: a query, and the row of its parameters when its turn comes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A task as it was found in the journal; see the table."""

    uuid: str
    source: str | None
    digest: str
    request: bytes
    attempts: int
    polled: bool
    owned: bool
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
        clock: gives the time, which must mean the same to the next process.

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
        """Others may not read it: it holds images and links.

        A file that exists is not opened here: closing it again would take away the lock that
        another client of this process may have on it (POSIX).
        """
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        size = self._path.stat().st_size
        wal = self._path.with_name(self._path.name + "-wal")
        # SQLite would take all this for a new database.
        if 0 < size < _SMALLEST or (not size and wal.exists() and wal.stat().st_size):
            text = f"it is not a journal, or it is damaged (it has only {size} bytes)"
            raise JournalError(str(self._path), text)

    def _open(self) -> None:
        run = self._database.execute
        # Held until the end, so that a second process cannot open it; the system lets go of it
        # when this process dies.
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
        """Whether there is nothing in the file yet; what is not this program's is left alone."""
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
        """The session that was open last, if it is young enough to be resumed."""
        with self._clear_errors():
            row = self._database.execute("SELECT uuid, seen FROM session").fetchone()
        if row is None or not 0 <= self._clock() - row[1] < _SESSION_AGE:
            return None
        return str(row[0])

    def entries(self) -> list[Entry]:
        """Every task that is in it."""
        columns = "uuid, source, coalesce(digest, ''), coalesce(request, x''), attempts"
        flags = "polled, owned, result IS NOT NULL"
        with self._clear_errors():
            rows = self._database.execute(f"SELECT {columns}, {flags} FROM task")  # noqa: S608
            return [_entry(*row) for row in rows]

    def answer(self, uuid: str) -> dict[str, Any] | None:
        """The answer of a task, if it is there."""
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
        """Let go of the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError, ValueError, ProtocolError) as error:
                raise JournalError(str(self._path), _words(error)) from None


def _entry(uuid: str, source: bytes | None, *row: Any) -> Entry:
    """A row as an entry.

    Raises:
        ValueError, ProtocolError: its page was written over.
    """
    digest_, request, attempts, *flags = row
    if request and [task.get("taskUUID") for task in decode_tasks(request)] != [uuid]:
        raise ValueError(f"malformed task {uuid}")
    path = None if source is None else os.fsdecode(source)
    return Entry(uuid, path, digest_, request, attempts, *map(bool, flags))


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
