"""Test the work on images: sizes, formats, sources, and the errors of bad ones."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from PIL import Image

from runware_ws.emulator.imaging import pictures
from runware_ws.emulator.imaging.engine import Engine, ImageStore, StoredImage
from runware_ws.emulator.imaging.pictures import UpscaleFunction
from runware_ws.emulator.service.jobs import Failed, Job, JobOutcome, Succeeded
from runware_ws.emulator.service.settings import ServiceSettings
from tests.emulator.bench import KEY, Bench, new_uuid, picture, text_of, upscale


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def close_to(colour: Any, expected: tuple[int, ...]) -> bool:
    return all(abs(one - other) <= 12 for one, other in zip(colour, expected, strict=True))


# Pictures


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize(("form", "name"), [("JPG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WEBP")])
def test_an_image_is_made_larger_in_each_format(factor: int, form: str, name: str) -> None:
    image = opened(pictures.upscale(picture((10, 7), colour=(200, 30, 90)), factor, form, 95))
    assert image.format == name
    assert image.size == (10 * factor, 7 * factor)
    assert close_to(image.convert("RGB").getpixel((5, 5)), (200, 30, 90))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_each_mode_of_an_image_is_read(mode: str) -> None:
    form = "JPEG" if mode in {"CMYK", "YCbCr"} else "PNG"
    colour = None if mode in {"1", "L", "P"} else Image.new(mode, (1, 1)).getpixel((0, 0))
    image = opened(pictures.upscale(picture((4, 4), mode, form, colour), 2, "WEBP", 95))
    assert image.size == (8, 8)


def test_sixteen_bits_become_eight_without_losing_the_light() -> None:
    image = opened(pictures.upscale(picture((4, 4), "I;16", colour=0x8000), 2, "PNG", 95))
    assert close_to(image.convert("RGB").getpixel((1, 1)), (128, 128, 128))


@pytest.mark.parametrize(("form", "mode"), [("PNG", "RGBA"), ("WEBP", "RGBA"), ("JPG", "RGB")])
def test_transparency_stays_where_the_format_has_it(form: str, mode: str) -> None:
    clear = picture((4, 4), "RGBA", colour=(255, 0, 0, 0))
    image = opened(pictures.upscale(clear, 2, form, 95))
    assert image.mode == mode
    if mode == "RGB":
        assert close_to(image.getpixel((3, 3)), (255, 255, 255))
    else:
        assert image.getchannel("A").getextrema() == (0, 0)


def test_a_photograph_on_its_side_is_put_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    output = io.BytesIO()
    Image.new("RGB", (20, 10)).save(output, "JPEG", exif=exif)
    assert opened(pictures.upscale(output.getvalue(), 2, "PNG", 95)).size == (20, 40)


@pytest.mark.parametrize(
    ("size", "factor", "expected"),
    [
        ((1024, 1024), 4, (4096, 4096)),
        ((1024, 10), 4, (4096, 40)),
        ((1025, 1025), 4, (4096, 4096)),
        ((2048, 12), 4, (4096, 24)),
        ((2048, 10), 2, (4096, 20)),
        ((4096, 12), 2, (4096, 12)),
        ((9000, 1), 4, (4096, 4)),
        ((1023, 10), 4, (4092, 40)),
    ],
)
def test_the_result_is_capped_by_shrinking_the_input_first(
    size: tuple[int, int], factor: int, expected: tuple[int, int]
) -> None:
    assert opened(pictures.upscale(picture(size), factor, "JPG", 20)).size == expected


def test_quality_changes_the_size_of_the_file() -> None:
    noise = Image.effect_noise((64, 64), 80)
    output = io.BytesIO()
    noise.save(output, "PNG")
    sizes = [len(pictures.upscale(output.getvalue(), 2, "JPG", quality)) for quality in (20, 99)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("size", "stored"), [((2048, 10), (2048, 10)), ((4096, 1000), (2048, 500)), ((5, 5), (5, 5))]
)
def test_an_upload_is_stored_at_2048_px_a_side_at_most(
    size: tuple[int, int], stored: tuple[int, int]
) -> None:
    image = opened(pictures.shrink(picture(size)))
    assert (image.size, image.format) == (stored, "PNG")


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", picture()[:30], picture((300, 300), form="JPEG")[:600], b"GIF89a" + b"\0"],
)
def test_what_is_no_image_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(pictures.BadImageError) as caught:
        pictures.upscale(content, 2, "JPG", 95)
    assert "0x" not in str(caught.value)


def test_an_image_made_to_exhaust_the_reader_is_refused() -> None:
    bomb = bytearray(picture((1, 1)))
    bomb[16:24] = (40_000).to_bytes(4, "big") * 2
    with pytest.raises(pictures.BadImageError):
        pictures.upscale(bytes(bomb), 2, "JPG", 95)


@pytest.mark.parametrize("text", ["QUJDRA==", "QUJDRA", "data:image/png;base64,QUJDRA=="])
def test_base64_is_decoded_with_and_without_padding_or_head(text: str) -> None:
    assert pictures.from_base64(text) == b"ABCD"


@pytest.mark.parametrize("text", ["A", "QU=JD", "====", "data:image/png;base64,A"])
def test_base64_that_is_broken_is_said_to_be_so(text: str) -> None:
    with pytest.raises(pictures.BadImageError):
        pictures.from_base64(text)


# The store


def test_the_store_drops_the_oldest_when_it_is_full() -> None:
    store = ImageStore(25)
    uuids = [new_uuid() for _ in range(3)]
    for uuid in uuids:
        store.put(uuid, StoredImage(b"0123456789", "image/png"))
    assert [store.get(uuid, 0) is None for uuid in uuids] == [True, False, False]


def test_the_newest_file_is_held_even_if_it_is_too_large() -> None:
    store = ImageStore(5)
    store.put("a", StoredImage(b"0123456789", "image/png"))
    assert store.get("A", 0)


def test_a_file_put_again_replaces_the_first() -> None:
    store = ImageStore(15)
    for uuid, content in (("a", b"0123456789"), ("A", b"x"), ("b", b"0123456789")):
        store.put(uuid, StoredImage(content, "image/png"))
    kept = [store.get(uuid, 0) for uuid in ("a", "b")]
    assert [image and image.content for image in kept] == [b"x", b"0123456789"]


def test_a_file_is_gone_when_its_time_is_over() -> None:
    store = ImageStore(2)
    store.put("a", StoredImage(b"x", "image/png", expires=60))
    assert store.get("a", 59.9)
    assert store.get("a", 60) is None
    for uuid in ("b", "c"):
        store.put(uuid, StoredImage(b"x", "image/png"))
    assert store.get("b", 60), "its room is free again"


# The engine


class Workshop:
    """An engine with a clock that is set by hand, and downloads that stay in the process.

    Attributes:
        reply: answers downloads.
        upscaler: makes the files of results.
        settings: the settings of the next engine.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.settings = ServiceSettings(api_key=KEY, workers=1)
        self.upscaler: UpscaleFunction = pictures.upscale
        self.store = ImageStore(10**9)
        self.reply: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(
            200, content=picture()
        )
        self.bench = Bench()
        self.peer = self.bench.peer()

    def job(self, task: dict[str, Any]) -> Job:
        self.peer.send(task)
        return self.bench.jobs.pop()

    def run(self, image: str, **members: Any) -> tuple[Job, JobOutcome]:
        job = self.job(upscale(image, **members))
        return job, self.outcome(job)

    def outcome(self, job: Job) -> JobOutcome:
        return asyncio.run(self._with_engine(lambda engine: engine.run(job)))

    async def _with_engine(self, work: Callable[[Engine], Awaitable[JobOutcome]]) -> JobOutcome:
        transport = httpx.MockTransport(self.reply)
        async with httpx.AsyncClient(transport=transport) as client:
            engine = Engine(
                self.store,
                self.settings,
                clock=lambda: self.now,
                http=lambda: client,
                upscaler=self.upscaler,
            )
            try:
                return await work(engine)
            finally:
                engine.close()


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


