"""The tables of a journal, and the migration from earlier versions."""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x52577773  # "RWws"
VERSION = 5

# Tasks are found by their rows: each commit would change most pages of an index of UUIDs, which are
# random. Large columns come last, so that the others are read without them.
_TASK = """CREATE TABLE task (
    row INTEGER PRIMARY KEY,  -- they grow in the order in which tasks were recorded
    uuid TEXT NOT NULL,  -- its name, which never changes
    wire_uuid TEXT NOT NULL,  -- the taskUUID of its current attempt
    attempts INTEGER NOT NULL,
    polled INTEGER NOT NULL,
    owned INTEGER NOT NULL,
    source BLOB,  -- path or URL of the input; NULL for anything else
    digest TEXT,  -- SHA-256 of the input, if it is kept by path
    tag BLOB,  -- the caller's, as JSON; NULL if there is none
    request BLOB,  -- the task as a frame, without its image if that is kept by path;
                   -- NULL if it must not be sent again
    result BLOB  -- the answer, once there is one
)"""
_UNREADABLE = "CREATE TABLE unreadable (uuid TEXT NOT NULL, result BLOB)"
_SESSION = "CREATE TABLE session (uuid TEXT NOT NULL, seen REAL NOT NULL)"

# The columns of the current table, as expressions over the table of an earlier version. The first
# version kept a request as an object. Now it is a frame, which is an array of objects.
_LATEST = "uuid, wire_uuid, attempts, polled, owned, source, digest, tag, request, result"
_COLUMNS = {
    1: "uuid, uuid, attempts, polled, owned, CAST(source AS BLOB), digest, NULL,"
    " CAST('[' || request || ']' AS BLOB), result",
    2: "uuid, uuid, attempts, polled, owned, source, digest, NULL, request, result",
    3: _LATEST,
    4: _LATEST,
}


class UnknownDatabaseError(Exception):
    """The database was not made by this package; the text gives the reason."""


def version_of(database: sqlite3.Connection) -> int:
    """Return the version of a journal, or 0 for an empty file. Nothing is changed.

    Raises:
        UnknownDatabaseError: it belongs to another program, or its version is unknown.
    """
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not application and not version:
        return 0
    if application != APPLICATION_ID:
        raise UnknownDatabaseError("it is another program's database")
    if version != VERSION and version not in _COLUMNS:
        raise UnknownDatabaseError(f"its version {version} is not known here")
    return int(version)


def bring_up_to_date(database: sqlite3.Connection, version: int) -> None:
    """Create the tables, or migrate those of an earlier version.

    It must be called in a transaction.
    """
    if version == VERSION:
        return
    if version == 0:
        database.execute(_SESSION)
        database.execute(_TASK)
        database.execute(f"PRAGMA application_id={APPLICATION_ID}")
    else:
        database.execute("ALTER TABLE task RENAME TO former")
        database.execute(_TASK)
        columns = _COLUMNS[version]
        database.execute(f"INSERT INTO task SELECT NULL, {columns} FROM former")  # noqa: S608
        database.execute("DROP TABLE former")
    if version < 4:
        database.execute(_UNREADABLE)
    database.execute(f"PRAGMA user_version={VERSION}")
