"""The types of the blocking twin, for mypy alone: this file is never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from runware_ws import Event, Stats
from runware_ws.sync import Failure, Outcomes, RunwareClient, Success, UpscaleResult, UpscaleTask


def takes_what_the_asynchronous_one_takes() -> None:
    with RunwareClient("key", max_in_flight=4, journal=Path("jobs.db")) as client:
        assert_type(client, RunwareClient)
        client.upscale(b"", upscale_factor=2, output_format="PNG", timeout=None)
    RunwareClient(max_in_flight="4")  # type: ignore[arg-type]  # as it should
    client.upscale(b"", upscale_factor=3)  # type: ignore[arg-type]  # as it should
    client.upscale(5)  # type: ignore[arg-type]  # as it should
    client.upscale_many([5])  # type: ignore[type-var]  # as it should


def gives_results(client: RunwareClient) -> None:
    result = client.upscale(Path("photo.jpg"))
    assert_type(result, UpscaleResult)
    assert_type(result.read(), bytes)
    assert_type(result.save("photo"), Path)
    assert_type(result.cost, float | None)
    task = client.submit(b"")
    assert_type(task, UpscaleTask)
    assert_type(task.result(), UpscaleResult)
    assert_type(client.attach(task.task_uuid), UpscaleTask)
    assert_type(client.ping(), float)
    assert_type(client.drain(timeout=1), bool)
    assert_type(client.stats(), Stats)
    for event in client.events():
        assert_type(event, Event)


def iterates_over_outcomes(client: RunwareClient, paths: list[Path]) -> None:
    outcomes = client.upscale_many(paths, tag=lambda path: path.name)
    assert_type(outcomes, Outcomes[Path])
    assert_type(outcomes.pending(), list[tuple[Path, str]])
    for outcome in outcomes:
        assert_type(outcome, Success[Path] | Failure[Path])
        if outcome.error is None:
            assert_type(outcome.result.save(outcome.source), Path)
        assert_type(outcome.unwrap(), UpscaleResult)
    for left in client.recovered():
        assert_type(left.source, Path | str | None)