@pytest.mark.parametrize(
    "image",
    [
        text_of(picture((3, 5))),
        "data:image/png;base64," + text_of(picture((3, 5))),
        "https://example.com/a.png",
    ],
)
def test_the_engine_takes_each_source(workshop: Workshop, image: str) -> None:
    workshop.reply = lambda _: httpx.Response(200, content=picture((3, 5)))
    job, outcome = workshop.run(image, outputType="base64Data", outputFormat="PNG")
    assert isinstance(outcome, Succeeded)
    assert opened(base64.b64decode(outcome.base64)).size == (6, 10)
    assert workshop.store.get(job.image_uuid, 0)


def test_a_result_can_be_the_next_input(workshop: Workshop) -> None:
    first, _ = workshop.run(text_of(picture((3, 5))))
    second, outcome = workshop.run(first.image_uuid.upper())
    assert outcome == Succeeded()
    stored = workshop.store.get(second.image_uuid, 0)
    assert stored is not None
    assert opened(stored.content).size == (12, 20)


def test_an_input_can_be_used_again_by_its_uuid(workshop: Workshop) -> None:
    first, _ = workshop.run(text_of(picture((3, 5))))
    _, outcome = workshop.run(first.input_image_uuid)
    assert outcome == Succeeded()


def test_an_upload_can_be_an_input(workshop: Workshop) -> None:
    task = {"taskType": "imageUpload", "taskUUID": new_uuid(), "image": text_of(picture())}
    job = workshop.job(task)
    assert workshop.outcome(job) == Succeeded()
    assert workshop.run(job.image_uuid)[1] == Succeeded()


