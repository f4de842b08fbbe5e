"""What is known before anything is paid for: ``--dry-run`` and the warnings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from runware_ws.cli.plan import file_problem
from runware_ws.emulator import Emulator
from runware_ws.pictures import Picture, effective_scale, picture_of, result_size
from tests.cli.conftest import make_image, make_images, results, run, run_python, size_of

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No service, and no key."""
    monkeypatch.delenv("RUNWARE_API_KEY", raising=False)
    monkeypatch.setenv("RUNWARE_URL", "ws://127.0.0.1:9/v1")


@pytest.mark.usefixtures("offline")
def test_a_dry_run_shows_images_sizes_and_the_cost_and_sends_nothing() -> None:
    make_image("in/a.jpg", (30, 20))
    make_image("in/wide.png", (2000, 1000))
    Path("in/notes.txt").write_text("text")
    Path("in/z.jpg").write_text("text")
    done = run("upscale", "in", "https://example.com/b.jpg", "--dry-run")
    assert done.stdout.splitlines() == [
        "in/a.jpg (30x20) -> upscaled/a.jpg (120x80)",
        "in/wide.png (2000x1000) -> upscaled/wide.png.jpg (4096x2048, 2.05 times instead of 4)",
        "https://example.com/b.jpg -> upscaled/b.jpg",
    ]
    assert done.stderr.splitlines() == [
        "skipped in/notes.txt (not a JPG, PNG or WEBP file)",
        "failed: in/z.jpg: is a text file, not an image; give an image file",
        (
            "warning: 1 image: the result is smaller than asked, as Runware makes at most 4096 "
            "pixels a side (runware-ws large makes any size): in/wide.png"
        ),
        (
            "would upscale 3 images for about $0.0039 ($0.0013 each, the example in Runware's "
            "documents); 1 cannot be upscaled; nothing was sent"
        ),
    ]
    assert done.status == 1
    assert not Path("upscaled").exists()


def test_a_dry_run_says_what_would_be_skipped_and_overwritten(service: Emulator) -> None:
    make_images("ab")
    assert run("upscale", "in").status == 0
    make_images("c")
    Path("upscaled/a.jpg").write_text("mine")
    done = run("upscale", "in", "--dry-run", "--skip-existing")
    assert done.status == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["in/a.jpg", "in/c.jpg"]
    assert "would overwrite a.jpg (changed since runware-ws wrote it)\n" in done.stderr
    assert "would upscale 2 images for about $0.0026" in done.stderr
    assert "the cost of the last result here); 1 already done; nothing was sent" in done.stderr
    assert len(service.executions) == 2


@pytest.mark.usefixtures("offline")
def test_a_dry_run_in_json_has_an_object_for_each_image() -> None:
    make_image("in/wide.png", (2048, 1024))
    done = run("upscale", "in", "-n", "--json", "--format", "same")
    assert json.loads(done.stdout) == {
        "source": "in/wide.png",
        "output": "upscaled/wide.png",
        "input_size": [2048, 1024],
        "output_size": [4096, 2048],
        "effective_scale": 2.0,
        "overwrites": None,
        "estimated_cost": 0.0013,
    }


