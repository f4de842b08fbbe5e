"""Pillow images and numpy arrays are inputs, and results are shown as pictures."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from runware_ws import (
    Failure,
    InputError,
    MissingExtraError,
    ProtocolError,
    RunwareClient,
    UpscaleResult,
    inputs,
    pictures,
)
from runware_ws.emulator import Emulator
from tests.support.answers import base64_of
from tests.support.clients import IMAGE, client_of, served

pytestmark = pytest.mark.anyio
RNG = np.random.default_rng(4711)
ORIENTATION = 274
PIXELS = {
    "grey": RNG.integers(0, 256, (6, 9), np.uint8),
    "RGB": RNG.integers(0, 256, (6, 9, 3), np.uint8),
    "RGBA": RNG.integers(0, 256, (6, 9, 4), np.uint8),
    "BGR, turned round": RNG.integers(0, 256, (6, 9, 3), np.uint8)[..., ::-1],
    "a part of a larger one": RNG.integers(0, 256, (20, 20, 3), np.uint8)[3:9, 5:14],
    "read-only": np.broadcast_to(np.uint8(7), (6, 9, 3)),
}


def file_of(image: Image.Image, form: str, **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, form, **options)
    return output.getvalue()


async def sent(image: Any) -> Image.Image:
    """The image as it arrived at the server."""
    async with served() as (server, client):
        await client.upscale(image)
        return Image.open(io.BytesIO(base64.b64decode(server.tasks[0]["inputs"]["image"])))


@pytest.mark.parametrize("kind", PIXELS)
async def test_an_array_arrives_with_each_of_its_pixels(kind: str) -> None:
    arrived = await sent(PIXELS[kind])
    assert arrived.format == "PNG"
    assert np.array_equal(np.asarray(arrived), PIXELS[kind])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
async def test_a_pillow_image_arrives_with_each_of_its_pixels(mode: str) -> None:
    image = Image.fromarray(PIXELS["RGBA"]).convert(mode)
    arrived = await sent(image)
    assert (arrived.format, arrived.mode) == ("PNG", mode)
    assert arrived.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "F", "RGBX", "RGBa"])
async def test_modes_that_png_does_not_have_arrive_as_rgb(mode: str) -> None:
    image = Image.fromarray(PIXELS["RGBA"]).convert("RGBA" if mode == "RGBa" else "RGB")
    arrived = await sent(image.convert(mode))
    assert arrived.mode == ("RGBA" if mode == "RGBa" else "RGB")
    assert arrived.size == image.size


async def test_an_image_arrives_as_its_exif_says_that_it_is_to_be_seen() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = file_of(Image.new("RGB", (9, 6)), "JPEG", exif=exif, icc_profile=profile)
    arrived = await sent(Image.open(io.BytesIO(data)))
    assert arrived.size == (6, 9)
    assert arrived.getexif().get(ORIENTATION, 1) == 1
    assert arrived.info["icc_profile"] == profile


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((6, 9, 3)), "is an array of float64; pass one of uint8"),
        (np.zeros((6, 9, 2), np.uint8), "is an array of shape 6x9x2; pass rows x columns"),
        (np.zeros((2, 6, 9, 3), np.uint8), "is an array of shape 2x6x9x3"),
        (np.zeros((9,), np.uint8), "is an array of shape 9"),
        (np.zeros((0, 9, 3), np.uint8), "has no pixels"),
        (Image.new("RGB", (0, 4)), "has no pixels"),
        (np.uint8(4), "is of type uint8"),
        (Image.open(io.BytesIO(file_of(Image.fromarray(PIXELS["RGB"]), "PNG")[:99])), "cannot be"),
    ],
    ids=["float", "channels", "stack", "row", "empty", "no size", "scalar", "cut off"],
)
async def test_a_wrong_picture_is_refused_before_anything_is_sent(image: Any, problem: str) -> None:
    async with served() as (server, client):
        with pytest.raises(InputError, match=problem):
            await client.upscale(image)
        assert server.tasks == []


async def test_many_pictures_are_upscaled_and_one_is_not_taken_for_many() -> None:
    many: list[Any] = [PIXELS["RGB"], Image.new("L", (3, 3)), np.zeros((1, 1, 9), np.uint8)]
    async with served() as (server, client):
        outcomes = [one async for one in client.upscale_many(many, ordered=True)]
        assert all(one.source is image for one, image in zip(outcomes, many, strict=True))
        assert [isinstance(one, Failure) for one in outcomes] == [False, False, True]
        assert "array of 6x9x3" in repr(outcomes[0])
        for single in many[:2]:
            with pytest.raises(InputError, match="single image"):
                client.upscale_many(single)
        assert len(server.tasks) == 2


async def test_pictures_are_encoded_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()

    def png_of(picture: Any) -> bytes:
        threads.add(threading.current_thread())
        return pictures.png_of(picture)

    monkeypatch.setattr(inputs, "png_of", png_of)
    async with served() as (_, client):
        await client.upscale(PIXELS["grey"])
    assert threads
    assert threading.current_thread() not in threads


def test_neither_library_is_imported_to_see_what_an_image_is() -> None:
    code = """
