"""Test the journal's file: what is kept is found again, and what is no journal is left alone."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runware_ws import JournalError
from runware_ws.journal.changes import Forget, Keep, KeepResult
from runware_ws.journal.loading import read_request
from runware_ws.journal.origin import Origin
from runware_ws.journal.store import Journal
from runware_ws.protocol.wire import decode_item
from tests.journal.files import (
    entries_of,
    in_another_process,
    keep,
    limited_files,
    opened,
    unprivileged,
    uuid_of,
)

unix = pytest.mark.skipif(sys.platform == "win32", reason="has other permissions and limits")
RESULT = {"taskUUID": uuid_of(1), "imageURL": "https://example.com/large.jpg"}


def in_new_rows(journal: Journal, *numbers: int) -> list[Keep]:
    changes = [keep(number) for number in numbers]
    for change in changes:
        change.origin.row = journal.new_row()
    return changes


class TestWhatIsKept:
    def test_is_found_again(self, path: Path) -> None:
        with opened(path) as journal:
            journal.commit([keep(1, attempts=2, polled=True, owned=False), keep(2, b"x" * 9)], None)
        with opened(path) as journal:
            first, second = entries_of(journal)
            request = journal.request(second.row)
        assert (first.uuid, first.source) == (uuid_of(1), "https://example.com/a.jpg")
        assert (first.attempts, first.polled, first.owned) == (2, True, False)
        assert not first.has_result
        assert b'"image":"xxxxxxxxx"' in request
        assert second.source is None

    def test_has_a_result_in_place_of_its_input(self, path: Path) -> None:
        with opened(path) as journal:
            journal.commit([keep(1), KeepResult(2, RESULT)], None)
        with opened(path) as journal:
            (entry,) = entries_of(journal)
            assert entry.has_result
            assert not entry.has_request
            assert journal.request(entry.row) == b""
            assert decode_item(journal.answer(entry.row)) == RESULT
            assert journal.answer(3) == b""
            assert journal.entry(3) is None

    def test_is_forgotten(self, path: Path) -> None:
        with opened(path) as journal:
            journal.commit([keep(1), keep(2)], None)
            journal.commit([Forget(2)], None)
            assert [entry.uuid for entry in entries_of(journal)] == [uuid_of(2)]

    def test_keeps_its_name_when_an_attempt_has_another_uuid(self, path: Path) -> None:
        with opened(path) as journal:
            first = keep(1)
            journal.commit([first], None)
            assert first.origin.request == b""  # it can be large
            again = keep(1, attempts=2, wire_uuid=uuid_of(2), origin=first.origin)
            journal.commit([again], None)
            (entry,) = entries_of(journal)
            request = journal.request(entry.row)
        assert (entry.uuid, entry.wire_uuid, entry.attempts) == (uuid_of(1), uuid_of(2), 2)
        assert uuid_of(2).encode() in request
        assert uuid_of(1).encode() not in request

    def test_is_in_the_order_in_which_it_was_first_kept(self, path: Path) -> None:
        with opened(path) as journal:
            changes = in_new_rows(journal, 3, 1, 2)
            journal.commit(changes, None)
        with opened(path) as journal:
            again = keep(1, attempts=2, origin=changes[1].origin)
            journal.commit([again, *in_new_rows(journal, 0)], None)
            found = [(entry.uuid, entry.attempts) for entry in entries_of(journal)]
        assert found == [(uuid_of(3), 1), (uuid_of(1), 2), (uuid_of(2), 1), (uuid_of(0), 1)]

    def test_is_written_without_touching_what_was_kept_before(self, path: Path) -> None:
        numbers = [random.getrandbits(128) for _ in range(5100)]  # as UUIDs are
        log = path.with_name(path.name + "-wal")
        with opened(path) as journal:
            journal.commit(in_new_rows(journal, *numbers[100:]), None)
            journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            journal.commit(in_new_rows(journal, *numbers[:100]), None)
            assert log.stat().st_size < 100 * 1000  # not a page for each of them

    def test_is_all_of_a_commit_or_nothing(self, path: Path) -> None:
        with opened(path) as journal:
            impossible = keep(2, attempts=2**70)
            with pytest.raises(OverflowError):
                journal.commit([keep(1), impossible], None)
            assert entries_of(journal) == []

    def test_may_have_any_name_that_a_file_can_have(self, path: Path) -> None:
        name = os.fsdecode(b"/photos/\xff\n.jpg")
        with opened(path) as journal:
            journal.commit([keep(1, origin=Origin(2, keep(1).origin.request, name, "hash"))], None)
        with opened(path) as journal:
            assert entries_of(journal)[0].source == name


class TestTheSession:
    def test_is_resumed_while_it_is_young(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time()
        with opened(path) as journal:
            assert journal.session() is None
            journal.commit([], "a session")
        for age, session in ((-5, None), (0.1, "a session"), (119, "a session"), (121, None)):
            monkeypatch.setattr(time, "time", lambda age=age: now + age)
            with opened(path) as journal:
                assert journal.session() == session

    def test_is_the_latest(self, path: Path) -> None:
        with opened(path) as journal:
            journal.commit([], "one")
            journal.commit([], "other")
            journal.commit([keep(1)], None)
            assert journal.session() == "other"


@unix
def test_only_its_owner_can_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        with opened(path) as journal:
            journal.commit([keep(1)], None)
            files = list(path.parent.iterdir())
            assert {file.name for file in files} == {"jobs.db", "jobs.db-lock", "jobs.db-wal"}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(old)


class TestASecondUser:
    def test_of_the_same_process_is_refused(self, path: Path) -> None:
        with opened(path) as journal:
            journal.commit([keep(1)], None)
            with pytest.raises(JournalError, match="another client, is using it"):
                Journal(path)
            journal.commit([keep(2)], None)
            assert len(entries_of(journal)) == 2

    def test_of_another_process_is_refused(self, path: Path) -> None:
        with opened(path) as journal:
            assert "another process" in in_another_process(path)
            journal.commit([keep(1)], None)
        assert in_another_process(path) == "opened"

    def test_of_the_same_process_does_not_let_in_one_of_another(self, path: Path) -> None:
        with opened(path):
            with pytest.raises(JournalError):
                Journal(path)
            assert "another process" in in_another_process(path)

    def test_comes_in_when_the_first_was_killed(self, path: Path) -> None:
        code = f"""