def test_what_a_user_may_not_expect_is_said_once_with_a_count_before_it_is_paid_for(
    service: Emulator,
) -> None:
    Path("in").mkdir()
    for name in "abcde":
        Image.new("RGBA", (8, 6), (0, 0, 0, 0)).save(f"in/{name}.png")
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "teal")]
    frames[0].save("in/moving.webp", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save("in/turned.jpg", exif=exif)
    make_image("in/large.jpg", (1100, 20))
    done = run("upscale", "in")
    assert done.status == 0
    assert [line for line in done.stderr.splitlines() if line.startswith("warning: ")] == [
        (
            "warning: 5 images: transparency is lost in JPG (--format same keeps it): in/a.png, "
            "in/b.png, in/c.png and 2 more"
        ),
        (
            "warning: 1 image: the result is smaller than asked, as Runware makes at most 4096 "
            "pixels a side (runware-ws large makes any size): in/large.jpg"
        ),
        "warning: 1 image: of an animation only the first frame is upscaled: in/moving.webp",
        (
            "warning: 1 image: the EXIF orientation is applied, so the result is upright without "
            "it: in/turned.jpg"
        ),
    ]
    assert size_of("upscaled/turned.jpg") == (24, 32)


def test_the_scale_that_an_image_really_got_is_in_the_json(service: Emulator) -> None:
    make_image("in/large.jpg", (2048, 16))
    (done,) = run("upscale", "in", "--json").objects
    assert done["input_size"] == [2048, 16]
    assert done["output_size"] == [4096, 32]
    assert done["effective_scale"] == 2.0


def test_the_same_format_keeps_transparency_and_is_not_warned_about(service: Emulator) -> None:
    Path("in").mkdir()
    Image.new("RGBA", (8, 6), (0, 0, 0, 0)).save("in/a.png")
    make_image("in/b.webp")
    make_image("in/c.JPG")
    done = run("upscale", "in", "--format", "Same")
    assert done.status == 0
    assert "warning" not in done.stderr
    assert results() == ["a.png", "b.webp", "c.JPG"]
    with Image.open("upscaled/a.png") as image:
        assert image.getpixel((0, 0)) == (0, 0, 0, 0)
    formats = [one.task["outputFormat"] for one in service.requests if "inputs" in one.task]
    assert sorted(formats) == ["JPG", "PNG", "WEBP"]


@pytest.mark.parametrize(
    ("name", "suffix"), [("jpeg", "jpg"), ("JPEG", "jpg"), ("Png", "png"), ("webP", "webp")]
)
@pytest.mark.usefixtures("service")
def test_a_format_is_understood_in_any_case(name: str, suffix: str) -> None:
    make_image("in/a.bmp")
    assert run("upscale", "in/a.bmp", "--format", name).status == 0
    assert results() == [f"a.bmp.{suffix}"]


def test_without_pillow_sizes_are_not_known_and_images_are_upscaled_all_the_same(
    service: Emulator,
) -> None:
    make_image("in/a.jpg")
    code = "import sys; sys.modules['PIL'] = None\nfrom runware_ws.cli import main\nmain()"
    done = run_python(code, "upscale", "in", "--json")
    assert done.status == 0, done.stderr
    assert done.objects[0]["input_size"] is None
    assert done.objects[0]["effective_scale"] is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"text", "is a text file, not an image"),
        ("é".encode() * 300, "is a text file, not an image"),
        (b"x" + "é".encode() * 300, "is a text file, not an image"),
        (b"<svg/>" * 200, "is a text file, not an image"),
        (b"\xff\xd8\xff\xe0", ""),
        (b"\x89PNG\r\n\x1a\n", ""),
        (b"RIFF\x10\0\0\0WEBPVP8 ", ""),
        (b"GIF89a\x01\0\x01\0", ""),
    ],
)
def test_text_is_told_from_images(content: bytes, problem: str) -> None:
    Path("file").write_bytes(content)
    assert file_problem(Path("file")) == problem


def test_a_file_that_cannot_be_read_has_no_properties() -> None:
    Path("a.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    assert picture_of(Path("a.jpg")) is None
    make_image("b.png", (3, 2))
    assert picture_of(Path("b.png").read_bytes()) == Picture((3, 2))


@pytest.mark.parametrize(
    ("size", "factor", "result", "scale"),
    [
        ((100, 50), 4, (400, 200), 4.0),
        ((1024, 1024), 4, (4096, 4096), 4.0),
        ((2048, 2048), 4, (4096, 4096), 2.0),
        ((2000, 1000), 4, (4096, 2048), 2.048),
        ((8192, 2), 2, (4096, 1), 0.5),
        ((9000, 1), 4, (4096, 1), 0.4551),
    ],
)
def test_the_cap_shrinks_the_result(
    size: tuple[int, int], factor: int, result: tuple[int, int], scale: float
) -> None:
    assert result_size(size, factor) == result
    assert effective_scale(size, result) == scale
