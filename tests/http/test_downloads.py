"""Downloads from a picture server that is honest, broken or hostile."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import os
import pickle
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from runware_ws import DownloadError, InputError, RunwareClient, UpscaleResult
from runware_ws.http import transfer
from runware_ws.runtime.download import Downloads
from tests.support.answers import JPEG, PNG, result
from tests.support.clients import IMAGE, KEY, served
from tests.support.pictures import (
    PICTURE,
    Answer,
    PictureServer,
    breaks_off,
    drips,
    endless,
    picture,
    redirect,
    response,
)
from tests.support.scripted import replying

pytestmark = pytest.mark.anyio

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
LOOPBACK = "ws://127.0.0.1:1/v1"
LIMIT = 1024 * 1024


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once what failed."""
    monkeypatch.setattr(transfer, "_DELAYS", (0.0, 0.0))


def linked(url: str, **limits: Any) -> UpscaleResult:
    """A result of a service on this machine."""
    downloads = Downloads(LOOPBACK, **limits)
    return UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or a file system does, which sets no event here."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# What breaks off


@pytest.mark.parametrize("after", [0, 1, 100, len(PICTURE) - 1])
async def test_a_body_that_breaks_off_is_resumed_where_it_ended(
    after: int, server: PictureServer, tmp_path: Path
) -> None:
    url = server.plays("/a.jpg", breaks_off(after), picture())
    path = await linked(url).save(tmp_path / "photo")
    assert path.read_bytes() == PICTURE
    assert files_in(tmp_path) == [path]
    first, second = server.requests
    assert "range" not in first.headers
    if after:
        assert second.headers["range"] == f"bytes={after}-"
        assert second.headers["if-range"] == '"v1"'
    assert server.sent < len(PICTURE) + 2000


async def test_a_large_body_that_breaks_off_again_and_again_arrives_while_it_makes_progress(
    server: PictureServer, tmp_path: Path
) -> None:
    body = PNG + bytes(3 * 1024 * 1024)
    url = server.plays("/a.png", breaks_off(400_000, picture(body)))
    path = await linked(url).save(tmp_path / "photo")
    assert path.read_bytes() == body
    assert len(server.requests) == 8


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(picture(ranges=False), id="ranges are not known"),
        pytest.param(picture(etag='"v2"'), id="it is another version"),
        pytest.param(picture(etag=""), id="the version is not named any more"),
    ],
)
async def test_what_cannot_be_resumed_is_begun_anew(
    again: Answer, server: PictureServer, tmp_path: Path
) -> None:
    other = JPEG + b"of another version, and longer than the other one" * 20_000
    url = server.plays("/a.jpg", breaks_off(700_000, picture(other, etag='"v1"')), again)
    path = await linked(url).save(tmp_path / "photo.jpg")
    assert path.read_bytes() == PICTURE


async def test_a_version_without_a_name_is_not_resumed(server: PictureServer) -> None:
    url = server.plays("/a.jpg", breaks_off(1000, picture(etag="")), picture(etag=""))
    assert await linked(url).read() == PICTURE
    assert not [request for request in server.requests if "range" in request.headers]


@pytest.mark.parametrize(
    "part",
    [
        response(PICTURE[:500], "206 Partial Content", Content_Range="bytes 0-499/999999"),
        response(PICTURE[50:], "206 Partial Content", Content_Range="bytes 50-99/*"),
        response(PICTURE[100:], "206 Partial Content"),
        response(b"", "416 Range Not Satisfiable"),
    ],
)
async def test_a_part_that_does_not_fit_is_not_taken(part: Answer, server: PictureServer) -> None:
    url = server.plays("/a.jpg", breaks_off(100), part, picture())
    assert await linked(url).read() == PICTURE


async def test_a_server_that_hangs_up_for_ever_is_given_up(
    server: PictureServer, tmp_path: Path
) -> None:
    url = server.plays("/a.jpg", breaks_off(1000, picture(ranges=False)))
    with pytest.raises(DownloadError) as caught:
        await linked(url).save(tmp_path / "photo")
    assert caught.value.url == url
    assert len(server.requests) == 3
    assert not files_in(tmp_path)


async def test_a_body_without_a_length_ends_with_its_connection(server: PictureServer) -> None:
    url = server.plays("/a.jpg", response(PICTURE, length=None))
    assert await linked(url).read() == PICTURE


