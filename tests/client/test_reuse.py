"""An input that the service has already travels by reference, with `reuse_inputs=True`."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image

from runware_ws import (
    ContentPolicyError,
    InsufficientCreditsError,
    RunwareClient,
    TaskError,
    UpscaleResult,
    ValidationError,
)
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Delay, Fail, Fault
from runware_ws.emulator.imaging.pictures import upscale
from tests.support.clients import client_of

pytestmark = pytest.mark.anyio
PIXELS = np.random.default_rng(4711).integers(0, 256, (160, 200, 3), np.uint8)
_buffer = io.BytesIO()
Image.fromarray(PIXELS).save(_buffer, "PNG")
PICTURE = _buffer.getvalue()  # about 96 kB: noise cannot be compressed
LARGE = 64 * 1024  # an upload; a request by reference is a hundredth of that


class Pair:
    """An emulator, and an open client of it that reuses inputs unless told otherwise."""

    def __init__(self, emulator: Emulator, client: RunwareClient) -> None:
        self.emulator = emulator
        self.client = client

    async def upscale(self, image: Any = PICTURE, **options: Any) -> tuple[UpscaleResult, int]:
        """The result for an image, and the bytes that were sent for it."""
        before = self.client.stats().bytes_sent
        with anyio.fail_after(20):
            upscaled = await self.client.upscale(image, **{"upscale_factor": 2, **options})
        return upscaled, self.client.stats().bytes_sent - before

    async def forget(self, uuid: str | None) -> None:
        """Have the service forget an image."""
        task = {"taskType": "mediaStorage", "operation": "delete", "media": uuid}
        await self.client.run(task)

    def images(self) -> list[str]:
        """What was sent as the images, the first characters of each."""
        upscales = [one.task for one in self.emulator.requests if "inputs" in one.task]
        return [task["inputs"]["image"][:36] for task in upscales]


@pytest.fixture
def options() -> dict[str, Any]:
    return {}


@pytest.fixture
def faults() -> tuple[Fault, ...]:
    return ()


@pytest.fixture
async def pair(options: dict[str, Any], faults: tuple[Fault, ...]) -> AsyncIterator[Pair]:
    emulator = Emulator(faults=faults)
    async with emulator, client_of(emulator, **{"reuse_inputs": True, **options}) as client:
        yield Pair(emulator, client)


def pixels_of(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def images_of(kind: str, folder: Path) -> list[Any]:
    """The same image twice."""
    if kind == "file":
        return [io.BytesIO(PICTURE), io.BytesIO(PICTURE)]
    if kind == "Path":
        (folder / "a.png").write_bytes(PICTURE)
        (folder / "b.png").write_bytes(PICTURE)
        return [folder / "a.png", folder / "b.png"]
    one = {"bytes": PICTURE, "array": PIXELS, "base64": base64.b64encode(PICTURE).decode()}[kind]
    return [one, one]


@pytest.mark.parametrize("kind", ["bytes", "Path", "file", "array", "base64"])
async def test_an_input_that_is_sent_again_travels_by_reference(
    pair: Pair, kind: str, tmp_path: Path
) -> None:
    first_image, second_image = images_of(kind, tmp_path)
    first, uploaded = await pair.upscale(first_image)
    second, sent = await pair.upscale(second_image, upscale_factor=4, output_quality=90)
    assert uploaded > LARGE
    assert sent < LARGE / 100
    assert pair.images()[1] == first.input_image_uuid == second.input_image_uuid
    made = pixels_of(await second.read())
    assert made.shape == (640, 800, 3)
    assert np.array_equal(made, pixels_of(upscale(PICTURE, 4, "JPG", 90)))


async def test_another_image_does_not(pair: Pair) -> None:
    await pair.upscale(PIXELS)
    assert (await pair.upscale(255 - PIXELS))[1] > LARGE


@pytest.mark.parametrize("options", [{"reuse_inputs": False}])
async def test_it_is_off_if_it_is_not_asked_for(pair: Pair) -> None:
    await pair.upscale()
    assert (await pair.upscale())[1] > LARGE
    assert not RunwareClient("key")._settings.reuse_inputs


async def test_it_is_off_with_a_journal_or_an_idempotency_key(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        journal = tmp_path / "jobs.db"
        async with client_of(emulator, reuse_inputs=True, journal=journal) as client:
            pair = Pair(emulator, client)
            await pair.upscale()
            assert (await pair.upscale())[1] > LARGE
        async with client_of(emulator, reuse_inputs=True) as client:
            pair = Pair(emulator, client)
            await pair.upscale()
            assert (await pair.upscale(idempotency_key="job"))[1] > LARGE


@pytest.mark.parametrize("options", [{"max_retries": 0}])
async def test_an_input_that_the_service_has_forgotten_is_sent_whole(pair: Pair) -> None:
    first, _ = await pair.upscale()
    await pair.forget(first.input_image_uuid)
    second, sent = await pair.upscale()
    assert sent > LARGE
    assert (second.attempts, len(second.attempt_uuids)) == (1, 2)
    stats = pair.client.stats()
    assert (stats.retried, stats.failed) == (0, 0)
    assert max(pair.emulator.executions.values()) == 1
    assert second.input_image_uuid != first.input_image_uuid
    assert await second.read() == await first.read()
    _, sent = await pair.upscale()
    assert sent < LARGE / 100
    assert pair.images()[3] == second.input_image_uuid


async def test_many_tasks_at_once_get_over_a_forgotten_input(pair: Pair) -> None:
    first, _ = await pair.upscale()
    await pair.forget(first.input_image_uuid)
    tasks = [await pair.client.submit(PICTURE, upscale_factor=2) for _ in range(5)]
    with anyio.fail_after(20):
        assert {(await task).attempts for task in tasks} == {1}
    assert pair.client.stats().failed == 0
    submitter: Any = pair.client._submitter
    table = submitter.session._table
    left = table.bulk_tasks, table.bulk_in_flight, table.limit.in_flight, submitter.admission.bytes
    assert left == (0, 0, 0, 0)


FORGOTTEN: dict[str, Any] = {"of": "request", "nth": 2}


@pytest.mark.parametrize(
    "faults",
    [
        (Fail(**FORGOTTEN, code="invalidInput", parameter="inputs.image"),),
        (Fail(**FORGOTTEN, code="downloadFailed"),),
        (Fail(**FORGOTTEN, code="mediaExpired", anonymous=True),),
        (Fail(of="result", nth=2, code="invalidImage"),),
        (Fail(**FORGOTTEN, code="somethingNew"),),
    ],
)
async def test_an_error_that_may_be_about_the_input_has_it_sent_whole(pair: Pair) -> None:
    await pair.upscale()
    upscaled, sent = await pair.upscale()
    assert sent > LARGE
    assert upscaled.attempts == 1


@pytest.mark.parametrize(
    "faults",
    [
        (
            Fail(of="request", nth=2, code="internalServerError"),
            Fail(of="request", nth=2, code="mediaNotFound"),
        )
    ],
)
async def test_a_retry_may_find_the_input_forgotten(pair: Pair) -> None:
    await pair.upscale()
    upscaled, sent = await pair.upscale()
    assert sent > LARGE
    assert (upscaled.attempts, len(upscaled.attempt_uuids)) == (2, 3)
    uuid = upscaled.raw["taskUUID"]
    assert uuid == upscaled.attempt_uuids[-1] != upscaled.task_uuid


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        ((Fail(**FORGOTTEN, code="imageBlocked"),), ContentPolicyError),
        ((Fail(**FORGOTTEN, code="insufficientCredits"),), InsufficientCreditsError),
        ((Fail(**FORGOTTEN, code="invalidValue", parameter="upscaleFactor"),), ValidationError),
    ],
)
async def test_another_error_fails_the_task_and_the_next_one_is_sent_whole(
    pair: Pair, kind: type[TaskError]
) -> None:
    await pair.upscale()
    with pytest.raises(kind):
        await pair.upscale()
    assert (await pair.upscale())[1] > LARGE


@pytest.mark.parametrize(
    "faults",
    [(Fail(**FORGOTTEN, code="mediaNotFound"), Delay(match={"upscaleFactor": 4}, seconds=60))],
)
async def test_a_reference_is_dropped_as_soon_as_it_is_known_to_be_forgotten(pair: Pair) -> None:
    await pair.upscale()
    task = await pair.client.submit(PICTURE, upscale_factor=4)
    with anyio.fail_after(20):
        while len(pair.images()) < 2:  # noqa: ASYNC110  # it has no event for this
            await anyio.sleep(0.01)
    upscaled, sent = await pair.upscale()
    task.cancel()
    assert sent > LARGE
    assert len(upscaled.attempt_uuids) == 1


async def test_an_image_that_is_no_image_fails_once(pair: Pair) -> None:
    with pytest.raises(TaskError, match="invalidImage"):
        await pair.upscale(b"not an image" * 10)
    assert len(pair.images()) == 1


async def test_only_the_last_inputs_are_remembered(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runware_ws.runtime.references._MAX_REFERENCES", 2)
    for shade in (0, 1, 2):
        await pair.upscale(PIXELS // 2 + np.uint8(shade))
    sent = [(await pair.upscale(PIXELS // 2 + np.uint8(shade)))[1] for shade in (2, 1, 0)]
    assert [one > LARGE / 2 for one in sent] == [False, False, True]
