"""The option --report: a page with each image of the run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from runware_ws.emulator import Emulator
from tests.cli.conftest import Start, make_image, make_images, run, unix, wait
from tests.test_report import entries_of

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.usefixtures("service")
def test_the_report_shows_each_image_and_each_failure() -> None:
    make_image("in/a.png", (8, 6))
    Path("in/torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    done = run("upscale", "in", "--report", "pages/report.html")
    assert done.status == 1
    assert f"report: {Path('pages/report.html').absolute().as_uri()}" in done.stderr
    good, bad = sorted(entries_of(Path("pages/report.html")), key=lambda one: str(one["name"]))
    assert good["name"] == "in/a.png"
    assert good["before"]["link"] == "../in/a.png"
    assert good["after"]["link"] == "../upscaled/a.png.jpg"
    assert (good["after"]["width"], good["after"]["height"]) == (32, 24)
    assert good["cost"] > 0
    assert "invalidImage" in bad["error"]


@pytest.mark.usefixtures("service")
def test_a_report_that_cannot_be_written_is_said_and_the_results_are_kept() -> None:
    make_images("a")
    Path("file").write_text("in the way")
    done = run("upscale", "in", "--report", "file/report.html")
    assert "--report: file/report.html cannot be written" in done.stderr
    assert list(Path("upscaled").glob("a*.jpg"))


def test_a_folder_is_no_report() -> None:
    make_images("a")
    done = run("upscale", "in", "--report", ".")
    assert done.status == 2
    assert "--report: . is a folder" in done.stderr


@unix
def test_an_interrupted_run_has_a_report_too(start: Start) -> None:
    make_images("abc")
    with Emulator(latency=30) as emulator:
        variables = {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
        process = start("upscale", "in", "--report", "r.html", env={**os.environ, **variables})
        while len(emulator.executions) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert wait(process).status == 130
    names = sorted(str(entry["name"]) for entry in entries_of(Path("r.html")))
    assert names == [f"in/{name}.jpg" for name in "abc"]
