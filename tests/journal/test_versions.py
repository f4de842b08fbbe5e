"""Journals of earlier versions, as their code wrote them: nothing of what they hold is lost."""

from __future__ import annotations

import base64
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from runware_ws import UpscaleResult
from tests.journal.clients import in_file, left_by
from tests.journal.files import entries_of, opened, uuid_ending_in
from tests.support.clients import client_of
from tests.support.scripted import Connection, ScriptedServer

pytestmark = pytest.mark.anyio
DATA = Path(__file__).parents[1] / "data"
URL = "https://example.com/photo.jpg"
CONTENT = b"the content of a file"  # whose hash is in the journals
SESSION = "5b7e9c1e-6f7b-4a6c-9d5a-1f2e3d4c5b6a"
VERSIONS = [1, 2, 3, 4]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    photo = tmp_path / "cat.jpg"
    photo.write_bytes(CONTENT)
    return photo


def written_by(version: int, folder: Path, photo: Path) -> Path:
    """A journal of this version, whose file is `photo`."""
    path = folder / "jobs.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((DATA / f"journal-{version}.sql").read_text())
        source = str(photo) if version == 1 else os.fsencode(photo)
        database.execute("UPDATE task SET source=? WHERE digest<>''", (source,))
        database.execute("UPDATE session SET seen=?", (time.time(),))
        database.commit()
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_earlier_version_kept_is_there(version: int, tmp_path: Path, photo: Path) -> None:
    path = written_by(version, tmp_path, photo)
    with opened(path) as journal:
        entries = {entry.uuid: entry for entry in entries_of(journal)}
        assert journal.session() == SESSION
    # The first two versions named a task by its last attempt.
    again = uuid_ending_in(4 if version >= 3 else 9)
    first, second, third, fifth = (entries.pop(uuid_ending_in(number)) for number in (1, 2, 3, 5))
    retried = entries.pop(again)
    assert not entries
    assert (first.source, first.attempts, first.polled, first.owned) == (URL, 1, False, True)
    assert (second.source, second.polled, second.owned) == (None, True, False)
    assert (third.source, bool(third.digest)) == (str(photo), True)
    assert (retried.wire_uuid, retried.attempts) == (uuid_ending_in(9), 2)
    assert second.tag == (b'{"row":2}' if version >= 3 else None)
    assert fifth.has_result
    assert [one.has_request for one in (first, second, third, retried, fifth)] == [True] * 4 + [
        False
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_brought_up_to_date_once(version: int, tmp_path: Path, photo: Path) -> None:
    path = written_by(version, tmp_path, photo)
    entries = in_file(path)
    assert in_file(path) == entries
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        assert database.execute("PRAGMA user_version").fetchone() == (5,)
    assert tables == {"session", "task", "unreadable"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_its_tasks_are_finished(version: int, tmp_path: Path, photo: Path) -> None:
    path = written_by(version, tmp_path, photo)
    with ScriptedServer() as server:
        async with client_of(server, journal=path) as client:
            left = await left_by(client)
        (greeting,) = server.connections[0].frames[:1]
        assert SESSION in str(greeting)
    assert all(isinstance(one.result, UpscaleResult) for one in left)
    assert sorted(str(one.source) for one in left) == sorted([URL, URL, str(photo), "None", "None"])
    images = {task["taskUUID"]: task["inputs"]["image"] for task in server.of_kind("upscale")}
    assert images == {
        uuid_ending_in(1): URL,
        uuid_ending_in(2): base64.b64encode(b"bytes").decode(),
        uuid_ending_in(3): base64.b64encode(CONTENT).decode(),
        uuid_ending_in(9): "YWdhaW4=",
    }
    assert in_file(path) == []


async def test_the_result_of_an_earlier_version_is_whole(tmp_path: Path, photo: Path) -> None:
    async def says_nothing(connection: Connection) -> None:
        await connection.accept()
        await connection.receive()

    path = written_by(1, tmp_path, photo)
    with ScriptedServer(says_nothing) as server:
        async with client_of(server, journal=path) as client:
            outcome = await anext(client.recovered())
    result = outcome.unwrap()
    assert result.task_uuid == uuid_ending_in(5)
    assert (result.image_url, result.cost) == ("https://im.runware.ai/image/5.jpg", 0.0013)


def test_one_that_cannot_be_written_stays_as_it_was(tmp_path: Path, photo: Path) -> None:
    path = written_by(2, tmp_path, photo)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE unreadable (uuid)")  # in the way of the last step
        database.commit()
    before = path.read_bytes()
    with pytest.raises(Exception, match="already exists"), opened(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
        assert database.execute("SELECT count(*) FROM task").fetchone() == (5,)
    assert len(before) == path.stat().st_size
