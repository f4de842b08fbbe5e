"""Pictures of any size: put together from tiles, they are as if upscaled whole."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from PIL import Image, ImageChops, ImageColor, ImageStat

import runware_ws
from runware_ws import BudgetError, InputError, SaveError, ServerError, TaskError
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Fail
from runware_ws.emulator.imaging.pictures import upscale
from runware_ws.large import LargePlan, geometry, plan
from tests.support.clients import client_of

pytestmark = pytest.mark.anyio

PHOTOGRAPH = Path(runware_ws.__file__).parent / "emulator" / "photographs" / "coffee.jpg"
SMALL: dict[str, Any] = {"factor": 2, "tile_size": 64, "overlap": 8}


def noise(size: tuple[int, int], mode: str = "RGB", **info: Any) -> bytes:
    """A picture of which every pixel is another one; the hardest for a seam."""
    pixels = len(Image.new(mode, (1, 1)).tobytes()) * size[0] * size[1]
    image = Image.frombytes(mode, size, random.Random(f"{size}{mode}").randbytes(pixels))
    return file_of(image, **info)


def file_of(image: Image.Image, form: str = "PNG", **info: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **info)
    return file.getvalue()


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def whole(content: bytes, factor: int) -> Image.Image:
    """The picture, upscaled at once as the emulator does it."""
    image = Image.open(io.BytesIO(upscale(content, factor, "PNG", 95)))
    image.load()
    return image


def sent(emulator: Emulator) -> int:
    """The number of tasks that have arrived."""
    return sum(one.task["taskType"] == "upscale" for one in emulator.requests)


def arrived(emulator: Emulator) -> None:
    """Wait until a task has arrived."""
    while not sent(emulator):
        time.sleep(0.01)


def names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    extrema: Any = ImageChops.difference(one.convert(other.mode), other).getextrema()
    pairs = [extrema] if isinstance(extrema[0], int) else extrema
    return max(int(high) for _, high in pairs)


@pytest.mark.parametrize(
    ("size", "mode", "result_mode"),
    [
        ((151, 103), "RGB", "RGB"),
        ((1, 250), "RGB", "RGB"),
        ((250, 1), "L", "L"),
        ((3, 150), "RGBA", "RGBA"),
        ((129, 65), "RGBA", "RGBA"),
        ((127, 66), "LA", "LA"),
        ((65, 200), "I;16", "L"),
        ((45, 32), "RGB", "RGB"),
    ],
)
async def test_the_result_is_as_if_the_picture_had_been_upscaled_whole(
    size: tuple[int, int], mode: str, result_mode: str, library: str, tmp_path: Path
) -> None:
    content = noise(size, mode)
    async with Emulator() as emulator, client_of(emulator) as client:
        result = await client.upscale_large(content, output=tmp_path / "large.png", **SMALL)
        assert result.tasks == result.tiles == emulator.executions.total()
        assert result.cost == pytest.approx(emulator.billed)
    image = opened(result.path)
    assert image.size == result.size == (size[0] * 2, size[1] * 2)
    assert image.mode == result_mode
    assert largest_difference(image, whole(content, 2)) <= 1


async def test_a_picture_that_has_changed_is_read_again(library: str, tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    async with Emulator() as emulator, client_of(emulator) as client:
        for colour in ("red", "blue"):
            path.write_bytes(file_of(Image.new("RGB", (30, 20), colour)))
            result = await client.upscale_large(path, output=tmp_path / "large.png", **SMALL)
            assert opened(result.path).getpixel((9, 9)) == ImageColor.getrgb(colour)


async def test_a_factor_of_4_fits_as_well(library: str, tmp_path: Path) -> None:
    content = noise((140, 130))
    async with Emulator() as emulator, client_of(emulator) as client:
        result = await client.upscale_large(
            content, output=tmp_path / "large.tif", tile_size=128, overlap=16
        )
    assert result.tiles == 4
    assert largest_difference(opened(result.path), whole(content, 4)) <= 1


def steps(image: Image.Image, columns: list[int]) -> list[float]:
    """The step of brightness at each column: from it to the next, as the mean of all lines."""
    grey = image.convert("L")
    means = {x: ImageStat.Stat(grey.crop((x, 0, x + 1, grey.height))).mean[0] for x in columns}
    return [abs(means[after] - means[before]) for before, after in pairwise(columns)]


async def assembled(tmp_path: Path, picture: bytes, jitter: float) -> Image.Image:
    async with Emulator(brightness_jitter=jitter) as emulator, client_of(emulator) as client:
        result = await client.upscale_large(picture, output=tmp_path / "large.png", **SMALL)
    return opened(result.path)


def grain(size: tuple[int, int], seed: int = 1) -> Image.Image:
    """A picture with a fine grain, and no edges of its own."""
    values = random.Random(seed).choices(range(100, 150), k=size[0] * size[1])
    return Image.merge("RGB", [Image.frombytes("L", size, bytes(values))] * 3)


def seams(image: Image.Image) -> tuple[float, float]:
    """The largest step of brightness where tiles meet, and the largest beside."""
    line = geometry.grid_of((192, 256), 2, 64, 8).columns
    fades = {
        x
        for span in line.spans[1:]
        for x in range(span.fade_in * 2 - 1, (span.fade_in + line.fade) * 2)
    }
    found = steps(image, list(range(line.size * 2)))
    return (
        max(found[x] for x in fades),
        max(step for x, step in enumerate(found) if x not in fades),
    )


@pytest.mark.long
async def test_tiles_of_different_brightness_have_no_visible_seam(tmp_path: Path) -> None:
    picture = file_of(grain((192, 256)))
    image = await assembled(tmp_path, picture, 0.03)
    plain = await assembled(tmp_path, picture, 0.0)
    assert largest_difference(image, plain) >= 3  # or there would be nothing to hide
    seam, beside = seams(image)
    assert seam <= beside


async def test_a_hard_edge_would_be_seen_by_the_measure_of_seams() -> None:
    image = grain((384, 512))
    half = image.crop((186, 0, 384, 512))
    image.paste(half.point(lambda value: value * 0.95), (186, 0))
    seam, beside = seams(image)
    assert seam > beside


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png", ".webp"])
async def test_profile_resolution_and_orientation_are_kept_on_purpose(
    suffix: str, library: str, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by 90 degrees
    profile = _profile()
    picture = noise((75, 35), exif=exif, icc_profile=profile, dpi=(300, 300))
    async with Emulator() as emulator, client_of(emulator) as client:
        result = await client.upscale_large(picture, output=tmp_path / f"a{suffix}", **SMALL)
    image = opened(result.path)
    assert image.size == result.size == (70, 150)
    assert image.getexif().get(0x0112, 1) == 1
    assert image.info["icc_profile"] == profile
    if suffix != ".webp":  # it has no resolution
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


async def test_transparency_becomes_white_in_jpeg(library: str, tmp_path: Path) -> None:
    picture = file_of(Image.new("RGBA", (40, 40), (0, 0, 0, 0)))
    async with Emulator() as emulator, client_of(emulator) as client:
        result = await client.upscale_large(picture, output=tmp_path / "large.jpg", **SMALL)
    assert opened(result.path).getextrema() == ((255, 255),) * 3


async def test_a_model_without_transparency_gets_it_back(tmp_path: Path) -> None:
    def opaque(content: bytes, factor: int, output_format: str, quality: int) -> bytes:
        with Image.open(io.BytesIO(content)) as image:
            return upscale(file_of(image.convert("RGB")), factor, output_format, quality)

    picture = noise((60, 50), "RGBA")
    async with Emulator(upscaler=opaque) as emulator, client_of(emulator) as client:
        result = await client.upscale_large(picture, output=tmp_path / "large.png", **SMALL)
    with Image.open(io.BytesIO(picture)) as image:
        alpha = image.getchannel("A").resize((120, 100), Image.Resampling.LANCZOS)
    assert largest_difference(opened(result.path).getchannel("A"), alpha) == 0


@pytest.mark.parametrize("mode", ["P", "1", "CMYK"])
async def test_other_kinds_of_pictures_are_converted(
    mode: str, library: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.tif"
    Image.new("RGB", (40, 30), "white").convert(mode).save(path)
    async with Emulator() as emulator, client_of(emulator) as client:
        result = await client.upscale_large(path, output=tmp_path / "large.png", **SMALL)
    image = opened(result.path)
    assert image.mode == ("L" if mode == "1" else "RGB")
    assert min(image.convert("L").tobytes()) >= 250


async def test_deep_zoom_is_a_pyramid_of_tiles(tmp_path: Path) -> None:
    pytest.importorskip("pyvips", reason="the extra `large` is not installed")
    async with Emulator() as emulator, client_of(emulator) as client:
        await client.upscale_large(noise((45, 45)), output=tmp_path / "map.dzi", **SMALL)
        result = await client.upscale_large(noise((300, 200)), output=tmp_path / "map.dzi", **SMALL)
    assert 'Width="600"' in result.path.read_text()
    assert (tmp_path / "map_files" / "10" / "0_0.jpeg").is_file()
    assert names_in(tmp_path) == ["map.dzi", "map_files"]


async def test_tiles_of_the_same_content_are_sent_once(tmp_path: Path) -> None:
    sky = Image.new("RGB", (350, 130), (90, 160, 250))
    sky.putpixel((325, 125), (0, 0, 0))
    plans: list[LargePlan] = []
    async with Emulator() as emulator, client_of(emulator) as client:
        result = await client.upscale_large(
            file_of(sky), output=tmp_path / "sky.png", on_plan=plans.append, **SMALL
        )
        assert emulator.executions.total() == result.tasks == 2
    assert result.tiles == plans[0].tiles == 21
    assert plans == [plan(file_of(sky), **SMALL)]
    assert plans[0].cost == pytest.approx(2 * 0.0013) == pytest.approx(result.cost)
    assert largest_difference(opened(result.path), whole(file_of(sky), 2)) <= 1


async def test_a_second_run_pays_only_for_the_tiles_that_are_missing(tmp_path: Path) -> None:
    picture = noise((250, 150))

    def stop(done: int, _: int) -> None:
        if done == 5:
            raise KeyError(done)

    async with Emulator() as emulator:
        async with client_of(emulator) as client:
            with pytest.raises(KeyError):
                await client.upscale_large(
                    picture,
                    output=tmp_path / "large.png",
                    on_progress=stop,
                    max_in_flight=2,
                    **SMALL,
                )
        assert not names_in(tmp_path)
        assert 5 <= emulator.executions.total() <= 7
        async with client_of(emulator) as client:
            result = await client.upscale_large(picture, output=tmp_path / "large.png", **SMALL)
        assert emulator.executions.total() == result.tasks
        assert set(emulator.executions.values()) == {1}
    assert largest_difference(opened(result.path), whole(picture, 2)) <= 1


async def test_with_a_journal_too_each_tile_is_run_once(tmp_path: Path) -> None:
    picture, journal = noise((200, 60)), tmp_path / "journal.db"

    def stop(done: int, _: int) -> None:
        raise KeyError(done)

    async with Emulator() as emulator:
        async with client_of(emulator, journal=journal) as client:
            with pytest.raises(KeyError):
                await client.upscale_large(
                    picture, output=tmp_path / "large.png", on_progress=stop, **SMALL
                )
        async with client_of(emulator, journal=journal) as client:
            result = await client.upscale_large(picture, output=tmp_path / "large.png", **SMALL)
        assert set(emulator.executions.values()) == {1}
    assert largest_difference(opened(result.path), whole(picture, 2)) <= 1


async def test_a_tile_that_fails_is_run_again_alone(tmp_path: Path) -> None:
    picture = noise((200, 60))
    faults = [Fail(nth=2, code="internalServerError")]
    async with Emulator(faults=faults) as emulator, client_of(emulator, max_retries=0) as client:
        result = await client.upscale_large(picture, output=tmp_path / "large.png", **SMALL)
        assert emulator.executions.total() == result.tasks + 1
    assert largest_difference(opened(result.path), whole(picture, 2)) <= 1


@pytest.mark.parametrize(
    ("code", "error"), [("internalServerError", ServerError), ("invalidImage", TaskError)]
)
async def test_a_tile_that_fails_for_good_ends_it_and_leaves_nothing(
    code: str, error: type[TaskError], tmp_path: Path
) -> None:
    faults = [Fail(every=1, code=code)]
    async with Emulator(faults=faults) as emulator, client_of(emulator, max_retries=0) as client:
        with pytest.raises(error):
            await client.upscale_large(noise((200, 60)), output=tmp_path / "large.png", **SMALL)
    assert not names_in(tmp_path)


async def test_nothing_is_sent_if_the_estimate_exceeds_the_limit(tmp_path: Path) -> None:
    async with Emulator() as emulator, client_of(emulator) as client:
        with pytest.raises(BudgetError):
            await client.upscale_large(
                noise((200, 60)), output=tmp_path / "a.png", max_cost=0.005, **SMALL
            )
        assert not emulator.executions


async def test_the_limit_holds_when_a_task_costs_more_than_estimated(tmp_path: Path) -> None:
    async with Emulator(cost=0.003) as emulator, client_of(emulator) as client:
        with pytest.raises(BudgetError):
            await client.upscale_large(
                noise((200, 60)), output=tmp_path / "a.png", max_cost=0.0075, **SMALL
            )
        assert emulator.billed <= 0.0075


async def test_cancelling_gives_the_tasks_up_and_leaves_nothing(tmp_path: Path) -> None:
    async with Emulator(latency=3600) as emulator, client_of(emulator) as client:
        async with anyio.create_task_group() as group:

            async def upscale_one() -> None:
                await client.upscale_large(noise((200, 60)), output=tmp_path / "large.png", **SMALL)

            group.start_soon(upscale_one)
            await anyio.to_thread.run_sync(arrived, emulator)
            group.cancel_scope.cancel()
        assert not sum(client.stats().tasks.values())
    assert not names_in(tmp_path)


def wrong_pictures() -> Iterator[tuple[Any, str, str]]:
    yield "photo.png", "a.png", "image: is of type str"
    yield Path("missing.png"), "a.png", "image: 'missing.png' is not a file"
    yield b"no picture", "a.png", "image: cannot be read"
    yield file_of(Image.new("F", (9, 9)), "TIFF"), "a.png", "image: has"
    yield noise((9, 9)), "a.gif", "output: the suffix '.gif' is not known"
    yield noise((8200, 1)), "a.webp", "WEBP has at most 16383 pixels"


@pytest.mark.parametrize(("image", "output", "match"), [*wrong_pictures()])
async def test_what_cannot_be_done_is_refused_before_anything_is_sent(
    image: Any, output: str, match: str, library: str, tmp_path: Path
) -> None:
    async with Emulator() as emulator, client_of(emulator) as client:
        with pytest.raises(InputError, match=match):
            await client.upscale_large(image, output=tmp_path / output, factor=2)
        assert not sent(emulator)
    assert not names_in(tmp_path)


async def test_deep_zoom_without_pyvips_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runware_ws.large.writing.has_pyvips", lambda: False)
    async with Emulator() as emulator, client_of(emulator) as client:
        with pytest.raises(InputError, match=r"runware-ws\[large\]"):
            await client.upscale_large(noise((9, 9)), output=tmp_path / "a.dzi")


async def test_an_output_that_cannot_be_written_is_an_error_of_its_own(
    library: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    async with Emulator() as emulator, client_of(emulator) as client:
        with pytest.raises(SaveError):
            await client.upscale_large(noise((9, 9)), output=tmp_path / "file" / "a.png")
        assert not sent(emulator)
