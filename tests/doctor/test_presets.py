"""Against each preset of the emulator's rules: the profile says what the preset is, and the client
with that profile keeps its promise with fewer questions than without.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from runware_ws import ResultLostError, RunwareClient, UpscaleResult
from runware_ws.doctor.context import ProbeContext
from runware_ws.doctor.findings import Findings
from runware_ws.doctor.free import inputs
from runware_ws.doctor.profile import Profile, write
from runware_ws.doctor.table import FREE, LIMIT, PAID, Row
from runware_ws.emulator import PRESETS, Emulator
from runware_ws.emulator.faults import Drop
from tests.doctor.services import EXPECTED, LATENCY, context_of, emulator_of, examine
from tests.emulator.bench import picture
from tests.support.clients import hasty, outcome_of

# They depend on the machine.
MEASURES = ("shortest_run", "result_bytes", "lateness")
# All but the one that moves 85 MiB, for which `test_probes` has a test of its own.
PROBES = [probe for probe in (*FREE, *PAID) if probe.run is not inputs]
# The worst rules, but tasks are found soon.
WORST_BUT_QUICK = replace(PRESETS["worst"], visible_after=0.1)
# Where a rule leaves nothing to find out.
UNKNOWN = {
    "documented": set[str](),
    "sdk-1.8": set[str](),
    "aflow": {"details after a refusal"},
    "worst": {"details after a refusal"},
}


def without_measures(findings: Findings) -> dict[str, Any]:
    return {name: value for name, value in findings.known().items() if name not in MEASURES}


def check_examination(
    preset: str, emulator: Emulator, context: ProbeContext, rows: dict[str, Row]
) -> None:
    found = context.findings
    assert without_measures(found) == without_measures(EXPECTED[preset])
    assert (found.lateness or 0) >= (EXPECTED[preset].lateness or 0)
    assert (found.shortest_run or 0) >= LATENCY
    states = {name: row.state for name, row in rows.items()}
    assert list(states) == [probe.name for probe in PROBES]
    assert {name for name, state in states.items() if state != "ok"} == UNKNOWN[preset]
    assert {states[name] for name in UNKNOWN[preset]} <= {"unknown"}
    assert context.allowance.spent == pytest.approx(emulator.billed)
    assert context.allowance.spent == pytest.approx(sum(row.cost or 0 for row in rows.values()))
    assert context.allowance.spent <= LIMIT


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_profile_says_what_the_preset_is() -> None:
    """All presets side by side, since most of the time is spent waiting."""

    async def examine_one(preset: str) -> None:
        async with emulator_of(preset, latency=LATENCY) as emulator:
            context = context_of(emulator.url, emulator.api_key)
            rows = await examine(context, PROBES)
            check_examination(preset, emulator, context, rows)

    async def examine_all() -> None:
        async with anyio.create_task_group() as group:
            for preset in PRESETS:
                group.start_soon(examine_one, preset)

    anyio.run(examine_all)


@pytest.fixture
def profile(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The profile of the preset that the test is about."""
    findings = replace(EXPECTED[request.getfixturevalue("preset")], shortest_run=LATENCY)
    path = tmp_path / "profile.json"
    write(Profile("127.0.0.1", "0").updated(findings, datetime.now(UTC)), path)
    return path


@pytest.fixture
def worst_but_quick(tmp_path: Path) -> Path:
    """The profile of `WORST_BUT_QUICK`."""
    findings = replace(EXPECTED["worst"], lateness=0.1, shortest_run=0.05)
    path = tmp_path / "profile.json"
    write(Profile("127.0.0.1", "0").updated(findings, datetime.now(UTC)), path)
    return path


async def questions_after_a_cut(
    preset: str, moment: Any, latency: float = LATENCY, **settings: Any
) -> int:
    """Upscale an image whose connection is cut; return how often the service was asked for it.

    The cut comes ``after`` the task has arrived, or ``before``. Of a task that has arrived, the
    questions count for most of the time that it takes; how many come at its end is a matter of
    chance.
    """
    cut = Drop(of="request", nth=1, moment=moment, how="reset")
    async with emulator_of(preset, latency=latency, faults=[cut]) as emulator:
        async with RunwareClient(emulator.api_key, url=emulator.url, **settings) as client:
            with anyio.fail_after(30):
                assert (await client.upscale(picture())).image_uuid
        assert list(emulator.executions.values()) == [1]
        times: dict[str, list[float]] = {
            kind: [] for kind in ("upscale", "getResponse", "getTaskDetails")
        }
        for one in emulator.requests:
            times.setdefault(one.task["taskType"], []).append(one.at)
    end = times["upscale"][0] + 0.75 * latency
    return sum(at < end for at in (*times["getResponse"], *times["getTaskDetails"]))


@pytest.mark.anyio
@pytest.mark.long
@pytest.mark.parametrize("preset", PRESETS)
async def test_a_task_that_was_cut_off_is_delivered_once_with_fewer_questions(
    preset: str, profile: Path
) -> None:
    asked: dict[str, int] = {}

    async def count(name: str, **settings: Any) -> None:
        asked[name] = await questions_after_a_cut(preset, "after", **settings)

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: count("with", profile=profile))
        group.start_soon(lambda: count("without", profile=None))
    assert asked["with"] < asked["without"]


@pytest.mark.anyio
@pytest.mark.parametrize("preset", ["documented"])
async def test_where_a_known_uuid_is_refused_one_round_of_questions_is_enough(
    preset: str, profile: Path
) -> None:
    assert await questions_after_a_cut(preset, "before", 0.2, profile=profile) == 2


@pytest.mark.anyio
async def test_where_nothing_is_found_again_tasks_are_delivered_async(
    worst_but_quick: Path,
) -> None:
    """The result of a synchronous task that is lost with its connection cannot be had again."""
    async with Emulator(rules=WORST_BUT_QUICK, upscaler=lambda *_: picture()) as emulator:
        client = RunwareClient(emulator.api_key, url=emulator.url, profile=worst_but_quick)
        async with client:
            await client.upscale(picture())
            await client.upscale(picture(), delivery_method="sync")
        tasks = [one.task for one in emulator.requests if one.task["taskType"] == "upscale"]
        assert [task["deliveryMethod"] for task in tasks] == ["async", "sync"]


@pytest.mark.anyio
@pytest.mark.parametrize("on_doubt", ["resend", "fail"])
async def test_under_the_worst_rules_a_task_that_never_arrived_is_sent_again_after_the_window(
    on_doubt: Literal["resend", "fail"], worst_but_quick: Path
) -> None:
    """Or it is lost, and the error says so. The profile's window of 120 s is cut short."""
    rules, cut = WORST_BUT_QUICK, Drop(of="request", nth=1, moment="before", how="reset")
    async with Emulator(rules=rules, upscaler=lambda *_: picture(), faults=[cut]) as emulator:
        client = RunwareClient(
            emulator.api_key,
            url=emulator.url,
            profile=worst_but_quick,
            doubt_window=0.4,
            on_doubt=on_doubt,
        )
        timing = replace(
            client._settings.timing, poll=(0.01, 0.1), living_window=0.1, reconnect=(0.01, 0.1)
        )
        async with hasty(client, timing):
            with anyio.fail_after(20):
                outcome = await outcome_of(await client.submit(picture()))
            resent = client.stats().resent
        runs = list(emulator.executions.values())
    if on_doubt == "resend":
        assert isinstance(outcome, UpscaleResult), outcome
        assert (runs, resent) == ([1], 1)
    else:
        assert isinstance(outcome, ResultLostError), outcome
        assert (runs, resent) == ([], 0)
