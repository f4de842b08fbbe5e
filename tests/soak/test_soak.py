"""Upscale many images through real sockets, with faults of all kinds: each is upscaled once.

`SOAK=20000x500 pytest -m soak` has 20,000 tasks and at least 500 faults instead of a few;
`SOAK_SEED=…` repeats the faults of an earlier run, as far as the machine lets it.
"""

from __future__ import annotations

import io
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterable, Iterator
from typing import Any

import anyio
import pytest
from PIL import Image

from runware_ws import Outcome, RunwareClient
from runware_ws.emulator import Emulator, Relay
from runware_ws.emulator.service.core import Service
from runware_ws.protocol.timing import Timing
from tests.emulator.bench import picture
from tests.soak.plan import Plan, plan_of
from tests.soak.weather import Weather
from tests.support.clients import hasty

TASKS, FAULTS = map(int, os.environ.get("SOAK", "400x40").split("x"))
SEED = int(os.environ.get("SOAK_SEED", secrets.randbelow(2**32)))
# A kind that is planned so often is sure to find events to strike at.
_MANY = 10
PATIENCE = 60 + TASKS / 20 + 2 * FAULTS


# A client that does after moments what it does after minutes.
IMPATIENT = Timing(
    overdue=2.0,
    answer_timeout=0.5,
    living_window=1.5,
    known_limit=30.0,
    retry=(0.01, 0.1),
    reconnect=(0.05, 0.5),
    breaker=(0.05, 0.2),
)


def client_of(emulator: Emulator, relay: Relay) -> RunwareClient:
    client = RunwareClient(
        emulator.api_key,
        url=relay.url,
        max_in_flight=100,
        max_tasks_per_frame=20,
        max_retries=20,
        timeout=None,
        keepalive=0.3,
        ping_timeout=0.3,
        auth_timeout=1,
        connect_timeout=1,
        doubt_window=0.5,
    )
    return hasty(client, IMPATIENT)


def images(first: int) -> Iterator[bytes]:
    """Every second image; each is of another colour, so that results are told apart."""
    for number in range(first, TASKS, 2):
        yield picture((2, 2), colour=(number % 256, number // 256, 77))


def number_of(content: bytes | None) -> int:
    """Return which image this is, or was made from."""
    assert content is not None
    with Image.open(io.BytesIO(content)) as image:
        colour: Any = image.convert("RGB").getpixel((0, 0))
    return int(colour[0]) + 256 * int(colour[1])


class Soak:
    """A run: what has come back so far, and the weather that depends on it."""

    def __init__(self, plan: Plan, weather: Weather) -> None:
        self.uuids: dict[int, str] = {}
        self._to_strike = list(plan.strikes)
        self._weather = weather

    async def run(self, client: RunwareClient) -> None:
        """Upscale all images, one half of them pushed and the other half polled."""
        pushed = client.upscale_many(
            images(0), max_in_flight=50, output_type="base64Data", output_format="PNG"
        )
        polled = client.upscale_many(
            images(1),
            max_in_flight=50,
            output_type="dataURI",
            output_format="PNG",
            delivery_method="async",
        )
        async with anyio.create_task_group() as striking, anyio.create_task_group() as group:
            group.start_soon(self._take, pushed, striking)
            group.start_soon(self._take, polled, striking)

    async def _take(self, outcomes: AsyncIterable[Outcome[bytes]], striking: Any) -> None:
        async for outcome in outcomes:
            assert outcome.result is not None, outcome.error
            number = number_of(outcome.result.data)
            assert number == number_of(outcome.source), "the result is another task's"
            assert number not in self.uuids, "it came twice"
            self.uuids[number] = outcome.result.raw["taskUUID"]
            while self._to_strike and self._to_strike[0].at <= len(self.uuids):
                striking.start_soon(self._weather.change, self._to_strike.pop(0).weather)


def states(service: Service) -> dict[str, str]:
    """Return what became of each task that was run, by the service's own books."""
    jobs = {uuid: service.find(uuid) for uuid in service.history.executions}
    return {uuid: job.state for uuid, job in jobs.items() if job is not None}


@pytest.mark.soak
@pytest.mark.anyio
@pytest.mark.timeout(PATIENCE + 60)
async def test_whatever_goes_wrong_each_image_is_upscaled_once() -> None:
    print(f"seed: {SEED}")  # noqa: T201  # shown when it fails
    dice = random.Random(SEED)
    plan = plan_of(dice, TASKS, FAULTS)
    began = time.monotonic()
    async with (
        Emulator(faults=plan.faults, latency=0.01, seed=SEED) as emulator,
        Relay(emulator.url, seed=SEED) as relay,
        client_of(emulator, relay) as client,
    ):
        weather = Weather(relay, client, dice)
        soak = Soak(plan, weather)
        with anyio.fail_after(PATIENCE):
            await soak.run(client)
        stats = client.stats()
    struck = emulator.faults_struck + weather.struck
    runs = emulator.executions
    succeeded = [uuid for uuid, state in emulator.inspect(states).items() if state != "error"]
    seconds = time.monotonic() - began
    print(  # noqa: T201  # for `pytest -s`
        f"{TASKS} tasks, {plan.struck(struck)} faults, {seconds:.0f} s; {len(soak.uuids)} results,"
        f" {len(succeeded)} runs that succeeded, {len(runs) - len(succeeded)} that the service"
        f" declared failed; {stats}; faults by kind: {dict(sorted(struck.items()))}"
    )
    assert set(soak.uuids) == set(range(TASKS))
    assert set(runs.values()) == {1}, "no UUID is run twice"
    assert sorted(succeeded) == sorted(soak.uuids.values()), "no image is run twice"
    assert (stats.submitted, stats.succeeded, stats.failed, stats.tasks) == (TASKS, TASKS, 0, {})
    assert plan.struck(struck) >= FAULTS
    assert all(struck[kind] for kind, planned in plan.kinds.items() if planned >= _MANY)


def test_the_images_can_be_told_apart() -> None:
    assert Counter(number_of(one) for first in (0, 1) for one in images(first)) == Counter(
        range(TASKS)
    )
