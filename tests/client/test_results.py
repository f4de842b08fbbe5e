"""Test a result as data, as a download and as a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from runware_ws import (
    DownloadError,
    InputError,
    MissingExtraError,
    ProtocolError,
    UpscaleResult,
)
from runware_ws.http import transfer
from runware_ws.runtime.download import Downloads
from tests.support.answers import JPEG, PNG, WEBP, Item, base64_of, result
from tests.support.clients import IMAGE, KEY, served
from tests.support.files import FileServer, file_server
from tests.support.scripted import Script, replying

pytestmark = pytest.mark.anyio

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"


@pytest.fixture
def files() -> Iterator[FileServer]:
    with file_server() as server:
        yield server


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads are tried again at once."""
    monkeypatch.setattr(transfer, "_DELAYS", (0.0, 0.0))


def linking(url: str) -> Script:
    return replying(lambda task: {"data": [result(task, imageURL=url)]})


def linked(url: str) -> UpscaleResult:
    """A result that is a link, of a service on this machine."""
    downloads = Downloads("ws://127.0.0.1:1/v1")
    return UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads)


def contents(folder: Path) -> list[Path]:
    """Every file in a folder, however deep, and whatever its name."""
    return [path for path in folder.rglob("*") if path.is_file()]


def held(data: bytes = JPEG, **members: Any) -> UpscaleResult:
    """A result that holds its data."""
    raw: Item = {"taskUUID": UUID4, "imageBase64Data": base64_of(data), **members}
    return UpscaleResult(UUID4, raw)


@pytest.mark.parametrize("output_type", ["base64Data", "dataURI"])
@pytest.mark.parametrize(
    ("output_format", "content"), [("JPG", JPEG), ("PNG", PNG), ("WEBP", WEBP)]
)
async def test_data_and_read_give_the_bytes_of_the_image(
    output_type: Any, output_format: Any, content: bytes
) -> None:
    async with served() as (_, client):
        upscaled = await client.upscale(
            IMAGE, output_type=output_type, output_format=output_format, include_cost=True
        )
        assert upscaled.data == content
        assert await upscaled.read() == content
        assert upscaled.image_url is None
        assert upscaled.cost == 0.0013
        assert (upscaled.image_uuid, upscaled.input_image_uuid) == (
            upscaled.raw["imageUUID"],
            upscaled.raw["inputImageUUID"],
        )


async def test_a_link_is_downloaded_without_the_key(files: FileServer) -> None:
    url = files.put("/image.jpg", JPEG)
    async with served(linking(url)) as (_, client):
        upscaled = await client.upscale(IMAGE)
        assert upscaled.image_url == url
        assert upscaled.cost is None
        with pytest.raises(InputError, match=r"is a link, .*; call read\(\)"):
            _ = upscaled.data
        assert upscaled._repr_png_() is None
        assert await upscaled.read() == JPEG
    assert files.requests == ["/image.jpg"]
    assert KEY not in str(files.headers)


async def test_a_media_url_is_downloaded_too(files: FileServer) -> None:
    upscaled = linked("")
    upscaled.raw = {"mediaURL": files.put("/m", PNG), "mediaUUID": UUID4}
    assert await upscaled.read() == PNG
    assert upscaled.image_uuid == UUID4


async def test_a_redirect_is_followed(files: FileServer) -> None:
    files.put("/new.jpg", JPEG)
    url = files.put("/old.jpg", b"", status=302, Location="/new.jpg")
    assert await linked(url).read() == JPEG


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_download_that_may_succeed_later_is_tried_again(
    status: int, files: FileServer
) -> None:
    files.put("/image.jpg", b"", status=status)
    url = files.put("/image.jpg", JPEG)
    assert await linked(url).read() == JPEG
    assert len(files.requests) == 2


@pytest.mark.usefixtures("no_pauses")
async def test_a_download_that_breaks_off_is_tried_again(files: FileServer) -> None:
    files.put("/image.jpg", None)
    url = files.put("/image.jpg", JPEG)
    assert await linked(url).read() == JPEG


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (410, 1), (500, 3)])
async def test_a_download_that_fails_says_why_and_from_where(
    status: int, tries: int, files: FileServer, tmp_path: Path
) -> None:
    url = files.put("/image.jpg", b"gone", status=status)
    with pytest.raises(DownloadError, match=f"HTTP {status}") as caught:
        await linked(url).save(tmp_path / "photo.jpg")
    assert caught.value.url == url
    assert len(files.requests) == tries
    assert not contents(tmp_path)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.jpg", "ftp://a.b/c", "nonsense", "http://"])
