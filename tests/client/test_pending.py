"""Images that were submitted and whose outcomes nobody read, after an iteration was left."""

from __future__ import annotations

import pytest

from runware_ws import RunwareClient
from runware_ws.emulator import Emulator
from tests.emulator.bench import picture

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("ordered", [False, True])
async def test_results_that_arrived_and_were_not_read_are_named(ordered: bool) -> None:
    images = [picture((size, 4)) for size in (4, 5, 6)]
    async with (
        Emulator() as emulator,
        RunwareClient(emulator.api_key, url=emulator.url) as client,
    ):
        outcomes = client.upscale_many(images, ordered=ordered)
        read = await anext(outcomes)
        while client.stats().submitted < len(images):
            await client.ping()
        await client.drain()
        await outcomes.aclose()
        pending = dict(outcomes.pending())
        assert set(pending) == set(images) - {read.source}
        for uuid in pending.values():
            assert (await (await client.attach(uuid))).task_uuid == uuid
