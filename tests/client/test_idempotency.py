"""Jobs with a key: the same task in every process, run once."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from runware_ws import InputError, RunwareClient, Success, TaskCancelledError
from runware_ws.emulator import Emulator
from runware_ws.emulator.faults import Fail
from tests.emulator.bench import picture
from tests.support.clients import client_of, outcome_of

pytestmark = pytest.mark.anyio


async def urls_of(emulator: Emulator, count: int, **options: Any) -> list[str | None]:
    """Have so many clients upscale the same image at the same time."""
    urls: list[str | None] = []

    async def upscale() -> None:
        async with client_of(emulator) as client:
            urls.append((await client.upscale(picture((4, 4)), **options)).image_url)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(upscale)
    return urls


async def test_a_finished_job_is_not_run_again_by_another_client() -> None:
    async with Emulator() as emulator:
        first = await urls_of(emulator, 1, idempotency_key="photo 1")
        again = await urls_of(emulator, 1, idempotency_key="photo 1")
        assert first == again
        assert emulator.executions.total() == 1
        assert UUID(next(iter(emulator.executions))).version == 4


async def test_a_job_that_is_under_way_is_waited_for() -> None:
    async with Emulator(latency=0.3) as emulator:
        urls = await urls_of(emulator, 8, idempotency_key="photo 1")
        assert len(set(urls)) == 1
        assert emulator.executions.total() == 1


async def test_another_key_other_options_and_another_account_are_other_jobs() -> None:
    async with Emulator() as emulator:
        for options in (
            {"idempotency_key": "a"},
            {"idempotency_key": "b"},
            {"idempotency_key": "a", "upscale_factor": 2},
            {},
            {},
        ):
            await urls_of(emulator, 1, **options)
        assert len(emulator.executions) == emulator.executions.total() == 5
    async with Emulator(api_key="another") as other:
        await urls_of(other, 1, idempotency_key="a")
        assert not other.executions.keys() & emulator.executions.keys()


async def test_the_key_can_follow_from_the_content(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(picture((4, 4)))
    async with Emulator() as emulator, client_of(emulator) as client:
        first = await client.upscale(photo, idempotency_key="content")
        again = await client.upscale(photo.read_bytes(), idempotency_key="content")
        assert first.image_url == again.image_url
        await client.upscale(picture((4, 5)), idempotency_key="content")
        assert emulator.executions.total() == 2


async def test_a_job_that_failed_goes_on_under_the_next_uuid_on_which_all_agree() -> None:
    faults = [Fail(nth=1, code="internalServerError") for _ in range(2)]
    async with Emulator(faults=faults) as emulator:
        async with client_of(emulator, max_retries=0) as client:
            task = await client.submit(picture((4, 4)), idempotency_key="photo 1")
            assert not isinstance(await outcome_of(task), Success)
        async with client_of(emulator) as client:
            task = await client.submit(picture((4, 4)), idempotency_key="photo 1")
            result = await task
            assert len(task.attempt_uuids) == 3
        async with client_of(emulator) as client:
            again = await client.upscale(picture((4, 4)), idempotency_key="photo 1")
        assert again.image_url == result.image_url
        assert again.attempt_uuids == result.attempt_uuids


async def test_the_same_job_within_a_client_is_one_task() -> None:
    async with Emulator(latency=0.2) as emulator, client_of(emulator) as client:
        outcomes = [
            outcome
            async for outcome in client.upscale_many(
                [picture((4, 4))] * 5, idempotency=lambda _: "photo 1"
            )
        ]
        assert all(isinstance(outcome, Success) for outcome in outcomes)
        assert len(outcomes) == 5
        assert emulator.executions.total() == 1


async def test_a_caller_who_gives_a_shared_job_up_harms_nobody_else() -> None:
    async with Emulator(latency=0.3) as emulator, client_of(emulator) as client:
        first, second = [
            await client.submit(picture((4, 4)), idempotency_key="photo 1") for _ in range(2)
        ]
        with anyio.move_on_after(0.01):
            await client.upscale(picture((4, 4)), idempotency_key="photo 1")
        first.cancel()
        first.cancel()
        assert (await second).image_url
        assert emulator.executions.total() == 1


async def test_a_shared_job_that_all_give_up_is_given_up() -> None:
    async with Emulator(latency=5) as emulator, client_of(emulator) as client:
        tasks = [await client.submit(picture((4, 4)), idempotency_key="photo 1") for _ in range(2)]
        for task in tasks:
            task.cancel()
        assert isinstance(await outcome_of(tasks[0]), TaskCancelledError)
        assert await client.drain(5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"idempotency_key": 5}, "of type int"),
        ({"idempotency_key": ""}, "is empty"),
        ({"idempotency_key": "content"}, "pass a key of your own"),
        (
            {"idempotency_key": "a", "task_uuid": "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"},
            "pass one",
        ),
    ],
)
async def test_a_wrong_key_is_refused_before_anything_is_sent(
    options: dict[str, Any], match: str
) -> None:
    async with Emulator() as emulator, RunwareClient(emulator.api_key, url=emulator.url) as client:
        with pytest.raises(InputError, match=f"idempotency_key: .*{match}"):
            await client.upscale("https://example.com/photo.jpg", **options)
        assert not emulator.executions
