"""The report in a real browser: sliders, zoom, filter and sort, by mouse, keyboard and touch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runware_ws.reporting import report
from runware_ws.reporting.entries import ReportEntry
from tests.browser.chromium import EXECUTABLE, Browser, Page, opened_browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(EXECUTABLE is None, reason="Chromium is not installed"),
]
HOSTILE = '<img src=x onerror=alert(1)> & "quotes" \'</script><script>alert(1)</script>'
REASON = f"the service refused it (invalidImage) {HOSTILE}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with opened_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Page:
    return Page(browser)


def image(folder: Path, name: str, size: tuple[int, int]) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.radial_gradient("L").resize(size).convert("RGB").save(path)
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A report on three images that were upscaled and two that failed."""
    entries = [
        ReportEntry(
            name=f"photo {number}.png",
            before=image(tmp_path, f"photo {number}%23#.png", (60, 40)),
            after=image(tmp_path / "large", f"photo {number}.jpg", (240, 160 + number)),
            seconds=[2.0, 9.5, 0.4][number],
            cost=[0.0013, 0.001, 0.2][number],
        )
        for number in range(3)
    ]
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(b"\xff\xd8\xff torn")
    entries.append(ReportEntry(name="torn.jpg", before=torn, error=REASON, attempts=3))
    entries.append(ReportEntry(name=HOSTILE, error="timeout"))
    return report(entries, tmp_path / "a report.html", title=HOSTILE).as_uri()


def names(page: Page) -> list[str]:
    shown: list[str] = page.run(
        "[...document.querySelectorAll('.card h2')].map(x => x.textContent)"
    )
    return shown


def split(page: Page, selector: str = ".compare") -> float:
    style = f"document.querySelector({json.dumps(selector)}).style.getPropertyValue('--split')"
    return float(page.run(style).rstrip("%"))


def test_all_is_shown_without_a_network_and_without_a_complaint(page: Page, url: str) -> None:
    page.open(url)
    page.until("[...document.images].filter(one => one.naturalWidth).length >= 6")
    text = page.run("document.body.textContent")
    assert REASON in text
    assert page.run("document.querySelector('h1').innerText") == HOSTILE
    assert page.run("document.title") == HOSTILE
    for words in ("60\u00d740 → 240\u00d7160", "2.00 s · $0.0013", "3 attempts", "timeout"):
        assert words in text
    totals = page.run("[...document.querySelectorAll('#totals dd')].map(one => one.innerText)")
    assert totals == ["3", "2", "$0.20", "2.00 s", "9.50 s"]
    assert page.complaints == []
    assert all(one.startswith(("file:", "data:")) for one in page.requests)


def test_links_lead_to_the_originals(page: Page, url: str) -> None:
    page.open(url)
    loaded = page.run(
        "Promise.all([...document.querySelectorAll('.about a')].map(link => new Promise(done => {"
        "const one = new Image(); one.onload = () => done(one.naturalWidth);"
        "one.onerror = () => done(link.href); one.src = link.href; })))"
    )
    assert [one for one in loaded if one not in (60, 240)] == [f"{url.rpartition('/')[0]}/torn.jpg"]
    assert len(loaded) == 7


def test_the_slider_is_moved_by_the_mouse(page: Page, url: str) -> None:
    page.open(url)
    page.drag(page.place_of(".compare", 0.5), page.place_of(".compare", 0.9))
    assert split(page) == pytest.approx(90, abs=3)


def test_the_slider_is_moved_by_the_keyboard(page: Page, url: str) -> None:
    page.open(url)
    page.run("document.querySelector('.compare input').focus()")
    for _ in range(4):
        page.press("ArrowRight")
    assert split(page) == 52
    page.press("Enter")
    assert page.run("document.querySelector('dialog').open")


def test_the_slider_is_moved_by_a_finger(page: Page, url: str) -> None:
    page.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    page.open(url, width=390, height=844)
    points = [page.place_of(".compare", 0.5 + step / 10) for step in range(-3, 4)]
    page.touch(points)
    assert split(page) == pytest.approx(80, abs=4)


def test_images_are_filtered_and_sorted(page: Page, url: str) -> None:
    page.open(url)
    before = names(page)
    assert before[:4] == ["photo 0.png", "photo 1.png", "photo 2.png", "torn.jpg"]
    page.click("#kinds label:nth-child(3)")
    assert names(page) == ["torn.jpg", HOSTILE]
    page.click("#kinds label:nth-child(1)")
    for order, first in {"longest time": 1, "highest cost": 2, "largest result": 2}.items():
        page.run(
            f"document.querySelector('select').value = {json.dumps(order)};"
            "document.querySelector('select').dispatchEvent(new Event('input', {bubbles: true}))"
        )
        assert names(page)[0] == f"photo {first}.png", order
    page.run("document.querySelector('#words').focus()")
    for letter in "INVALID":
        page.press(letter)
    assert names(page) == ["torn.jpg"]
    page.press("x")
    assert names(page) == []
    assert page.run("document.querySelector('#nothing').hidden") is False