async def test_a_link_that_leads_nowhere_is_a_download_error(url: str) -> None:
    with pytest.raises(DownloadError) as caught:
        await linked(url).read()
    assert caught.value.url == url


async def test_without_httpx_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtraError, match=r'pip install "runware-ws\[http\]"') as caught:
        await linked("https://a.invalid/b.jpg").read()
    assert isinstance(caught.value, ImportError)
    assert await held().read() == JPEG


@pytest.mark.parametrize("raw", [{}, {"imageURL": None}, {"imageUUID": UUID4}])
async def test_a_result_without_any_image_says_so(raw: Item, tmp_path: Path) -> None:
    upscaled = UpscaleResult(UUID4, raw)
    with pytest.raises(ProtocolError):
        await upscaled.read()
    with pytest.raises(ProtocolError):
        _ = upscaled.data
    with pytest.raises(ProtocolError):
        await upscaled.save(tmp_path / "photo")
    assert not contents(tmp_path)


@pytest.mark.parametrize("text", ["?", "QUJ", "QUJD\nQUJD", "ÄÖ", "QUJD=QUJD"])
async def test_broken_base64_is_an_error_that_names_the_task(text: str) -> None:
    with pytest.raises(ProtocolError, match=UUID4):
        await UpscaleResult(UUID4, {"imageBase64Data": text}).read()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("photo.jpg", JPEG, "photo.jpg"),
        ("photo.JPG", JPEG, "photo.JPG"),
        ("photo.jpeg", JPEG, "photo.jpeg"),
        ("photo.png", JPEG, "photo.jpg"),
        ("photo", PNG, "photo.png"),
        ("photo.jpg", WEBP, "photo.webp"),
        ("holiday.2024", JPEG, "holiday.2024.jpg"),
        ("new/deep/photo", JPEG, "new/deep/photo.jpg"),
        ("photo.jpg", b"what is this?", "photo.bin"),
        ("", JPEG, f"{UUID4}.jpg"),
        (".hidden", JPEG, ".hidden.jpg"),
    ],
)
async def test_a_file_is_named_after_its_content(
    name: str, data: bytes, expected: str, tmp_path: Path
) -> None:
    path = await held(data).save(tmp_path / name)
    assert path == tmp_path / expected
    assert path.read_bytes() == data
    assert contents(tmp_path) == [path]


async def test_a_path_may_be_a_text(tmp_path: Path) -> None:
    assert (await held().save(str(tmp_path / "photo"))).name == "photo.jpg"


async def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"old and much longer than the new one" * 100)
    await held().save(tmp_path / "photo.jpg")
    assert (tmp_path / "photo.jpg").read_bytes() == JPEG


async def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"old")

    def full(self: Path, target: Path) -> None:
        assert self.read_bytes() == JPEG, "written beside it first"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        await held().save(tmp_path / "photo.jpg")
    assert contents(tmp_path) == [tmp_path / "photo.jpg"]
    assert (tmp_path / "photo.jpg").read_bytes() == b"old"


async def test_a_file_in_the_place_of_a_folder_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        await held().save(tmp_path / "file" / "photo.jpg")


async def test_many_results_may_be_saved_under_one_name_at_once(tmp_path: Path) -> None:
    images = [JPEG + os.urandom(100_000) for _ in range(8)]
    async with anyio.create_task_group() as group:
        for content in images:
            group.start_soon(held(content).save, tmp_path / "photo.jpg")
    (file,) = contents(tmp_path)
    assert file.read_bytes() in images


async def test_a_folder_keeps_what_a_hostile_answer_calls_its_task(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()

    def reply(task: Item) -> Item:
        image = base64_of(JPEG)
        return {"data": result(task, imageUUID="../../evil", imageURL=None, imageBase64Data=image)}

    async with served(replying(reply)) as (_, client):
        path = await (await client.upscale(IMAGE)).save(folder)
    assert path.parent == folder


async def test_what_people_see_of_a_result_is_short() -> None:
    text = repr(held(bytes(1_000_000)))
    assert UUID4 in text
    assert len(text) < 120
