"""Show that the package is a quiet guest: it logs nothing unasked, and no `repr` holds an image."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from runware_ws import RunwareClient
from runware_ws.inputs import source_of
from tests.support.answers import Item, error, result
from tests.support.clients import outcome_of, served
from tests.support.scripted import replying

LARGE = bytes(2_000_000)
LOSES_ITS_CONNECTION = """
import asyncio
from runware_ws import RunwareClient
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Drop

async def main():
    async with Emulator(faults=[Drop(of="request", nth=1)]) as emulator:
        async with RunwareClient(emulator.api_key, url=emulator.url, doubt_window=0.1) as client:
            await client.upscale("0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b", timeout=1)

try:
    asyncio.run(main())
except Exception as error:
    print(type(error).__name__)
"""


def test_a_program_that_has_not_configured_logging_sees_nothing_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOSES_ITS_CONNECTION], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_that_has_configured_logging_sees_it() -> None:
    configured = "import logging; logging.basicConfig()" + LOSES_ITS_CONNECTION
    done = subprocess.run(
        [sys.executable, "-c", configured], capture_output=True, text=True, check=False
    )
    assert "WARNING:runware_ws:" in done.stderr


async def everything_about(client: RunwareClient, image: Any) -> list[object]:
    """Upscale an image in each way; return all that a caller sees of it, or might log."""
    task = await client.submit(image, output_type="base64Data")
    upscaled = await outcome_of(task)
    outcomes = client.upscale_many([image, image], output_type="base64Data")
    first = await anext(outcomes)
    return [client, task, upscaled, outcomes, first, first.result or first.error]


@pytest.mark.anyio
@pytest.mark.parametrize("code", [None, "invalidImage"])
async def test_no_repr_of_what_holds_a_large_image_is_long(code: str | None) -> None:
    def answer(task: Item) -> Item:
        if code is not None:
            return {"errors": [error(code, task)]}
        image = task["inputs"]["image"].rpartition(",")[2]
        return {"data": [result(task, imageURL=None, imageBase64Data=image)]}

    async with served(replying(answer)) as (_, client):
        shown = await everything_about(client, LARGE)
        shown += [source_of(LARGE), source_of("QUJD" * 5_000_000)]
        assert {repr(one)[:500] for one in shown} == {repr(one) for one in shown}