def test_the_viewer_zooms_to_pixels(page: Page, url: str) -> None:
    page.open(url)
    page.click(".card button")
    page.until("document.querySelector('.layer.after img').naturalWidth === 240")
    zoom = "document.querySelector('#viewer-zoom').innerText"
    assert page.run("document.querySelector('#viewer-name').innerText") == "photo 0.png"
    assert page.run("getComputedStyle(document.querySelector('.stage')).cursor") == "grab"
    page.click("[data-do=pixels]")
    assert page.run(zoom) == "100%"
    box = "document.querySelector('.layer.{}img').getBoundingClientRect().toJSON()"
    after, before = (page.run(box.format(one)) for one in ("after ", "before "))
    assert (after["width"], after["height"]) == (240, 160)
    assert before == after  # the two lie one on the other
    page.press("+")
    assert page.run(zoom) == "150%"
    page.drag(page.place_of(".stage", 0.4, 0.3), page.place_of(".stage", 0.5, 0.3))
    moved = page.run(box.format("after "))
    assert moved["x"] > after["x"]
    page.drag(page.place_of(".stage", 0.5, 0.9), page.place_of(".stage", 0.2, 0.9))
    assert split(page, ".stage") == pytest.approx(20, abs=2)
    page.press("0")
    assert page.run(zoom) not in ("100%", "150%")
    page.press("Escape")
    assert not page.run("document.querySelector('dialog').open")
    assert page.complaints == []


def test_the_viewer_goes_on_to_the_next_image_that_is_shown(page: Page, url: str) -> None:
    page.open(url)
    page.click(".card button")
    name = "document.querySelector('#viewer-name').innerText"
    seen = [page.run(name)]
    for _ in range(3):
        page.press("PageDown")
        seen.append(page.run(name))
    page.press("PageUp")
    assert seen == ["photo 0.png", "photo 1.png", "photo 2.png", "photo 2.png"]
    assert page.run(name) == "photo 1.png"


def test_two_fingers_zoom(page: Page, url: str) -> None:
    page.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    page.open(url, width=390, height=844)
    page.click(".card button")
    scale = "viewer.scale"
    before = page.run(scale)
    apart = [page.place_of(".stage", 0.5 - step / 20, 0.5) for step in range(2, 8)]
    other = [page.place_of(".stage", 0.5 + step / 20, 0.5) for step in range(2, 8)]
    page.touch(apart, other)
    assert page.run(scale) == pytest.approx(before * 3.5, rel=0.1)


def test_originals_that_are_gone_are_shown_as_small_pictures(
    page: Page, url: str, tmp_path: Path
) -> None:
    for path in tmp_path.rglob("photo*"):
        path.unlink()
    page.open(url)
    page.click(".card button")
    page.until("document.querySelector('.layer.after img').naturalWidth === 240")
    assert page.run("document.querySelector('.layer.after img').src").startswith("data:")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window_in_both_schemes(
    page: Page, url: str, width: int, scheme: str, tmp_path: Path
) -> None:
    page.open(url, width=width, scheme=scheme)
    page.until("[...document.images].filter(one => one.naturalWidth).length >= 2")
    assert page.run("document.documentElement.scrollWidth") <= width
    clipped = page.run(
        "[...document.querySelectorAll('button, #kinds label, select, dd')]"
        ".filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth)"
        ".map(one => one.innerText)"
    )
    assert clipped == []
    ink, paper = (
        page.run(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
    page.screenshot(tmp_path / f"{scheme}-{width}.png")
    with Image.open(tmp_path / f"{scheme}-{width}.png") as shot:
        assert shot.size == (width, 900)
        colours: Any = shot.convert("RGB").getcolors(1_000_000)
        assert len(colours) > 200  # pictures are drawn, not only text


def brightness(colour: str) -> int:
    return sum(int(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3])


def test_a_thousand_images_are_drawn_only_where_they_are_seen(page: Page, tmp_path: Path) -> None:
    before = image(tmp_path, "before.png", (40, 30))
    after = image(tmp_path, "after.png", (160, 120))
    entries = (
        ReportEntry(name=f"{number}.png", before=before, after=after, cost=0.0013, seconds=1.0)
        for number in range(1000)
    )
    page.open(report(entries, tmp_path / "report.html").as_uri())
    assert len(names(page)) == 1000
    page.until("[...document.images].filter(one => one.naturalWidth).length >= 8")
    assert page.run("[...document.images].filter(one => one.src).length") < 200
    page.run("scrollTo(0, document.body.scrollHeight)")
    page.until("[...document.images].findLast(one => one.dataset.src).naturalWidth")
    assert page.complaints == []
