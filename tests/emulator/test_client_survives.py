"""Set the client against each fault of the emulator: each task settles once, with its own result.

The client's patience is cut short, so that what it does after minutes it does here after moments.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import anyio
import pytest
from PIL import Image

from runware_ws import RunwareClient, RunwareError, UpscaleResult
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import (
    Anonymous,
    Delay,
    Drop,
    Duplicate,
    Expire,
    Fail,
    Fault,
    Garble,
    Lose,
    Mix,
    Oversize,
    Refuse,
    Reorder,
    Silence,
    Stray,
)
from tests.emulator.bench import picture
from tests.support.clients import QUICK, client_of

pytestmark = [pytest.mark.anyio, pytest.mark.long]

COUNT = 12
# A client that waits for less, and less long.
IMPATIENT = replace(QUICK, overdue=0.5, answer_timeout=0.3)
SETTINGS = {
    "keepalive": 0.3,
    "ping_timeout": 0.3,
    "auth_timeout": 0.6,
    "connect_timeout": 2,
    "doubt_window": 0.3,
}
PATIENCE = 40


def width_of(result: UpscaleResult) -> int:
    assert result.data is not None
    with Image.open(io.BytesIO(result.data)) as image:
        return image.width


async def outcomes(client: RunwareClient, count: int = COUNT) -> list[Any]:
    """Upscale images of different widths; what came of each."""
    tasks = [
        await client.submit(
            picture((2 + n, 2)), upscale_factor=2, output_type="base64Data", output_format="PNG"
        )
        for n in range(count)
    ]
    found: list[Any] = []
    for task in tasks:
        try:
            found.append(await task.result())
        except RunwareError as error:
            found.append(error)
    return found


def check(emulator: Emulator, client: RunwareClient, found: list[Any]) -> None:
    """Each has its own result, nothing was run twice, and all was counted once."""
    assert [width_of(one) for one in found] == [2 * (2 + n) for n in range(len(found))]
    assert set(emulator.executions.values()) == {1}
    stats = client.stats()
    assert (stats.submitted, stats.succeeded, stats.failed) == (len(found), len(found), 0)
    assert stats.tasks == {}


FAULTS: dict[str, list[Fault]] = {
    "connections refused": [Refuse(nth=1, times=3)],
    "key refused after a success": [Drop(nth=3), Refuse(of="authentication", nth=2, times=2)],
    "results late": [Delay(every=3, seconds=0.3)],
    "replies to the key late": [Delay(of="answer", nth=1, seconds=0.3)],
    "requests late": [Delay(of="request", every=2, seconds=0.3)],
    "requests later than the patience": [Delay(of="request", nth=2, seconds=1.5)],
    "closed before": [Drop(every=4, how="close")],
    "aborted before": [Drop(every=4, how="abort")],
    "reset before": [Drop(every=4, how="reset")],
    "closed after": [Drop(every=4, moment="after", how="close")],
    "aborted after": [Drop(every=4, moment="after", how="abort")],
    "reset after": [Drop(every=4, moment="after", how="reset")],
    "written to a dead socket": [Drop(every=4, written=True)],
    "cut before a request": [Drop(of="request", nth=5)],
    "cut after a request": [Drop(of="request", nth=5, moment="after", how="reset")],
    "cut at once": [Drop(of="connection", times=3)],
    "cut before the key": [Drop(of="authentication", times=3)],
    "cut after the key": [Drop(of="authentication", times=3, moment="after")],
    "cut while being asked": [Drop(every=4, written=True), Drop(of="question", times=2)],
    "results lost": [Lose(every=3)],
    "requests lost": [Lose(of="request", every=3, times=3)],
    "replies to the key lost": [Lose(of="answer", match={"taskType": "authentication"}, nth=1)],
    "pongs lost": [Lose(of="answer", match={"taskType": "ping"}, times=2), Lose(nth=2)],
    "questions lost": [Lose(nth=2), Lose(of="question", times=2)],
    "answers to questions lost": [Lose(nth=2), Lose(of="answer", nth=2, times=2)],
    "results doubled": [Duplicate(copies=2)],
    "results doubled later": [Duplicate(seconds=0.2)],
    "results reordered": [Reorder(size=5, timeout=0.1)],
    "results mixed": [Mix(size=5, timeout=0.1)],
    "errors mixed in": [Fail(every=4, code="serviceUnavailable", times=3), Mix(size=5)],
    "results garbled": [Garble(every=3)],
    "answers garbled": [Lose(nth=2), Garble(of="answer", nth=2, times=2)],
    "reply to the key garbled": [Garble(of="answer", nth=1)],
    "answers nameless": [Lose(of="request", nth=2), Anonymous()],
    "strays": [Stray(every=4)],
    "strays about the queue": [Stray(every=4, code="rateLimitExceeded")],
    "transient failures": [Fail(every=3, code="internalServerError", times=3)],
    "transient refusals": [Fail(of="request", every=3, code="rateLimitExceeded", times=3)],
    "a nameless failure": [Fail(nth=4, code="serviceUnavailable", anonymous=True)],
    "a nameless refusal": [Fail(of="request", nth=4, code="serviceUnavailable", anonymous=True)],
    "waits that end": [Fail(every=3, code="timeout", finished=True)],
    "waits that end, namelessly": [Fail(every=5, code="timeout", finished=True, anonymous=True)],
    "session expired": [Expire(nth=4), Drop(nth=4)],
    "silence": [Silence(nth=4)],
    "silence, results written": [Silence(nth=4, written=True)],
    "silence at once": [Silence(of="connection", nth=1)],
    "silence instead of the reply to the key": [Silence(of="authentication", nth=1)],
    "silence at a request": [Silence(of="request", nth=5)],
    "large results": [Oversize(every=4, frame_bytes=3_000_000)],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_each_task_settles_once_with_its_own_result(faults: list[Fault]) -> None:
    async with (
        Emulator(faults=faults) as emulator,
        client_of(emulator, timing=IMPATIENT, **SETTINGS) as client,
    ):
        with anyio.fail_after(PATIENCE):
            found = await outcomes(client)
        assert emulator.faults_struck
        check(emulator, client, found)
