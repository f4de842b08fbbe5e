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
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import JournalError
from .protocol.wire import decode_item, encode_item, with_uuid

__all__ = ["Change", "Entry", "Forget", "Journal", "Keep", "KeepResult", "Origin", "digest"]

_APPLICATION_ID = 0x52577773  # "RWws"
_VERSION = 1
# The service keeps a session for 120 s after a drop [D].
_SESSION_AGE = 120.0
_SCHEMA = (
    "CREATE TABLE session (uuid TEXT NOT NULL, seen REAL NOT NULL)",
    """CREATE TABLE task (
        uuid TEXT PRIMARY KEY,
        source TEXT,  -- the path or the URL of the input; NULL for anything else
        digest TEXT,  -- SHA-256 of the input, when it is kept by reference
        request BLOB,  -- the encoded task, without its image when that is kept by reference
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
        request: the encoded task, without its image when `digest` is given.
        source: the path or URL of the image, or None.
        digest: the hash of the file at `source`; "" when the image is in `request`.
        kept_as: the UUID under which it stands in the journal; "" before that.
    """

    request: bytes
    source: str | None
    digest: str = ""
    kept_as: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """Remember a task, under its present UUID."""

    uuid: str
    attempts: int
    polled: bool
    owned: bool
    origin: Origin


@dataclass(frozen=True, slots=True)
class KeepResult:
    """Remember a task's answer."""

    uuid: str
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Forget:
    """Forget a task."""

    uuid: str


Change = Keep | KeepResult | Forget


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


def digest(image: bytes) -> str:
    """The hash of an encoded image."""
    return hashlib.sha256(image).hexdigest()


class Journal:
    """An open journal. Its methods block, and are called from one thread at a time.

    Raises:
        JournalError: the file is not a journal, is damaged, cannot be written, or is in use.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
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
        """Others may not read it: it holds images and links."""
        flags = os.O_CREAT | os.O_RDWR
        os.close(os.open(self._path, flags, 0o600))

    def _open(self) -> None:
        run = self._database.execute
        # Held until the end, so that a second process cannot open it; the system lets go of it
        # when this process dies.
        run("PRAGMA locking_mode=EXCLUSIVE")
        (application,) = run("PRAGMA application_id").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if application != _APPLICATION_ID and tables:
            raise JournalError(str(self._path), "it is another program's database")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run("BEGIN EXCLUSIVE")
        if not tables:
            for statement in _SCHEMA:
                run(statement)
            run(f"PRAGMA application_id={_APPLICATION_ID}")
            run(f"PRAGMA user_version={_VERSION}")
        run("COMMIT")
        (version,) = run("PRAGMA user_version").fetchone()
        if version != _VERSION:
            raise JournalError(str(self._path), f"its version {version} is not known here")
        (verdict,) = run("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise JournalError(str(self._path), f"it is damaged: {verdict}")

    def session(self) -> str | None:
        """The session that was open last, if it is young enough to be resumed."""
        with self._clear_errors():
            row = self._database.execute("SELECT uuid, seen FROM session").fetchone()
        if row is None or not 0 <= time.time() - row[1] < _SESSION_AGE:
            return None
        return str(row[0])

    def entries(self) -> list[Entry]:
        """Every task that is in it."""
        columns = "uuid, source, coalesce(digest, ''), coalesce(request, x''), attempts"
        flags = "polled, owned, result IS NOT NULL"
        with self._clear_errors():
            rows = self._database.execute(f"SELECT {columns}, {flags} FROM task")  # noqa: S608
            return [Entry(*row[:5], *map(bool, row[5:])) for row in rows]

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
                for change in changes:
                    self._make(change)
                if session is not None:
                    self._database.execute("DELETE FROM session")
                    row = (session, time.time())
                    self._database.execute("INSERT INTO session VALUES (?, ?)", row)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _make(self, change: Change) -> None:
        run = self._database.execute
        match change:
            case Keep(uuid, attempts, polled, owned, origin):
                if origin.kept_as and origin.kept_as != uuid:
                    run("DELETE FROM task WHERE uuid=?", (origin.kept_as,))
                    origin.request = with_uuid(origin.request, origin.kept_as, uuid)
                origin.kept_as = uuid
                row = (uuid, origin.source, origin.digest, origin.request)
                flags = (attempts, polled, owned)
                run("INSERT OR REPLACE INTO task VALUES (?,?,?,?,?,?,?,NULL)", row + flags)
            case KeepResult(uuid, answer):
                query = "UPDATE task SET result=?, request=NULL WHERE uuid=?"
                run(query, (encode_item(answer), uuid))
            case Forget(uuid):
                run("DELETE FROM task WHERE uuid=?", (uuid,))

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise JournalError(str(self._path), _words(error)) from None


def _words(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return "another process, or another client, is using it"
    if "not a database" in text or "malformed" in text:
        return f"it is not a journal, or it is damaged ({text})"
    if isinstance(error, OSError):
        return error.strerror or text
    return text
