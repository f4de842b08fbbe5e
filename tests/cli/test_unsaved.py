"""Results that are paid for and cannot be saved: named with their tasks, and fetched later."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.imaging.pictures import upscale as upscale_picture
from tests.cli.conftest import (
    Finished,
    Start,
    make_image,
    make_images,
    results,
    run,
    set_service,
    size_of,
    unix,
    wait,
    wait_for_upscales,
)
from tests.journal.files import limited_files

# Each starts several commands.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("folder")]

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Gate:
    """Holds images back at a service until the test lets them pass."""

    service: Emulator

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()

    def upscale(self, content: bytes, factor: int, output_format: str, quality: int) -> bytes:
        self.reached.release()
        self.opened.wait()
        return upscale_picture(content, factor, output_format, quality)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The gate of an emulator that commands connect to."""
    gate = Gate()
    with Emulator(upscaler=gate.upscale, workers=3) as emulator:
        gate.service = emulator
        set_service(emulator, monkeypatch)
        try:
            yield gate
        finally:
            gate.opened.set()


def start_at_gate(start: Start, gate: Gate, *options: str) -> Finished:
    """Start the command on three images, let the output folder vanish, and return the end."""
    make_images("abc")
    process = start("upscale", "in", *options)
    gate.reached.acquire()
    Path("upscaled").rename("moved")
    gate.opened.set()
    return wait(process)


def named_uuids(text: str) -> list[str]:
    return re.findall(rf"taskUUID ({UUID})", text)


@pytest.mark.parametrize("options", [(), ("-q",), ("--journal", "jobs.db")])
def test_an_output_folder_that_vanishes_stops_the_run_and_names_what_is_paid_for(
    gate: Gate, start: Start, options: tuple[str, ...]
) -> None:
    done = start_at_gate(start, gate, *options)
    assert done.status == 1
    assert "Traceback" not in done.stderr
    assert "it is paid for, taskUUID" in done.stderr
    assert "stopped: a result cannot be saved" in done.stderr
    if "--journal" not in options:
        assert set(gate.service.executions) <= set(named_uuids(done.stderr))
    assert not Path("upscaled").exists()
    assert results("moved") == []
    if "--journal" in options:
        assert run("upscale", "in", *options).status == 0
        assert results() == ["a.jpg", "b.jpg", "c.jpg"]


def test_what_was_named_can_be_fetched_without_paying_again(gate: Gate, start: Start) -> None:
    done = start_at_gate(start, gate)
    uuids = list(gate.service.executions)
    assert uuids
    assert set(uuids) <= set(named_uuids(done.stderr))
    fetched = run("fetch", *uuids, "--out", "found")
    assert fetched.status == 0
    assert results("found") == sorted(f"{uuid}.jpg" for uuid in uuids)
    assert {size_of(f"found/{name}") for name in results("found")} == {(32, 24)}


@unix
def test_a_full_disk_stops_the_run_and_names_what_is_paid_for(
    service: Emulator, start: Start
) -> None:
    """No file can grow beyond the limit, as if the disk was full; small results can be saved."""
    make_images("a")
    make_image("in/b.png", (700, 700))
    with limited_files(20_000):
        done = wait(start("upscale", "in", "--format", "same", "--max-in-flight", "1"))
    assert done.status == 1
    assert "failed: in/b.png: File too large; it is paid for, taskUUID " in done.stderr
    assert "stopped: a result cannot be saved\n" in done.stderr
    assert "runware-ws fetch" in done.stderr
    assert "Traceback" not in done.stderr
    assert results() == ["a.jpg"]
    fetched = run("fetch")
    assert fetched.status == 0
    assert results() == ["a.jpg", "b.png"]
    again = run("upscale", "in", "--format", "same", "--skip-existing")
    assert "nothing to do: 2 already done" in again.stderr
    assert sum(service.executions.values()) == 2


@unix
def test_what_an_interrupted_run_has_sent_is_fetched_under_its_own_name(
    gate: Gate, start: Start
) -> None:
    make_images("abc")
    process = start("upscale", "in")
    wait_for_upscales(gate.service, 3)
    process.send_signal(signal.SIGTERM)
    interrupted = wait(process)
    assert interrupted.status == 143
    left = re.findall(r"interrupted: in/(\w).jpg \(taskUUID", interrupted.stderr)
    assert left
    gate.opened.set()
    fetched = run("fetch", "--out", "upscaled")
    assert fetched.status == 0
    assert sorted(line.split(" (")[0] for line in fetched.stdout.splitlines()) == [
        f"in/{name}.jpg -> upscaled/{name}.jpg" for name in sorted(left)
    ]
    assert run("upscale", "in", "--skip-existing").status == 0
    assert results() == ["a.jpg", "b.jpg", "c.jpg"]
    assert sum(gate.service.executions.values()) == 3
    assert run("fetch").stderr == (
        "error: UUIDS: none given, and the record of --out names no unsaved result\n"
    )


def test_a_fetched_result_overwrites_nothing(gate: Gate, start: Start) -> None:
    make_images("a")
    process = start("upscale", "in")
    gate.reached.acquire()
    process.terminate()
    (uuid,) = named_uuids(wait(process).stderr)
    Path("upscaled/a.jpg").write_text("mine")
    gate.opened.set()
    assert run("fetch").status == 0
    assert Path("upscaled/a.jpg").read_text() == "mine"
    assert results() == sorted(["a.jpg", f"{uuid}.jpg"])


@pytest.mark.usefixtures("service")
def test_a_result_that_the_service_does_not_know_is_named() -> None:
    uuid = str(uuid4())
    done = run("fetch", uuid, "--timeout", "20")
    assert done.status == 1
    assert done.stderr.startswith(f"failed: {uuid}: ")
    assert done.stderr.count("\n") == 1


def test_a_uuid_that_is_none_is_refused(service: Emulator) -> None:
    done = run("fetch", "photo.jpg")
    assert done.status == 2
    assert done.stderr.startswith("error: UUIDS: 'photo.jpg' is not a UUID v4; ")
    assert not service.requests


def test_json_names_the_task_of_a_result_that_is_not_saved(gate: Gate, start: Start) -> None:
    done = start_at_gate(start, gate, "--json")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert objects
    assert {one["task_uuid"] for one in objects} == set(named_uuids(done.stderr))
    assert {one["output"] for one in objects} == {None}
