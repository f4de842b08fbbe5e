"""The record of an output folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from runware_ws.cli.errors import UsageError
from runware_ws.cli.record import (
    RECORD_NAME,
    FolderRecord,
    RecordedResult,
    ResultOrigin,
    content_of,
    entry_from,
    hash_of,
    redacted,
    result_options,
)

OUT = Path("out")
OUTPUT = PurePath("a.jpg")
WANTED = ResultOrigin("hash of a.jpg", result_options({"upscale_factor": 4}), "ws-api.runware.ai")
ENTRY = RecordedResult("a.jpg", "in/a.jpg", WANTED, "T", 0.002, hash_of(b"result"), 6)


@pytest.fixture(autouse=True)
def _an_output_folder(folder: Path) -> None:
    OUT.mkdir()


def record_of(*entries: RecordedResult) -> FolderRecord:
    """Return the record, read again, of a folder with the file of each entry."""
    record = FolderRecord(OUT)
    record.open()
    for entry in entries:
        record.add(entry)
        if entry.sha256 is not None:
            Path(OUT, entry.output).write_bytes(b"result")
    return FolderRecord(OUT)


def state_at(
    record: FolderRecord, wanted: ResultOrigin = WANTED, source: str = "in/a.jpg"
) -> tuple[str, str]:
    state = record.state_of(OUTPUT, Path(source), lambda: wanted)
    return state.kind, state.reason


def test_a_result_that_is_there_as_it_was_saved_is_done() -> None:
    assert state_at(record_of(ENTRY)) == ("done", "up to date")


def test_where_nothing_is_or_an_empty_file_nothing_can_be_lost() -> None:
    record = record_of(ENTRY)
    Path("out/a.jpg").write_bytes(b"")
    assert state_at(record) == ("free", "")
    Path("out/a.jpg").unlink()
    assert state_at(record) == ("free", "")
    assert state_at(FolderRecord(Path("nowhere"))) == ("free", "")


def test_a_result_whose_input_has_changed_is_outdated() -> None:
    changed = replace(WANTED, content="another hash")
    assert state_at(record_of(ENTRY), changed) == ("outdated", "its input has changed")


@pytest.mark.parametrize(
    ("wanted", "source", "reason"),
    [
        (replace(WANTED, content="another"), "in/b.jpg", "the result of another input"),
        (
            replace(WANTED, options=result_options({"upscale_factor": 2, "output_quality": 50})),
            "in/a.jpg",
            "made with other options: factor 4, quality 95",
        ),
        (
            replace(WANTED, options=result_options({"upscale_factor": 4, "output_format": "PNG"})),
            "in/a.jpg",
            "made with other options: format JPG",
        ),
        (
            replace(WANTED, service="emulator"),
            "in/a.jpg",
            "made by ws-api.runware.ai, not by emulator",
        ),
    ],
)
def test_the_result_of_something_else_does_not_count(
    wanted: ResultOrigin, source: str, reason: str
) -> None:
    assert state_at(record_of(ENTRY), wanted, source) == ("taken", reason)


def test_a_file_that_is_not_in_the_record_does_not_count() -> None:
    Path("out/a.jpg").write_bytes(b"result")
    assert state_at(record_of()) == ("taken", "not a result of runware-ws")


@pytest.mark.parametrize("content", [b"RESULT", b"longer than the result"])
def test_a_file_that_has_changed_since_does_not_count(content: bytes) -> None:
    record = record_of(ENTRY)
    Path("out/a.jpg").write_bytes(content)
    assert state_at(record) == ("taken", "changed since runware-ws wrote it")


def test_a_place_where_no_file_can_be_written_is_an_error() -> None:
    Path("out/a.jpg").mkdir()
    with pytest.raises(FileExistsError):
        state_at(record_of())
    Path("out/file").touch()
    with pytest.raises(NotADirectoryError):
        record_of().state_of(PurePath("file/a.jpg"), Path("a.jpg"), lambda: WANTED)


def test_the_last_line_of_a_result_holds() -> None:
    older = replace(ENTRY, sha256="0" * 64, origin=replace(WANTED, service="emulator"))
    assert state_at(record_of(older, ENTRY)) == ("done", "up to date")


def test_a_line_that_was_cut_off_is_ignored_and_the_next_one_is_whole() -> None:
    record_of(ENTRY)
    path = Path(OUT, RECORD_NAME)
    path.write_bytes(path.read_bytes()[:-20])
    assert state_at(FolderRecord(OUT))[0] == "taken"
    assert state_at(record_of(ENTRY))[0] == "done"


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"version":1}',
        b'{"version":1,"output":"b.jpg","source":"x","origin":{}}',
        b'{"version":1,"output":7,"source":"x","origin":{"content":"","options":{},"service":""}}',
        b'{"version":2,"output":"a.jpg"}',
    ],
)
def test_lines_that_are_no_entries_are_ignored(line: bytes) -> None:
    record_of(ENTRY)
    path = Path(OUT, RECORD_NAME)
    path.write_bytes(line + b"\n" + path.read_bytes() + line + b"\n")
    assert state_at(FolderRecord(OUT))[0] == "done"


@pytest.mark.parametrize("target", [".", "/dev/zero"])
def test_a_record_that_is_not_a_file_is_an_error(target: str) -> None:
    Path(OUT, RECORD_NAME).symlink_to(target)
    with pytest.raises(UsageError, match=r"^--out: out/\.runware-ws\.jsonl cannot be read: "):
        FolderRecord(OUT)


def test_what_another_run_saves_meanwhile_counts() -> None:
    early = FolderRecord(OUT)
    record_of(ENTRY)
    assert state_at(early) == ("done", "up to date")


def test_nothing_is_added_once_the_folder_has_vanished() -> None:
    record = FolderRecord(OUT)
    record.open()
    OUT.rename("moved")
    with pytest.raises(FileNotFoundError):
        record.add(ENTRY)
    OUT.mkdir()  # as where another disk was mounted
    with pytest.raises(FileNotFoundError, match="the output folder has vanished"):
        record.add(ENTRY)
    assert not Path(OUT, RECORD_NAME).exists()


def test_a_result_that_was_never_saved_is_known_until_it_is() -> None:
    unsaved = replace(ENTRY, sha256=None, size=0)
    assert record_of(unsaved).unsaved == {"T": unsaved}
    assert record_of(ENTRY).unsaved == {}


def test_the_price_is_that_of_the_last_result_of_the_same_kind() -> None:
    other = replace(ENTRY, output="b.jpg", cost=9.0, origin=replace(WANTED, service="emulator"))
    record = record_of(replace(ENTRY, cost=1.0), ENTRY, other)
    assert record.price(WANTED.options, WANTED.service) == 0.002
    assert record.price(WANTED.options, "elsewhere") is None


def test_an_entry_survives_as_the_tag_of_a_task() -> None:
    from dataclasses import asdict

    assert entry_from(asdict(ENTRY)) == ENTRY
    assert entry_from(None) is None


def test_the_content_of_a_file_and_of_a_url_is_a_hash() -> None:
    Path("a.jpg").write_bytes(b"content")
    assert content_of(Path("a.jpg")) == hash_of(b"content")
    assert content_of("https://a/b") == hash_of(b"https://a/b")


def test_the_secrets_of_a_url_are_not_in_the_record() -> None:
    assert redacted("https://me:pass@host/a.jpg?token=s#f") == "https://host/a.jpg"
    assert redacted("https://host") == "https://host"


def test_options_that_are_left_out_count_as_the_defaults_of_the_service() -> None:
    assert result_options({"upscale_factor": 4}) == result_options(
        {"upscale_factor": 4, "output_format": "JPG", "output_quality": 95}
    )
