"""The report holds each outcome, its pictures and links; `tests/browser` looks at the page."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import anyio.to_thread
import numpy as np
import pytest
from PIL import Image

import runware_ws
from runware_ws import Failure, RunwareClient, Success, TaskTimeoutError, UpscaleResult, pictures
from runware_ws.emulator import Emulator
from runware_ws.reporting import report
from runware_ws.reporting.entries import ReportEntry
from runware_ws.sync import RunwareClient as BlockingClient
from tests.emulator.bench import picture, text_of

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
LARGE = picture((32, 24))


def entries_of(page: Path) -> list[dict[str, Any]]:
    text = page.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    entries: list[dict[str, Any]] = json.loads(data[1])
    return entries


def size_of(shown: dict[str, Any]) -> tuple[int, int]:
    data = base64.b64decode(shown["thumbnail"].partition(",")[2])
    return Image.open(io.BytesIO(data)).size


def success(source: Any = b"", **members: Any) -> Success[Any]:
    return Success(source, UpscaleResult(UUID4, members, seconds=1.5))


def test_an_outcome_is_told_with_its_pictures(tmp_path: Path) -> None:
    outcome = success(picture((8, 6)), imageBase64Data=text_of(LARGE), cost=0.0013)
    (entry,) = entries_of(report([outcome], tmp_path / "report.html"))
    assert entry["name"] == "image 1"
    assert (entry["cost"], entry["seconds"], entry["task"]) == (0.0013, 1.5, UUID4)
    assert entry["error"] == ""
    before, after = entry["before"], entry["after"]
    assert (before["width"], before["height"], size_of(before)) == (8, 6, (8, 6))
    assert (after["width"], after["height"], after["bytes"]) == (32, 24, len(LARGE))
    assert "link" not in after


def test_a_failure_is_told_with_its_reason(tmp_path: Path) -> None:
    failure = Failure(tmp_path / "gone.png", TaskTimeoutError(UUID4, "sent", 5.0))
    (entry,) = entries_of(report([failure], tmp_path / "report.html"))
    assert (entry["name"], entry["after"]) == ("gone.png", None)
    assert "still sent after 5 s" in entry["error"]
    assert entry["before"] == {}


@pytest.mark.parametrize(
    ("source", "name", "size"),
    [
        (Image.new("RGB", (8, 6)), "image 1", (8, 6)),
        (np.zeros((6, 8, 3), np.uint8), "image 1", (8, 6)),
        (memoryview(picture((8, 6))), "image 1", (8, 6)),
        (text_of(picture((8, 6))), "image 1", (8, 6)),
        ("data:image/png;base64," + text_of(picture((8, 6))), "image 1", (8, 6)),
        (UUID4, "image 1", None),
        (io.BytesIO(b"read already"), "image 1", None),
        (b"no image", "image 1", None),
    ],
    ids=lambda one: type(one).__name__,
)
def test_every_kind_of_source_is_shown_if_it_can_be(
    source: Any, name: str, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    (entry,) = entries_of(report([success(source)], tmp_path / "report.html"))
    assert entry["name"] == name
    before = entry["before"] or {}
    assert (before.get("width"), before.get("height")) == (size or (None, None))


def test_links_are_relative_so_that_the_page_and_its_images_may_move(tmp_path: Path) -> None:
    source = tmp_path / "in" / "a #1%?.png"
    source.parent.mkdir()
    source.write_bytes(picture())
    page = report([success(source)], tmp_path / "out" / "report.html")
    link = entries_of(page)[0]["before"]["link"]
    assert not re.search(r"[#?: ]", link)
    assert (page.parent / unquote(link)).resolve() == source


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_are_linked_too(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    source.write_bytes(picture())
    (entry,) = entries_of(report([success(source)], tmp_path / "report.html"))
    assert entry["before"]["link"] == "caf%E9.png"


@pytest.mark.parametrize("url", ["https://example.com/a.png?b=1&c", "javascript:alert(1)"])
def test_only_links_of_the_web_are_taken_from_the_service(url: str, tmp_path: Path) -> None:
    (entry,) = entries_of(report([success(imageURL=url)], tmp_path / "report.html"))
    assert entry["after"] == ({"link": url} if url.startswith("https:") else None)


def test_nothing_from_outside_becomes_markup(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--{data}{script}"
    entry = ReportEntry(name=hostile, error=hostile)
    page = report([entry], tmp_path / "report.html", title=hostile)
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert "<!--" not in text
    assert entries_of(page)[0]["name"] == hostile


def test_without_pillow_the_originals_are_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    (tmp_path / "photo.png").write_bytes(LARGE)
    (entry,) = entries_of(report([success(tmp_path / "photo.png")], tmp_path / "report.html"))
    assert entry["before"] == {"link": "photo.png", "bytes": len(LARGE)}


def test_an_image_is_shown_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (800, 600)).save(tmp_path / "photo.jpg", exif=exif)
    (entry,) = entries_of(report([success(tmp_path / "photo.jpg")], tmp_path / "report.html"))
    shown = entry["before"]
    assert (shown["width"], shown["height"], size_of(shown)) == (600, 800, (240, 320))


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    page = report([], tmp_path / "report.html")
    before = page.read_bytes()

    def broken() -> Iterator[ReportEntry]:
        yield ReportEntry(name="one")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        report(broken(), page)
    assert page.read_bytes() == before
    assert list(tmp_path.iterdir()) == [page]


def test_outcomes_are_taken_a_few_at_a_time(tmp_path: Path) -> None:
    alive: list[int] = []

    class Source(bytes):
        def __del__(self) -> None:
            alive.pop()

    def outcomes() -> Iterator[Success[Any]]:
        for _ in range(500):
            alive.append(1)
            yield success(Source(picture()))
            assert len(alive) < 100

    assert len(entries_of(report(outcomes(), tmp_path / "report.html"))) == 500


@pytest.mark.anyio
async def test_results_that_were_saved_are_linked(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(picture((8, 6)))
    async with Emulator() as emulator, RunwareClient(emulator.api_key, url=emulator.url) as client:
        outcomes = []
        async for outcome in client.upscale_many([tmp_path / "photo.png"], include_cost=True):
            await outcome.unwrap().save(tmp_path / "large" / "photo")
            outcomes.append(outcome)
    page = await anyio.to_thread.run_sync(runware_ws.report, outcomes, tmp_path / "report.html")
    (entry,) = entries_of(page)
    assert entry["name"] == "photo.png"
    assert entry["after"]["link"] == "large/photo.jpg"
    assert (entry["after"]["width"], entry["after"]["height"]) == (32, 24)
    assert entry["cost"] > 0
    assert 0 < entry["seconds"] < 60


def test_outcomes_of_the_blocking_client_are_told_alike(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(picture((8, 6)))
    with Emulator() as emulator, BlockingClient(emulator.api_key, url=emulator.url) as client:
        outcomes = list(client.upscale_many([tmp_path / "photo.png"]))
        outcomes[0].unwrap().save(tmp_path)
    (entry,) = entries_of(report(outcomes, tmp_path / "report.html"))
    assert entry["after"]["link"] == f"{outcomes[0].unwrap().task_uuid}.jpg"
    assert entry["seconds"] > 0