@pytest.mark.parametrize("status", ["500 No", "503 No", "429 No", "408 No"])
async def test_a_server_that_fails_for_a_moment_is_asked_again(
    status: str, server: PictureServer
) -> None:
    url = server.plays("/a.jpg", breaks_off(1000), response(status=status), picture())
    assert await linked(url).read() == PICTURE
    assert server.requests[-1].headers["range"] == "bytes=1000-"  # and nothing is lost by that


# What the server says of the content


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


SHA256 = encoded(hashlib.sha256(PICTURE).digest())
MD5 = encoded(hashlib.md5(PICTURE).digest())
WRONG = encoded(hashlib.sha256(b"other").digest())


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_MD5": MD5},
        {"Digest": f"SHA-256={SHA256}"},
        {"Digest": f"unixsum=30637,sha-256={SHA256},md5={MD5}"},
        {"Repr_Digest": f"sha-256=:{SHA256}:"},
        {"Repr_Digest": f"unknown=:AAAA:, sha-512=:{encoded(hashlib.sha512(PICTURE).digest())}:"},
        {"Repr_Digest": "sha-256=:not base64:"},
    ],
)
async def test_the_digest_of_the_server_is_checked_also_over_a_resumed_body(
    headers: dict[str, Any], server: PictureServer
) -> None:
    whole = picture(etag="", **headers)
    url = server.plays("/a.jpg", breaks_off(1000, whole), whole)
    assert await linked(url).read() == PICTURE


@pytest.mark.parametrize("name", ["Digest", "Repr_Digest"])
async def test_content_with_another_digest_is_fetched_anew_and_then_refused(
    name: str, server: PictureServer, tmp_path: Path
) -> None:
    value = f"sha-256={WRONG}" if name == "Digest" else f"sha-256=:{WRONG}:"
    wrong: dict[str, Any] = {name: value}
    url = server.plays("/a.jpg", picture(**wrong))
    with pytest.raises(DownloadError, match="sha256"):
        await linked(url).save(tmp_path / "photo")
    assert len(server.requests) == 3
    assert not files_in(tmp_path)
    server.plays("/a.jpg", picture(**wrong), picture())
    assert await linked(url).read() == PICTURE


# What is no image


PAGE = b"<!doctype html><title>Sign in to the network</title>"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(PAGE, Content_Type="text/html"), "not an image"),
        (response(PAGE), "not an image"),
        (response(PAGE, Content_Type="image/jpeg"), "not an image"),
        (response(b"\x00\x01\x02", Content_Type="application/octet-stream"), "not an image"),
        (response(b"", Content_Type="image/jpeg"), "empty"),
        (response(b"", length=None), "empty"),
        (response(b"", "204 No Content", length=None), "HTTP 204"),
        (response(PICTURE, "404 Not Found"), "HTTP 404"),
        (response(PICTURE, "206 Partial Content"), "HTTP 206"),
        (response(gzip.compress(PICTURE), Content_Encoding="gzip"), "gzip"),
        (response(PICTURE, length=100 * 2**30), "107374182400 bytes"),
    ],
)
async def test_what_is_no_image_is_an_error_and_no_file(
    answer: Answer, reason: str, server: PictureServer, tmp_path: Path
) -> None:
    url = server.plays("/a.jpg", answer)
    acknowledged: list[None] = []
    downloads = Downloads(LOOPBACK, max_bytes=LIMIT)
    one = UpscaleResult(
        UUID4,
        {"imageURL": url},
        on_ack=lambda: acknowledged.append(None),
        downloads=downloads,
    )
    with pytest.raises(DownloadError, match=reason):
        await one.save(tmp_path / "photo")
    with pytest.raises(DownloadError, match=reason):
        await one.read()
    assert not files_in(tmp_path)
    assert not acknowledged
    server.plays("/a.jpg", picture())
    assert (await one.save(tmp_path / "photo")).read_bytes() == PICTURE
    assert acknowledged == [None]


async def test_a_format_that_is_new_is_believed_to_the_server(
    server: PictureServer, tmp_path: Path
) -> None:
    new = b"\x00\x00\x00\x1cftypavif" + bytes(50)
    url = server.plays("/a", response(new, Content_Type="image/avif"))
    assert (await linked(url).save(tmp_path / "photo")).read_bytes() == new


