"""One client at a time: whatever reads the file, forks, or replaces it meanwhile."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from runware_ws import JournalError
from runware_ws.journal.store import Journal
from tests.journal.clients import in_file, left_by
from tests.journal.files import entries_of, in_another_process, keep, opened, uuid_of
from tests.support.clients import IMAGE, client_of, outcome_of, served
from tests.support.scripted import ScriptedServer, silent

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="has other locks, and no fork"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


READERS: dict[str, Callable[[Path], object]] = {
    "read": Path.read_bytes,
    "copied": lambda path: shutil.copy(path, path.with_name("copy")),
    "appended to": lambda path: path.open("ab").close(),
}


@pytest.mark.long
@pytest.mark.parametrize("how", READERS)
def test_a_file_that_is_read_in_this_process_stays_locked(path: Path, how: str) -> None:
    with opened(path) as journal:
        journal.commit([keep(1)], None)
        for file in list(path.parent.iterdir()):
            READERS[how](file)
        assert "another process" in in_another_process(path)
        with pytest.raises(JournalError, match="another client, is using it"):
            Journal(path)
        assert "another process" in in_another_process(path)
        journal.commit([keep(2)], None)
    assert in_another_process(path) == "opened"


def test_it_is_the_same_file_by_whatever_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with opened(path) as journal:
        journal.commit([keep(1)], None)
        monkeypatch.chdir(path.parent)
        for name in (link, Path("jobs.db"), path.parent / "." / "jobs.db"):
            with pytest.raises(JournalError, match="is using it"):
                Journal(name)
        path.read_bytes()
        assert "another process" in in_another_process(link)
    with opened(link) as journal:
        assert len(entries_of(journal)) == 1
        with pytest.raises(JournalError, match="is using it"):
            Journal(path)


def test_a_lock_leaves_no_file_behind_and_may_find_one(path: Path) -> None:
    lock = path.with_name("jobs.db-lock")
    lock.touch()  # of a process that was killed
    with opened(path):
        assert lock.exists()
    assert sorted(path.parent.iterdir()) == [path]


def test_a_journal_that_is_refused_lets_go_of_its_lock(path: Path) -> None:
    path.write_text("no journal")
    for _ in range(2):
        with pytest.raises(JournalError, match="is not a journal"):
            Journal(path)
    path.unlink()
    Journal(path).close()


@pytest.mark.parametrize("kind", ["/dev/null", "pipe"])
def test_what_keeps_nothing_is_refused(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(JournalError, match=r"it is not a file|Permission denied"):
        Journal(path if kind == "pipe" else kind)


class TestAForkedProcess:
    def run(self, path: Path, child: str, parent: str) -> str:
        """Fork with an open journal; what the parent says in the end."""
        code = f"""
import os, sys
from pathlib import Path
from runware_ws.journal.store import Journal
from tests.journal.files import keep
journal = Journal({str(path)!r})
journal.commit([keep(1)], None)
child = os.fork()
if not child:
    {child}
{parent}
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert not done.stderr
        return done.stdout.strip()

    waits = "os.waitpid(child, 0); journal.commit([keep(2)], None); journal.close()"

    @pytest.mark.parametrize("end", ["sys.exit()", "journal.close(); sys.exit()", "os._exit(0)"])
    def test_takes_nothing_from_its_parent_when_it_ends(self, path: Path, end: str) -> None:
        self.run(path, end, self.waits)
        assert [entry.uuid for entry in in_file(path)] == [uuid_of(1), uuid_of(2)]

    def test_cannot_use_the_journal_of_its_parent(self, path: Path) -> None:
        tries = """
    try:
        journal.commit([keep(3)], None)
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
"""
        assert "is open in the process that forked this one" in self.run(path, tries, self.waits)
        assert [entry.uuid for entry in in_file(path)] == [uuid_of(1), uuid_of(2)]

    def test_holds_up_nobody_when_its_parent_was_killed(self, path: Path) -> None:
        lives_on = "sys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2); input()"
        dies = "print(child, flush=True); os.kill(os.getpid(), 9)"
        code = f"""
import os, sys
from runware_ws.journal.store import Journal
from tests.journal.files import keep
journal = Journal({str(path)!r})
journal.commit([keep(1)], None)
ready, tell = os.pipe()
child = os.fork()
if not child:
    os.write(tell, b"x")
    {lives_on}
os.read(ready, 1)
{dies}
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            child = int(process.stdout.readline())
            process.wait()
            os.kill(child, 0)  # it lives
            assert [entry.uuid for entry in in_file(path)] == [uuid_of(1)]


MISHAPS: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "its log deleted": lambda path: path.with_name("jobs.db-wal").unlink(),
    "moved": lambda path: path.rename(path.with_name("elsewhere.db")),
    "replaced": lambda path: (
        shutil.copy(path, path.with_name("c")) and path.with_name("c").rename(path)
    ),
    "its folder moved": lambda path: path.parent.rename(f"{path.parent}-moved"),
}


@pytest.mark.parametrize("how", MISHAPS)
async def test_a_journal_that_is_gone_is_noticed_at_the_next_write(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(silent, journal=path) as (server, client):
        task = await client.submit(IMAGE)
        await server.until(lambda: len(server.of_kind("upscale")) == 1)
        MISHAPS[how](path)
        with pytest.raises(JournalError, match="deleted, moved or replaced"):
            await client.submit(IMAGE)
        assert isinstance(await outcome_of(task), JournalError)
        assert len(server.of_kind("upscale")) == 1
        assert client.state == "failed"
        assert [one.levelno for one in caplog.records].count(logging.ERROR) == 1


async def test_nobody_else_is_harmed_by_a_journal_that_cannot_be_written(
    path: Path, tmp_path: Path
) -> None:
    with ScriptedServer() as server:
        async with (
            client_of(server, journal=path) as client,
            client_of(server, journal=tmp_path / "other.db") as other,
            client_of(server) as third,
        ):
            await anyio.Path(path).unlink()
            with pytest.raises(JournalError):
                await client.submit(IMAGE)
            assert (await other.upscale(IMAGE)).image_url
            assert (await third.upscale(IMAGE)).image_url


async def test_one_that_was_moved_has_all_that_was_written_before_that(path: Path) -> None:
    elsewhere = path.with_name("elsewhere.db")
    async with served(silent, journal=path) as (_, client):
        task = await client.submit(IMAGE)
        MISHAPS["moved"](path)
        with pytest.raises(JournalError):
            await client.submit(IMAGE)
    assert task.task_uuid in {entry.uuid for entry in in_file(elsewhere)}
    assert in_file(path) == []


async def test_a_replacement_keeps_what_is_in_it(path: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "backup.db") as backup:
        backup.commit([keep(7)], None)
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=path) as client:
            (tmp_path / "backup.db").rename(path)
            with pytest.raises(JournalError):
                await client.submit(IMAGE)
        async with client_of(server, journal=path) as client:
            (left,) = await left_by(client)
    assert left.unwrap().task_uuid == uuid_of(7)