def test_base64_is_made_only_if_it_is_asked_for(workshop: Workshop) -> None:
    assert workshop.run(text_of(picture()), outputType="URL")[1] == Succeeded("")


def test_a_link_lives_as_long_as_its_ttl(workshop: Workshop) -> None:
    workshop.now = 10
    job, _ = workshop.run(text_of(picture()), ttl=60)
    assert workshop.store.get(job.image_uuid, 69.9)
    assert workshop.store.get(job.image_uuid, 70) is None


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (text_of(b"no image"), "invalidImage"),
        ("QU=JD", "invalidImage"),
        (new_uuid(), "mediaNotFound"),
    ],
)
def test_a_bad_image_is_an_error_that_names_its_member(
    workshop: Workshop, image: str, code: str
) -> None:
    _, outcome = workshop.run(image)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.parameter) == (code, "inputs.image")


def test_the_older_form_has_its_member_named_as_well(workshop: Workshop) -> None:
    task = upscale(taskType="imageUpscale", inputs=None, inputImage="QU=JD")
    outcome = workshop.outcome(workshop.job(task))
    assert isinstance(outcome, Failed)
    assert outcome.parameter == "inputImage"


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


@pytest.mark.parametrize("reply", [_refuse, lambda _: httpx.Response(404)])
def test_a_download_that_fails_is_an_error(
    workshop: Workshop, reply: Callable[[httpx.Request], httpx.Response]
) -> None:
    workshop.reply = reply
    _, outcome = workshop.run("https://example.com/a.png")
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.parameter) == ("downloadFailed", "inputs.image")


@pytest.mark.parametrize("link", ["http://1.2.3.999/", "http://xn--a/"])
def test_a_link_that_no_client_can_follow_is_an_error_of_its_own(
    workshop: Workshop, link: str
) -> None:
    _, outcome = workshop.run(link)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.parameter) == ("downloadFailed", "inputs.image")


def test_a_redirect_is_followed(workshop: Workshop) -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/b":
            return httpx.Response(200, content=picture())
        return httpx.Response(302, headers={"Location": "/b"})

    workshop.reply = reply
    assert workshop.run("https://example.com/a")[1] == Succeeded()


def test_a_download_that_does_not_end_is_cut(workshop: Workshop) -> None:
    workshop.settings = replace(workshop.settings, max_download_bytes=10)
    _, outcome = workshop.run("https://example.com/a.png")
    assert isinstance(outcome, Failed)
    assert outcome.code == "invalidImage"


def test_a_fault_of_the_emulator_itself_is_told_and_logged(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bytes:
        raise AttributeError

    workshop.upscaler = broken
    _, outcome = workshop.run(text_of(picture()))
    assert isinstance(outcome, Failed)
    assert outcome.code == "internalServerError"
    assert "AttributeError" in caplog.text