async def test_what_a_journal_forgets_is_on_the_disk_before(
    server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("the folder" if is_folder else "the file")

    monkeypatch.setattr(os, "fsync", fsync)
    url = server.plays("/a.jpg", picture())
    downloads = Downloads(LOOPBACK)
    raw = {"imageURL": url}
    await UpscaleResult(UUID4, raw, downloads=downloads).save(tmp_path / "without")
    assert not steps
    journaled = UpscaleResult(
        UUID4, raw, on_ack=lambda: steps.append("the journal"), downloads=downloads
    )
    await journaled.save(tmp_path / "with")
    assert steps == ["the file", "the folder", "the journal"]


# What has no end


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_never_ends_costs_no_more_than_the_limit(
    chunked: bool, server: PictureServer, tmp_path: Path
) -> None:
    url = server.plays("/a.jpg", endless(chunked=chunked))
    with pytest.raises(DownloadError, match=f"max_download_bytes is {LIMIT}"):
        await linked(url, max_bytes=LIMIT).save(tmp_path / "photo")
    with pytest.raises(DownloadError, match=f"max_download_bytes is {LIMIT}"):
        await linked(url, max_bytes=LIMIT).read()
    assert not files_in(tmp_path)


async def test_a_body_of_just_the_limit_is_taken(server: PictureServer) -> None:
    url = server.plays("/a.jpg", picture())
    assert await linked(url, max_bytes=len(PICTURE)).read() == PICTURE
    with pytest.raises(DownloadError, match="max_download_bytes"):
        await linked(url, max_bytes=len(PICTURE) - 1).read()


async def test_a_body_that_drips_ends_with_the_time_limit(
    server: PictureServer, tmp_path: Path
) -> None:
    url = server.plays("/a.jpg", drips(server))
    with pytest.raises(DownloadError, match="longer than"):
        await linked(url, timeout=0.3).save(tmp_path / "photo")
    assert not files_in(tmp_path)


async def test_a_server_that_says_nothing_ends_with_the_time_limit(server: PictureServer) -> None:
    def silent(_: object) -> Iterator[bytes]:
        server.ended.wait()
        yield b""

    url = server.plays("/a.jpg", silent)
    with pytest.raises(DownloadError, match="longer than"):
        await linked(url, timeout=0.3).read()


async def test_a_cancelled_download_leaves_no_file_and_no_connection(
    server: PictureServer, tmp_path: Path
) -> None:
    url = server.plays("/a.jpg", endless())
    with anyio.move_on_after(30) as scope:
        async with anyio.create_task_group() as group:

            async def save() -> None:
                await linked(url).save(tmp_path / "photo")

            group.start_soon(save)
            await until(lambda: bool(files_in(tmp_path)))
            group.cancel_scope.cancel()
    assert not scope.cancelled_caught
    assert not files_in(tmp_path)
    await until(lambda: not server.open)


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 P"])
async def test_a_redirect_is_followed_and_resumed_from_its_beginning(
    status: str, server: PictureServer
) -> None:
    url = server.plays("/a.jpg", redirect("/b.jpg", status))
    server.plays("/b.jpg", breaks_off(1000), picture())
    assert await linked(url).read() == PICTURE
    assert [one.path for one in server.requests] == ["/a.jpg", "/b.jpg"] * 2


async def test_redirects_that_go_round_end(server: PictureServer) -> None:
    url = server.plays("/a.jpg", redirect("/b.jpg"))
    server.plays("/b.jpg", redirect("/a.jpg"))
    with pytest.raises(DownloadError, match="more than 5 times"):
        await linked(url).read()
    assert len(server.requests) == 6
    assert server.connections == 1


@pytest.mark.parametrize(
    "location",
    ["http://example.com/a.jpg", "ftp://example.com/", "file:///etc/passwd", "http://[", ""],
)
async def test_a_redirect_away_from_https_is_not_followed(
    location: str, server: PictureServer
) -> None:
    url = server.plays("/a.jpg", redirect(location))
    with pytest.raises(DownloadError):
        await linked(url).read()
    assert len(server.requests) == 1


async def test_a_redirect_to_a_private_address_is_not_followed(server: PictureServer) -> None:
    url = server.plays("/a.jpg", redirect("https://10.0.0.1/a.jpg"))
    with pytest.raises(DownloadError, match=r"10\.0\.0\.1 has no public address"):
        await linked(url).read()


# Connections


async def test_the_connections_are_as_many_as_the_downloads_at_once(
    server: PictureServer, tmp_path: Path
) -> None:
    url = server.plays("/a.jpg", picture())
    downloads = Downloads(LOOPBACK)
    downloads.open()
    todo = iter(range(100))

    async def save() -> None:
        for number in todo:
            one = UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads)
            await one.save(tmp_path / str(number))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(save)
    assert len(files_in(tmp_path)) == 100
    assert server.connections <= 8
    await downloads.aclose()
    await until(lambda: not server.open)