import sys
from runware_ws.inputs import source_of
from runware_ws.batch import check_images
class Image: ...
for one in (Image(), b"bytes", "https://example.com/a.jpg"):
    try:
        source_of(one)
    except ValueError as error:
        print(error)
check_images([])
print({"PIL", "numpy"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.startswith("image: is of type Image; pass a pathlib.Path"), run.stderr
    assert run.stdout.endswith("\nset()\n")


async def test_without_pillow_the_extra_is_named_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    async with served() as (server, client):
        with pytest.raises(MissingExtraError, match=r"runware-ws\[images\]"):
            await client.upscale(PIXELS["RGB"])
        assert server.tasks == []
    with pytest.raises(MissingExtraError, match=r"runware-ws\[images\]"):
        await result_with(b"").image()
    assert result_with(file_of(Image.new("L", (9, 9)), "PNG"))._repr_png_() is None


# Results


def result_with(data: bytes | str) -> UpscaleResult:
    text = data if isinstance(data, str) else base64_of(data)
    return UpscaleResult("0d1e6d06", {"imageBase64Data": text, "cost": 0.0013})


def link_to(url: str) -> UpscaleResult:
    return UpscaleResult("<0d1e6d06>", {"imageURL": url})


async def test_a_result_becomes_a_pillow_image_also_from_a_link() -> None:
    async with Emulator() as emulator, RunwareClient(emulator.api_key, url=emulator.url) as client:
        for output_type in ("URL", "base64Data"):
            result = await client.upscale(
                PIXELS["RGB"],
                output_type=output_type,
                upscale_factor=2,
            )
            image = await result.image()
            assert isinstance(image, Image.Image)
            assert image.size == (18, 12)
            assert image.getpixel((0, 0))


async def test_what_is_no_image_cannot_become_one() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        await result_with(b"no image").image()
    with pytest.raises(ProtocolError):
        await UpscaleResult("0d1e6d06", {}).image()


@pytest.mark.parametrize(("width", "scale"), [(40, 4.0), (2000, 2.048)])
async def test_a_result_tells_how_many_times_larger_it_is(
    width: int, scale: float, tmp_path: Path
) -> None:
    picture = Image.new("L", (width, 10))
    path = tmp_path / "wide.png"
    picture.save(path)
    async with Emulator() as emulator, client_of(emulator) as client:
        result = await client.upscale(path, output_type="base64Data")
        for image in (path, path.read_bytes(), picture, np.zeros((10, width), np.uint8)):
            assert result.effective_scale(image) == scale
        assert result.effective_scale("https://example.com/a.jpg") is None
        linked = await client.upscale(path)
        assert linked.effective_scale(path) is None  # it downloads nothing
        await linked.save(tmp_path / "large")
        assert linked.effective_scale(path) == scale


def test_a_notebook_shows_a_small_picture_of_the_data() -> None:
    large = Image.effect_noise((2000, 1000), 90)
    result = result_with(file_of(large, "PNG"))
    shown = result._repr_html_()
    data = shown.partition("data:image/webp;base64,")[2].partition('"')[0]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (320, 160)
    assert len(shown) < 60_000
    assert "$0.0013" in shown
    png = result._repr_png_()
    assert png is not None
    assert Image.open(io.BytesIO(png)).size == (320, 160)


def test_a_notebook_shows_a_link_and_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("runware_ws.runtime.download.Downloads.fetch")
    result = link_to(IMAGE + "?a=1&b=2")
    assert f'<img src="{IMAGE}?a=1&amp;b=2"' in result._repr_html_()
    assert result._repr_png_() is None


@pytest.mark.parametrize("result", [result_with("no base64"), result_with(b"no image")])
def test_a_notebook_shows_words_where_there_is_no_picture(result: UpscaleResult) -> None:
    assert result._repr_png_() is None
    assert result._repr_html_() == "<div><code>0d1e6d06</code>, $0.0013</div>"


@pytest.mark.parametrize("url", ["javascript:alert(1)", 'https://a.example/"onload="alert(1)'])
def test_nothing_that_a_service_sends_becomes_markup(url: str) -> None:
    shown = link_to(url)._repr_html_()
    assert 'onload="' not in shown
    assert "javascript:" not in shown
    assert "&lt;0d1e6d06&gt;" in shown
