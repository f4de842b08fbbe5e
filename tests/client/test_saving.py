"""Results of many images, saved into a folder while others are under way."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from runware_ws import DownloadError, InputError, MissingExtraError, SaveError
from runware_ws.http import transfer
from runware_ws.saving import Names
from tests.support.answers import JPEG, PNG, Item, error, result
from tests.support.clients import client_of, served
from tests.support.pictures import (
    PICTURE,
    PictureServer,
    Request,
    drips,
    picture,
    redirect,
    response,
)
from tests.support.scripted import Script, replying

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_DELAYS", (0.0, 0.0))


def linking(server: PictureServer) -> Script:
    """Each result is a link that ends as its image does."""

    def reply(task: Item) -> Item:
        name = task["inputs"]["image"].rpartition("/")[2]
        return {"data": [result(task, imageURL=f"{server.url}/{name}")]}

    return replying(reply)


def urls(*names: str) -> list[str]:
    return [f"https://example.com/{name}" for name in names]


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ordered", [False, True])
async def test_each_result_becomes_a_file_and_its_outcome_has_the_path(
    ordered: bool, server: PictureServer, tmp_path: Path
) -> None:
    names = [f"{number}.jpg" for number in range(100)]
    for name in names:
        server.plays(f"/{name}", picture(JPEG + name.encode()))
    folder = tmp_path / "new" / "large"
    async with served(linking(server)) as (_, client):
        many = client.upscale_many(
            urls(*names), save_to=folder, name="{stem}-{factor}x", ordered=ordered
        )
        outcomes = [outcome async for outcome in many]
    for outcome in outcomes:
        assert outcome.error is None
        assert outcome.unsaved is None
        name = outcome.source.rpartition("/")[2]
        assert outcome.path == folder / f"{Path(name).stem}-4x.jpg"
        assert outcome.path.read_bytes() == JPEG + name.encode()
    assert len(files_in(folder)) == 100
    assert server.most_open <= 32
    if ordered:
        assert [outcome.source for outcome in outcomes] == urls(*names)


async def test_images_are_upscaled_while_results_are_downloaded(
    server: PictureServer, tmp_path: Path
) -> None:
    """The first download ends only when the last image has been upscaled."""
    tasks_seen: list[str] = []

    def waits(request: Request) -> Iterator[bytes | None]:
        while "last.jpg" not in tasks_seen:
            if server.ended.wait(0.01):
                return
        yield from picture()(request)

    server.plays("/first.jpg", waits)
    server.plays("/last.jpg", picture())

    def reply(task: Item) -> Item:
        name = task["inputs"]["image"].rpartition("/")[2]
        tasks_seen.append(name)
        return {"data": [result(task, imageURL=f"{server.url}/{name}")]}

    async with served(replying(reply)) as (_, client):
        with anyio.fail_after(20):
            many = client.upscale_many(urls("first.jpg", "last.jpg"), save_to=tmp_path)
            assert {outcome.path async for outcome in many} == {
                tmp_path / "first.jpg",
                tmp_path / "last.jpg",
            }


async def test_a_slow_download_holds_back_new_images_and_not_the_memory(
    server: PictureServer, tmp_path: Path
) -> None:
    taken = 0

    def images() -> Iterator[str]:
        nonlocal taken
        for name in range(200):
            taken += 1
            yield f"https://example.com/{name}.jpg"

    def silent(_: Request) -> Iterator[bytes | None]:
        server.ended.wait()
        yield None

    for name in range(200):
        server.plays(f"/{name}.jpg", silent)
    async with served(linking(server)) as (_, client):
        many = client.upscale_many(images(), save_to=tmp_path, max_in_flight=50)
        async with anyio.create_task_group() as group:
            group.start_soon(anext, many)
            with anyio.fail_after(20):
                while len(server.requests) < 32:  # noqa: ASYNC110  # another thread adds them
                    await anyio.sleep(0.01)
            assert taken == 51  # the last one waits for room
            assert server.connections == 32
            group.cancel_scope.cancel()
    assert not files_in(tmp_path)


# What fails


async def test_a_download_that_fails_is_its_outcome_and_the_result_is_kept(
    server: PictureServer, tmp_path: Path
) -> None:
    server.plays("/good.jpg", picture())
    server.plays("/page.jpg", response(b"<html>", Content_Type="text/html"))
    server.plays("/away.jpg", redirect("http://example.com/"))
    async with served(linking(server)) as (scripted, client):
        images = urls("good.jpg", "page.jpg", "away.jpg", "missing.jpg")
        many = client.upscale_many(images, save_to=tmp_path, ordered=True)
        good, *bad = [outcome async for outcome in many]
        assert good.path == tmp_path / "good.jpg"
        for outcome in bad:
            assert isinstance(outcome.error, DownloadError)
            assert outcome.result is None
            assert outcome.path is None
            with pytest.raises(DownloadError):
                outcome.unwrap()
        assert files_in(tmp_path) == {"good.jpg"}
        server.plays("/page.jpg", picture())
        (unsaved, *_) = [outcome.unsaved for outcome in bad]
        assert unsaved is not None
        assert await unsaved.save(tmp_path) == tmp_path / f"{unsaved.task_uuid}.jpg"
        assert len(scripted.tasks) == 4


async def test_a_task_that_fails_has_no_result_to_save(tmp_path: Path) -> None:
    async with served(replying(lambda task: {"errors": [error("invalidImage", task)]})) as (
        _,
        client,
    ):
        (outcome,) = [one async for one in client.upscale_many(urls("a"), save_to=tmp_path)]
        assert outcome.error is not None
        assert outcome.unsaved is None


async def test_a_disk_that_is_full_is_an_outcome_and_leaves_nothing(
    server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    url = server.plays("/a.jpg", picture())
    async with served(linking(server)) as (_, client):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", full)
            (outcome,) = [one async for one in client.upscale_many([url], save_to=tmp_path)]
        assert isinstance(outcome.error, SaveError)
        assert outcome.error.path == str(tmp_path / "a")
        assert "No space left on device" in str(outcome.error)
        assert not files_in(tmp_path)
        assert outcome.unsaved is not None
        assert await outcome.unsaved.read() == PICTURE


async def test_with_a_journal_only_what_is_on_the_disk_is_acknowledged(
    server: PictureServer, tmp_path: Path
) -> None:
    server.plays("/good.jpg", picture())
    server.plays("/page.jpg", response(b"<html>", Content_Type="text/html"))
    journal = tmp_path / "jobs.sqlite3"
    out = tmp_path / "out"
    async with served(linking(server), None, journal=journal) as (scripted, client):
        images = urls("good.jpg", "page.jpg")
        async for outcome in client.upscale_many(images, save_to=out, ordered=True):
            assert (outcome.error is None) == (outcome.source == images[0])
        assert files_in(out) == {"good.jpg"}
        await client.aclose()
        async with client_of(scripted, journal=journal) as later:
            (left,) = [one async for one in later.recovered()]
            assert left.source == images[1]
            assert left.result is not None
            server.plays("/page.jpg", picture())
            await left.result.save(out / "page")
        assert len(scripted.tasks) == 2
    assert files_in(out) == {"good.jpg", "page.jpg"}


async def test_leaving_early_stops_the_downloads(server: PictureServer, tmp_path: Path) -> None:
    server.plays("/a.jpg", drips(server))
    async with served(linking(server)) as (_, client):
        many = client.upscale_many(urls("a.jpg"), save_to=tmp_path)
        with anyio.move_on_after(20):
            async with anyio.create_task_group() as group:

                async def read() -> None:
                    await anext(many)

                group.start_soon(read)
                while not server.requests:  # noqa: ASYNC110  # it is another thread that sets it
                    await anyio.sleep(0.01)
                group.cancel_scope.cancel()
        with anyio.fail_after(20):
            while server.open:  # noqa: ASYNC110  # likewise
                await anyio.sleep(0.01)
    assert not files_in(tmp_path)


# What is wrong is said before anything is sent


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"save_to": 7}, "save_to"),
        ({"save_to": ""}, "save_to"),
        ({"name": "{stem}"}, "name"),
        *(
            ({"save_to": "out", "name": name}, "name")
            for name in (
                *(
                    "{unknown}",
                    "{stem.__class__}",
                    "{stem!r}",
                    "{0}",
                    "{}",
                    "{stem",
                    "{number:x}y{stem:d}",
                ),
                *("", "../{stem}", "/etc/{stem}", "C:{stem}", "a/../../b", "..\\{stem}", "a/"),
                *("{stem}\0", 7, b"{stem}"),
            )
        ),
        ({"save_to": "out", "name": "{factor}", "upscale_factor": None}, "name"),
    ],
)
async def test_wrong_arguments_are_refused_at_the_call(
    options: dict[str, Any], parameter: str
) -> None:
    async with served() as (server, client):
        with pytest.raises(InputError) as caught:
            client.upscale_many(urls("a"), **options)
        assert caught.value.parameter == parameter
        assert not server.tasks


@pytest.mark.parametrize("problem", ["a file in its place", "no permission"])
async def test_a_folder_that_cannot_be_written_to_is_seen_before_anything_is_sent(
    problem: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    if problem == "a file in its place":
        folder.write_bytes(b"")
    elif os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    else:
        folder.mkdir(mode=0o500)
    async with served() as (server, client):
        with pytest.raises(InputError, match="cannot be written to") as caught:
            await anext(client.upscale_many(urls("a"), save_to=folder))
        assert caught.value.parameter == "save_to"
        assert not server.tasks


async def test_without_httpx_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    async with served() as (server, client):
        with pytest.raises(MissingExtraError, match=r"runware-ws\[http\]"):
            client.upscale_many(urls("a"), save_to=tmp_path)
        assert not server.tasks
        many = client.upscale_many(urls("a"), save_to=tmp_path, output_type="base64Data")
        assert [outcome.path async for outcome in many] == [tmp_path / "a.jpg"]


async def test_a_name_that_two_images_have_fails_before_the_second_is_sent(
    tmp_path: Path,
) -> None:
    images = urls("one/cat.jpg", "two/cat.png", "two/CAT.webp", "dog.jpg")
    async with served() as (server, client):
        many = client.upscale_many(images, save_to=tmp_path, output_type="base64Data", ordered=True)
        outcomes = [outcome async for outcome in many]
        assert [outcome.error is None for outcome in outcomes] == [True, False, False, True]
        assert isinstance(outcomes[1].error, InputError)
        assert len(server.tasks) == 2
    assert files_in(tmp_path) == {"cat.jpg", "dog.jpg"}


@pytest.mark.parametrize(
    "name",
    [
        "../cat",
        "/etc/cat",
        "a/../../cat",
        "..",
        "",
        ".",
        "a\0b",
        "x" * 300,
        "C:\\cat",
        "a\\..\\..\\b",
        7,
    ],
)
async def test_a_function_cannot_lead_out_of_the_folder(name: Any, tmp_path: Path) -> None:
    async with served() as (server, client):
        many = client.upscale_many(
            urls("a"), save_to=tmp_path / "out", name=lambda _: name, output_type="base64Data"
        )
        (outcome,) = [outcome async for outcome in many]
        assert isinstance(outcome.error, InputError)
        assert outcome.error.parameter == "name"
        assert not server.tasks
    assert not files_in(tmp_path)


async def test_a_function_may_name_folders_and_a_suffix(tmp_path: Path) -> None:
    def name(image: str) -> str:
        return f"2024/{image.rpartition('/')[2]}"

    async with served() as (_, client):
        many = client.upscale_many(
            urls("a.png", "b"), save_to=tmp_path, name=name, output_type="base64Data"
        )
        assert {outcome.path async for outcome in many} == {
            tmp_path / "2024" / "a.jpg",
            tmp_path / "2024" / "b.jpg",
        }


def opened(name: str) -> io.BytesIO:
    file = io.BytesIO(JPEG)
    file.name = name
    return file


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        (Path("photos/cat.one.jpg"), "cat.one"),
        ("https://example.com/photos/cat.jpg?size=1#x", "cat"),
        ("https://example.com/my%20cat.jpg", "my cat"),
        ("https://[not-a-host/cat.jpg", "cat"),
        ("https://example.com/..%2f..%2fetc%2fpasswd", "passwd"),
        ("https://example.com/..", "image-1"),
        ("https://example.com/", "image-1"),
        ("https://example.com/a%00b%3Ac%5Cd.jpg", "a_b_c_d"),
        ("https://example.com/" + "x" * 500 + ".jpg", "x" * 100),
        ("2c52d7ed-a248-488e-a5c7-a7a3911d313a", "2c52d7ed-a248-488e-a5c7-a7a3911d313a"),
        (
            UUID("2c52d7ed-a248-488e-a5c7-a7a3911d313a"),
            "2c52d7ed-a248-488e-a5c7-a7a3911d313a",
        ),
        (JPEG, "image-1"),
        ("data:image/png;base64,AAAA", "image-1"),
        (opened("/tmp/cat.jpg"), "cat"),
        (io.BytesIO(JPEG), "image-1"),
    ],
)
def test_an_image_is_called_as_its_file_is(source: Any, stem: str) -> None:
    assert Names[Any]("{number:03}-{stem}", 4).name_of(source) == f"001-{stem}"


async def test_inline_results_are_saved_too(tmp_path: Path) -> None:
    async with served() as (_, client):
        many = client.upscale_many(
            [Path(__file__).parent / "x"], save_to=tmp_path, output_type="base64Data"
        )
        (outcome,) = [outcome async for outcome in many]
        assert isinstance(outcome.error, InputError)  # there is no such file
        many_more = client.upscale_many(
            urls("a"), save_to=tmp_path, output_type="dataURI", output_format="PNG"
        )
        (done,) = [outcome async for outcome in many_more]
        assert done.path == tmp_path / "a.png"
        assert done.path.read_bytes() == PNG


def test_a_program_on_plain_asyncio_saves_too(tmp_path: Path) -> None:
    """Results come in callbacks there, in which anyio knows no task; its plugin hides that."""

    def reply(task: Item) -> Item:
        return {"data": [result(task, imageBase64Data=base64.b64encode(JPEG).decode())]}

    async def main() -> set[str]:
        async with served(replying(reply)) as (_, client):
            many = client.upscale_many(urls("1.jpg"), save_to=tmp_path, output_type="base64Data")
            return {str(one.error or one.path) async for one in many}

    assert asyncio.run(main()) == {str(tmp_path / "1.jpg")}