async def test_a_hundred_callers_share_sixty_four_connections(server: PictureServer) -> None:
    url = server.plays("/a.jpg", picture())
    downloads = Downloads(LOOPBACK)
    downloads.open()
    async with anyio.create_task_group() as group:
        for _ in range(100):
            one = UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads)
            group.start_soon(one.read)
    assert server.connections <= 64
    assert len(server.requests) == 100
    await downloads.aclose()


async def test_another_event_loop_has_connections_of_its_own(server: PictureServer) -> None:
    url = server.plays("/a.jpg", picture())
    downloads = Downloads(LOOPBACK)
    downloads.open()
    one = UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads)
    assert await one.read() == PICTURE
    assert await anyio.to_thread.run_sync(asyncio.run, one.read()) == PICTURE
    assert await one.read() == PICTURE
    assert server.connections == 2
    await downloads.aclose()


async def test_a_kept_connection_that_the_server_has_closed_is_replaced(
    server: PictureServer,
) -> None:
    def closes(request: Any) -> Iterator[bytes | None]:
        yield from picture()(request)
        yield None

    url = server.plays("/a.jpg", closes)
    downloads = Downloads(LOOPBACK)
    downloads.open()
    for _ in range(3):
        one = UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads)
        assert await one.read() == PICTURE
        await until(lambda: not server.open)
    await downloads.aclose()
    assert len(server.requests) == 3


async def test_a_clients_results_share_connections_until_it_is_closed(
    server: PictureServer,
) -> None:
    url = server.plays("/a.jpg", picture())
    script = replying(lambda task: {"data": [result(task, imageURL=url)]})
    async with served(script) as (_, client):
        first, second = await client.upscale(IMAGE), await client.upscale(IMAGE)
        assert await first.read() == await second.read() == PICTURE
        assert server.connections == 1
    await until(lambda: not server.open)
    assert await first.read() == PICTURE  # over a connection of its own
    await until(lambda: not server.open)
    assert server.connections == 2
    assert KEY not in str(server.requests)


async def test_closing_the_client_lets_a_download_end(server: PictureServer) -> None:
    gate = anyio.Event()

    def waits(request: Any) -> Iterator[bytes | None]:
        whole = b"".join(piece for piece in picture()(request) if piece)
        yield whole[:1000]
        server.ended.wait(0.3)  # while the client is closed
        yield whole[1000:]

    url = server.plays("/a.jpg", waits)
    script = replying(lambda task: {"data": [result(task, imageURL=url)]})
    got: list[bytes] = []
    async with anyio.create_task_group() as group, served(script) as (_, client):
        one = await client.upscale(IMAGE)

        async def read() -> None:
            got.append(await one.read())
            gate.set()

        group.start_soon(read)
        await until(lambda: bool(server.requests))
    assert got == [PICTURE]


async def test_a_pickled_result_can_be_downloaded_elsewhere(server: PictureServer) -> None:
    url = server.plays("/a.jpg", picture())
    script = replying(lambda task: {"data": [result(task, imageURL=url)]})
    async with served(script) as (_, client):
        copy = pickle.loads(pickle.dumps(await client.upscale(IMAGE)))
    assert await copy.read() == PICTURE


async def test_a_client_of_the_callers_own_makes_the_requests(server: PictureServer) -> None:
    url = server.plays("/a.jpg", redirect("/b.jpg"))
    server.plays("/b.jpg", breaks_off(1000), picture())
    script = replying(lambda task: {"data": [result(task, imageURL=url)]})
    async with httpx.AsyncClient(headers={"x-mine": "yes"}, follow_redirects=True) as mine:
        async with served(script, http_client=mine) as (_, client):
            one = await client.upscale(IMAGE)
            assert await one.read() == PICTURE
        assert await one.read() == PICTURE
        assert {request.headers["x-mine"] for request in server.requests} == {"yes"}
        assert not mine.is_closed
        server.plays("/b.jpg", redirect("http://example.com/"))
        with pytest.raises(DownloadError, match="only https"):
            await one.read()


@pytest.mark.parametrize("wrong", [httpx.Client(), object(), "http://proxy"])
async def test_a_client_of_the_wrong_kind_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="http_client"):
        RunwareClient(KEY, http_client=wrong)
