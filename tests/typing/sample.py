"""Use the package as README.md does. mypy and pyright check this file; it is never run.

An ignored line is a mistake that both must find: an ignore without one is an error too.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

from runware_ws import (
    ClientState,
    DeliveryMethod,
    Event,
    EventKind,
    Failure,
    InsufficientCreditsError,
    KeyFunction,
    LargePlan,
    LargeResult,
    Outcome,
    OutputFormat,
    OutputType,
    RunwareClient,
    RunwareError,
    Stats,
    Success,
    TaskError,
    TaskState,
    UpscaleFactor,
    UpscaleResult,
    UpscaleTask,
)
from runware_ws.emulator import Emulator, Relay
from runware_ws.emulator.faults import Drop, Fail, Fault


async def one_image() -> None:
    async with RunwareClient() as client:
        assert_type(client, RunwareClient)
        result = await client.upscale(Path("photo.jpg"), upscale_factor=4, include_cost=True)
        assert_type(result, UpscaleResult)
        assert_type(result.image_url, str | None)
        assert_type(result.cost, float | None)
        assert_type(await result.save("photo-large"), Path)


async def every_kind_of_image(client: RunwareClient) -> None:
    from_path = await client.upscale(Path("photo.jpg"))
    await client.upscale(Path("photo.jpg").read_bytes())
    await client.upscale("https://example.com/photo.jpg", output_type="URL", ttl=3600)
    if from_path.image_uuid is not None:
        await client.upscale(from_path.image_uuid, upscale_factor=2)
    with Path("photo.jpg").open("rb") as file:
        from_file = await client.upscale(file, output_type="base64Data", output_format="PNG")
    assert_type(from_file.data, bytes)
    assert_type(await from_path.read(), bytes)


async def annotated(
    key: KeyFunction,
    upscale_factor: UpscaleFactor,
    output_type: OutputType,
    output_format: OutputFormat,
    delivery_method: DeliveryMethod,
) -> None:
    async with RunwareClient(key) as client:
        await client.upscale(
            Path("photo.jpg"),
            upscale_factor=upscale_factor,
            output_type=output_type,
            output_format=output_format,
            delivery_method=delivery_method,
        )


async def large_picture(client: RunwareClient) -> LargeResult:
    def show(plan: LargePlan) -> None:
        print(plan.tiles, plan.cost)

    return await client.upscale_large(Path("map.tif"), output="map-large.tif", on_plan=show)


async def many_images(client: RunwareClient, folder: Path) -> None:
    async for outcome in client.upscale_many(folder.glob("*.jpg"), output_type="base64Data"):
        assert_type(outcome, Success[Path] | Failure[Path])
        if outcome.error is not None:
            assert_type(outcome.error, RunwareError)
            print(f"{outcome.source}: {outcome.error}")
        else:
            assert_type(outcome.result, UpscaleResult)
            await outcome.result.save(Path("large") / outcome.source.name)


async def unwrapped(client: RunwareClient, links: AsyncIterator[str]) -> list[UpscaleResult]:
    return [one.unwrap() async for one in client.upscale_many(links, ordered=True)]


async def matched(outcome: Outcome[Path]) -> str:
    match outcome:
        case Success(source=source, result=result):
            return f"{source}: {result.task_uuid}"
        case Failure(source=source, error=error):
            return f"{source}: {error}"


async def submit_cancel_attach(client: RunwareClient) -> None:
    task = await client.submit(Path("photo.jpg"), timeout=60)
    assert_type(task, UpscaleTask)
    assert_type(task.task_uuid, str)
    state: TaskState = task.state
    if state == "queued":
        task.cancel()
    assert_type(await task, UpscaleResult)
    assert_type(await task.result(), UpscaleResult)
    found = await client.attach(task.task_uuid, timeout=None)
    assert_type(await found, UpscaleResult)


async def looked_at(client: RunwareClient) -> None:
    state: ClientState = client.state
    stats: Stats = client.stats()
    assert_type(await client.ping(), float)
    await client.drain(timeout=30)
    if state == "connected" and stats.failed:
        async for event in client.events():
            assert_type(event, Event)
            kind: EventKind = event.kind
            if kind == "lost":
                return


async def handled(client: RunwareClient) -> None:
    try:
        await client.upscale(Path("photo.jpg"), delivery_method="async", task_uuid=None)
    except InsufficientCreditsError:
        return
    except TaskError as error:
        assert_type(error.code, str)
        assert_type(error.retryable, bool)


async def recovered() -> None:
    async with RunwareClient(journal="jobs.sqlite3", on_doubt="fail") as client:
        async for outcome in client.recovered():
            if outcome.result is not None:
                await outcome.result.save(Path("large") / str(outcome.source))


async def with_an_emulator() -> None:
    faults: list[Fault] = [Drop(every=3, how="reset"), Fail(nth=2, code="serviceUnavailable")]
    async with Emulator(faults=faults) as emulator, Relay(emulator.url) as relay:
        async with RunwareClient(emulator.api_key, url=relay.url) as client:
            await client.upscale(Path("photo.jpg"))
            relay.cut(reset=True)
        assert set(emulator.executions.values()) == {1}


async def mistaken(client: RunwareClient, outcome: Outcome[Path]) -> None:
    await client.upscale(4711)  # type: ignore[arg-type]  # no image
    await client.upscale("https://a.b/c", upscale_factor=3)  # type: ignore[arg-type]  # no factor
    await client.upscale("https://a.b/c", output_type="url")  # type: ignore[arg-type]  # no type
    await client.submit("https://a.b/c", scale=2)  # type: ignore[call-arg]  # no option
    await outcome.result.save("large")  # type: ignore[union-attr]  # it may have failed
    outcome.result = None  # type: ignore[misc]  # frozen
