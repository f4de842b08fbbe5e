"""Run the programs in `examples/` as they stand: they do what they say."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Lose
from runware_ws.webhooks import with_secret

EXAMPLES = Path(__file__).parent.parent / "examples"
PHOTOGRAPHS = {"cat.png", "coffee.jpg", "rocket.jpg"}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an example in an empty folder, as a process that does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start_one(
        name: str, *arguments: str | Path, use: Emulator | None = None
    ) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        if use is not None:
            environment |= {"RUNWARE_URL": use.url, "RUNWARE_API_KEY": use.api_key}
        process = subprocess.Popen(
            [sys.executable, EXAMPLES / name, *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def saved(folder: Path) -> set[str]:
    return {path.name for path in (folder / "upscaled").iterdir()}


def test_one_image_is_upscaled_and_saved(start: Start, tmp_path: Path) -> None:
    output = output_of(start("one_image.py"))
    assert "using an emulator" in output
    assert "coffee.jpg -> upscaled" in output
    assert saved(tmp_path) == {"coffee.jpg"}
    with Image.open(tmp_path / "upscaled" / "coffee.jpg") as image:
        assert image.size == (960, 640)


def test_a_folder_is_upscaled(start: Start, tmp_path: Path) -> None:
    output = output_of(start("folder.py"))
    assert output.endswith("3 upscaled, 0 failed, $0.0039\n")
    assert saved(tmp_path) == {"cat.png", "coffee.png", "rocket.png"}


@pytest.mark.long
def test_a_program_without_an_event_loop_shares_a_client_among_threads(
    start: Start, tmp_path: Path
) -> None:
    output = output_of(start("blocking.py"))
    assert saved(tmp_path) == {"cat.png", "coffee.png", "rocket.png"}
    assert all(f"{name}: http://" in output for name in PHOTOGRAPHS)


@pytest.mark.long
def test_pictures_in_memory_are_upscaled(start: Start, tmp_path: Path) -> None:
    assert "(160, 160) -> (640, 640)" in output_of(start("pillow_and_numpy.py"))
    with Image.open(tmp_path / "upscaled" / "mirrored.png") as image:
        assert image.size == (1280, 640)
        assert image.getpixel((0, 0)) == image.getpixel((1279, 0))


def test_a_folder_is_upscaled_on_trio(start: Start, tmp_path: Path) -> None:
    output_of(start("on_trio.py"))
    names = {Path(name).stem for name in PHOTOGRAPHS}
    assert saved(tmp_path) == {f"{name}-{factor}x.jpg" for name in names for factor in (2, 4)}


@pytest.mark.long
def test_results_are_received_as_webhooks(start: Start, tmp_path: Path) -> None:
    output = output_of(start("webhooks.py"))
    assert all(f"{name} -> upscaled" in output for name in PHOTOGRAPHS)
    assert saved(tmp_path) == {"cat.jpg", "coffee.jpg", "rocket.jpg"}


def test_webhooks_that_repeat_or_lack_the_secret_are_not_taken(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("webhooks")
    receiver = example.Receiver()
    body = {"taskUUID": "0d1e6d06", "imageURL": "https://example.com/a.jpg"}
    url = with_secret("http://127.0.0.1/hook", receiver.secret)

    async def statuses() -> list[int]:
        transport = httpx.ASGITransport(receiver.app)
        async with httpx.AsyncClient(transport=transport) as http:
            posts = [
                await http.post(url, json=body),
                await http.post(url, json={"data": [body]}),
                await http.post(url, content=b"nonsense"),
                await http.post(url.removesuffix(receiver.secret), json=body),
            ]
        return [post.status_code for post in posts]

    assert asyncio.run(statuses()) == [202, 202, 400, 403]
    assert receiver.queue.qsize() == 1


async def in_a_notebook(cells: list[str]) -> list[Any]:
    """Run cells as a notebook does, in a running event loop; gives what each one shows."""
    names: dict[str, Any] = {}
    shown = []
    for cell in cells:
        tree = ast.parse(cell)
        *statements, last = tree.body
        exec(compile(ast.Module(statements, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return shown


def test_the_notebook_runs_and_shows_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(one["source"]) for one in notebook["cells"] if one["cell_type"] == "code"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHOTOGRAPHS", str(EXAMPLES))
    with Emulator() as emulator:
        monkeypatch.setenv("RUNWARE_URL", emulator.url)
        monkeypatch.setenv("RUNWARE_API_KEY", emulator.api_key)
        client, result, image, paths, stats = asyncio.run(in_a_notebook(cells))
    assert "closed" in repr(client)
    assert "data:image/webp;base64," in result._repr_html_()
    assert image.size == (240, 180)
    assert {path.name for path in paths} == {"coffee.jpg", "rocket.jpg"}
    assert stats.succeeded == 4


def test_an_image_that_fails_is_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    Image.new("RGB", (4, 4)).save(tmp_path / "in" / "good.png")
    with Emulator() as emulator:
        process = start("folder.py", tmp_path / "in", use=emulator)
        output, _ = process.communicate()
    assert process.returncode == 1
    assert "torn.jpg: " in output
    assert saved(tmp_path) == {"good.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be caught")
def test_a_service_upscales_and_tells_prometheus_and_ends_when_asked(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "0")
    process = start("service.py")
    assert process.stdout is not None
    assert "using an emulator" in process.stdout.readline()
    url = process.stdout.readline().strip()
    image = (EXAMPLES / "coffee.jpg").read_bytes()
    with httpx.Client(base_url=url, timeout=20) as http:
        good = http.post("/upscale?factor=2", content=image)
        assert (good.status_code, good.json()["cost"]) == (200, 0.0013)
        assert http.post("/upscale", content=b"").status_code == 400
        bad = http.post("/upscale", content=b"no image")
        assert bad.status_code == 502
        assert "invalidImage" in bad.json()["error"]
        metrics = http.get("/metrics").text
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    lines = metrics.splitlines()
    assert "runware_up 1" in lines
    assert 'runware_tasks_total{outcome="succeeded"} 1' in lines
    assert 'runware_tasks_total{outcome="failed"} 1' in lines
    assert "runware_cost_total 0.0013" in lines
    told = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    shown = {re.split(r"[ {]", line)[0] for line in lines if not line.startswith("#")}
    assert shown <= told


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be caught")
def test_a_worker_ends_without_losing_what_is_under_way(start: Start) -> None:
    process = start("worker.py")
    assert process.stdout is not None
    lines: list[str] = []
    while sum("[connected]" in line for line in lines) < 2:  # it was dropped, and came back
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    process.send_signal(signal.SIGTERM)
    output = "".join(lines) + output_of(process)
    assert "all is delivered" in output
    delivered = [line for line in output.splitlines() if line.startswith(tuple(PHOTOGRAPHS))]
    assert all(": http://" in line for line in delivered)


@pytest.mark.crash
def test_a_run_that_is_killed_is_finished_by_the_next_one(start: Start, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    names = [f"{number}.png" for number in range(24)]
    for name in names:
        Image.new("RGB", (4, 4), "teal").save(source / name)
    with Emulator(faults=[Lose(nth=1, times=20)]) as emulator:  # the first run gets four
        for results in (1, 5, 9):
            process = start("crash_safe.py", source, use=emulator)
            assert process.stdout is not None
            assert all(" -> " in line for line in islice(process.stdout, results))
            process.kill()
            process.wait()
        output_of(start("crash_safe.py", source, use=emulator))
        assert sorted(emulator.executions.values()) == [1] * len(names)
    assert {name for name in saved(tmp_path) if name.endswith(".png")} == {
        f"{name}.png" for name in names
    }