from runware_ws.journal.store import Journal
from runware_ws.journal.origin import Origin
from tests.journal.files import keep
journal = Journal({str(path)!r})
journal.commit([keep(1)], "a session")
print("ready", flush=True)
input()
"""
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.kill()
        with opened(path) as journal:
            assert [entry.uuid for entry in entries_of(journal)] == [uuid_of(1)]
            assert journal.session() == "a session"


def database(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as other:
        for statement in statements:
            other.execute(statement)
    other.close()


class TestWhatIsNoJournal:
    """It is refused, and no byte of it is changed."""

    def refused(self, path: Path, words: str) -> None:
        before = path.read_bytes()
        with pytest.raises(JournalError, match=words) as caught:
            Journal(path)
        assert caught.value.path == str(path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]

    def test_a_text(self, path: Path) -> None:
        for text in ("x", "Dear diary,\n", "Dear diary,\n" * 500):
            path.write_text(text)
            self.refused(path, "is not a journal, or it is damaged")

    def test_another_programs_database(self, path: Path) -> None:
        database(path, "CREATE TABLE task (uuid)")
        self.refused(path, "another program's database")

    def test_another_programs_database_without_tables(self, path: Path) -> None:
        database(path, "PRAGMA user_version=7", "VACUUM")
        self.refused(path, "another program's database")

    def test_a_journal_of_another_version(self, path: Path) -> None:
        with opened(path) as journal:
            journal.commit([keep(1)], None)
        database(path, "PRAGMA user_version=99")
        self.refused(path, "its version 99 is not known here")

    def test_a_folder(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(JournalError):
            Journal(path)

    def test_a_name_that_no_file_can_have(self, tmp_path: Path) -> None:
        for name in ("a\0b", "x" * 300, "no such folder/jobs.db"):
            with pytest.raises(JournalError):
                Journal(tmp_path / name)


class TestADamagedFile:
    """It is told, or nothing is missing: never a task less without a word."""

    @pytest.fixture
    def whole(self, path: Path) -> bytes:
        with opened(path) as journal:
            journal.commit([keep(number, b"x" * 3000) for number in range(1, 20)], "a session")
        return path.read_bytes()

    def is_told(self, path: Path, damaged: bytes) -> bool:
        path.write_bytes(damaged)
        reason = ""
        try:
            with opened(path) as journal:
                rows = [entry.row for entry in entries_of(journal)]
                assert len(rows) == 19
                if not all(read_request(journal, row).payload for row in rows):
                    return True
        except JournalError as error:
            reason = error.reason
        assert not reason or "damaged" in reason
        return bool(reason)

    def test_cut_short(self, path: Path, whole: bytes) -> None:
        for length in (1, 50, 100, 4095, 4096, 5000, 8192, len(whole) - 4096):
            assert self.is_told(path, whole[:length]), length

    def test_written_over(self, path: Path, whole: bytes) -> None:
        told = 0
        for start in range(0, len(whole), 4096):
            for rubbish in (b"\0", b"\xff", b"text"):
                page = (rubbish * 4096)[:4096]
                told += self.is_told(path, whole[:start] + page + whole[start + 4096 :])
        assert told > len(whole) // 4096 * 2

    def test_cut_to_nothing_while_something_was_in_it(self, path: Path) -> None:
        wal = path.with_name("jobs.db-wal")
        with opened(path) as journal:
            journal.commit([keep(1)], None)
            written = wal.read_bytes()
        wal.write_bytes(written)
        assert self.is_told(path, b"")


@unix
class TestWhatCannotBeWritten:
    def test_a_folder(self) -> None:
        with unprivileged() as folder:
            folder.chmod(0o500)
            with pytest.raises(JournalError, match="Permission denied"):
                Journal(folder / "jobs.db")
            assert list(folder.iterdir()) == []

    def test_a_folder_that_was_made_so_later(self) -> None:
        with unprivileged() as folder:
            with opened(folder / "jobs.db") as journal:
                journal.commit([keep(1)], None)
            folder.chmod(0o500)
            with pytest.raises(JournalError):
                Journal(folder / "jobs.db")
            folder.chmod(0o700)
            with opened(folder / "jobs.db") as journal:
                assert len(entries_of(journal)) == 1

    @pytest.mark.parametrize("mode", [0o400, 0o000])
    def test_a_file(self, mode: int) -> None:
        with unprivileged() as folder:
            path = folder / "jobs.db"
            with opened(path) as journal:
                journal.commit([keep(1)], None)
            path.chmod(mode)
            with pytest.raises(JournalError):
                Journal(path)
            path.chmod(0o600)
            with opened(path) as journal:
                assert len(entries_of(journal)) == 1

    def test_a_disk_that_is_full(self, path: Path) -> None:
        with opened(path) as journal:
            journal.commit([keep(1)], None)
            with limited_files(100_000):
                with pytest.raises(JournalError, match=r"full|disk I/O error"):
                    journal.commit([keep(2), keep(3, b"x" * 200_000)], None)
                assert [entry.uuid for entry in entries_of(journal)] == [uuid_of(1)]
            journal.commit([keep(4)], None)
        with opened(path) as journal:
            assert [entry.uuid for entry in entries_of(journal)] == [uuid_of(1), uuid_of(4)]
