"""Test that reprs are short, whatever they hold, and show state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runware_ws import (
    Failure,
    InputError,
    ProtocolError,
    RunwareError,
    Success,
    TaskError,
    UpscaleResult,
    ValidationError,
    sync,
)
from runware_ws.doctor.context import Authentication, Reply
from runware_ws.doctor.raw import RawFrame
from runware_ws.emulator.service.answers import Answer
from runware_ws.emulator.service.effects import Push, Respond, Webhook
from runware_ws.emulator.service.validation import parse_task
from runware_ws.journal.changes import KeepResult
from runware_ws.journal.loading import Request
from runware_ws.journal.origin import Origin
from runware_ws.protocol.effects import Frame, Settle
from runware_ws.protocol.tasks import Task
from runware_ws.reporting.entries import ReportEntry
from tests.support.clients import IMAGE, client_of, served, submitted
from tests.support.scripted import ScriptedServer, silent

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
BYTES = bytes(1_000_000)
TEXT = "QUJD" * 250_000
RAW: dict[str, Any] = {"taskUUID": UUID4, "imageBase64Data": TEXT}
NOTHING: Any = None
UPSCALE = {
    "taskType": "upscale",
    "taskUUID": UUID4,
    "model": "runware:504@1",
    "inputs": {"image": TEXT},
    "upscaleFactor": 2,
}

HOLDERS: dict[str, object] = {
    "a result": UpscaleResult(UUID4, RAW),
    "a success": Success(BYTES, UpscaleResult(UUID4, RAW)),
    "a failure": Failure(TEXT, ValidationError("code", "message", UUID4, RAW)),
    "an error of a task": TaskError("code", "message", UUID4, RAW),
    "an entry of a report": ReportEntry(name="a.jpg", before=BYTES, after=BYTES),
    "an effect": Settle(Task(UUID4, TEXT.encode()), RAW),
    "a frame": Frame(BYTES),
    "a change of the journal": KeepResult(1, RAW),
    "the origin of a task": Origin(1, BYTES, None),
    "a request in the journal": Request(UUID4, BYTES),
    "a reply to a probe": Reply(RAW, None, 0.0, 0),
    "a frame to a probe": RawFrame([RAW], [], 0, 0.0),
    "an authentication of a probe": Authentication(UUID4, [RAW]),
    "an answer of the emulator": Answer([RAW]),
    "a push of the emulator": Push(NOTHING, BYTES),
    "a response of the emulator": Respond(NOTHING, 200, BYTES),
    "a webhook of the emulator": Webhook("http://a.invalid", UUID4, BYTES),
    "a task at the emulator": parse_task(UPSCALE),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_the_repr_of_what_holds_an_image_is_short(name: str) -> None:
    assert len(repr(HOLDERS[name])) < 500


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            InputError("ttl", "is 1", "pass 60"),
            "InputError(parameter='ttl', problem='is 1', remedy='pass 60')",
        ),
        (
            TaskError("code", "text", UUID4, RAW, 2),
            f"TaskError(code='code', message='text', task_uuid={UUID4!r}, attempts=2)",
        ),
        (ProtocolError("a text"), "ProtocolError('a text')"),
        (RunwareError(), "RunwareError()"),
    ],
)
def test_the_repr_of_an_error_shows_its_data_without_what_was_received(
    error: RunwareError, expected: str
) -> None:
    assert repr(error) == expected


@pytest.mark.anyio
async def test_outcomes_events_and_what_is_recovered_show_their_state(tmp_path: Path) -> None:
    async with served() as (_, client):
        outcomes, events = client.upscale_many([IMAGE] * 3, max_in_flight=2), client.events()
        assert repr(outcomes) == "<Outcomes open, 0 in flight, 0 ready>"
        assert repr(events) == "<Events open, 0 waiting>"
        assert len([one async for one in outcomes]) == 3
        assert repr(outcomes) == "<Outcomes closed, 0 in flight, 0 ready>"
        await client.aclose()
        assert [one.kind async for one in events] == ["closed"]
        assert repr(events) == "<Events ended, 0 waiting>"
    with ScriptedServer(silent) as server:
        async with client_of(server, journal=tmp_path / "journal") as client:
            await submitted(client, 2)
        async with client_of(server, journal=tmp_path / "journal") as client:
            assert repr(client.recovered()) == "<Recovered 2 in flight, 0 ready, 0 waiting>"


def test_the_blocking_twins_show_the_same_state() -> None:
    with (
        ScriptedServer() as server,
        sync.RunwareClient("a key", url=server.url) as client,
    ):
        outcomes = client.upscale_many([IMAGE])
        assert repr(outcomes) == "<Outcomes open, 0 in flight, 0 ready>"
        assert repr(next(outcomes)).startswith(f"<Success {IMAGE!r}: <UpscaleResult ")
        assert repr(client.events()) == "<Events open, 0 waiting>"
        assert repr(client.recovered()) == "<Recovered 0 in flight, 0 ready, 0 waiting>"
        task = client.submit(IMAGE)
        task.result()
        assert repr(task) == f"<UpscaleTask {task.task_uuid} settled>"
