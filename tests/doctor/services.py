"""The presets of the emulator's rules, and what the doctor should find out about each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runware_ws.doctor.context import Allowance, ProbeContext, Times
from runware_ws.doctor.findings import Findings
from runware_ws.doctor.table import FREE, LIMIT, PAID, Probe, Row, run_probes
from runware_ws.emulator import PRESETS, Emulator
from runware_ws.protocol.secret import Secret
from runware_ws.transport import Target
from tests.emulator.bench import picture

__all__ = ["EXPECTED", "LATENCY", "context_of", "emulator_of", "examine", "probes"]

LATENCY = 1.2
"""Seconds that a task takes: long enough to be asked for while it is running, and longer than the
conflicts of any preset are late."""

QUICK = Times(answer=10.0, quiet=0.1, search=3.3, outage=3.0, replay=2.5, second=2.2, minute=0.5)

_TOLERANT: dict[str, Any] = {
    "old_session": "resumed",
    "unknown_details": "not found",
    "tasks_per_frame": 100,
    "tasks_refused": 0,
    "async_response": "result",
    "pushed": True,
}
_REFUSED: dict[str, Any] = {
    "repeat_at_once": "refused",
    "repeat_after_second": "refused",
    "repeat_after_minute": "refused",
    "details_after_refusal": "result",
}
_RUN_AGAIN: dict[str, Any] = {
    "repeat_at_once": "run again",
    "repeat_after_second": "run again",
    "repeat_after_minute": "run again",
}
_FOUND: dict[str, Any] = {
    "found_response": "result",
    "found_details": "result",
    "lateness": 0.0,
}
_SEEN: dict[str, Any] = {
    "running_response": "processing",
    "running_details": "processing",
    "running_async": "processing",
}

EXPECTED: dict[str, Findings] = {
    "documented": Findings(
        **_TOLERANT,
        **_REFUSED,
        **_FOUND,
        **_SEEN,
        random_session="new",
        unknown_response="not found",
        errors_name_task=True,
        dry_run=True,
        task_type="imageUpscale",
        twice_at_once="refused",
        twice_after_50_ms="refused",
        twice_after_second="refused",
        replay="after",
    ),
    "sdk-1.8": Findings(
        **_TOLERANT,
        **_REFUSED,
        **_FOUND,
        **_SEEN,
        random_session="new",
        unknown_response="not found",
        errors_name_task=True,
        dry_run=True,
        task_type="upscale",
        twice_at_once="accepted",
        twice_after_50_ms="accepted",
        twice_after_second="refused",
        replay="none",
    ),
    "aflow": Findings(
        **_TOLERANT,
        **_RUN_AGAIN,
        **_FOUND,
        random_session="new",
        unknown_response="empty",
        errors_name_task=True,
        dry_run=True,
        task_type="imageUpscale",
        running_response="empty",
        running_details="null",
        running_async="empty",
        twice_at_once="refused",
        twice_after_50_ms="refused",
        twice_after_second="accepted",
        replay="after",
    ),
    "worst": Findings(
        **_TOLERANT,
        **_RUN_AGAIN,
        random_session="closed",
        unknown_response="empty",
        errors_name_task=False,
        dry_run=False,
        task_type="upscale",
        found_response="empty",
        found_details="not found",
        lateness=PRESETS["worst"].visible_after,
        running_response="empty",
        running_details="not found",
        running_async="empty",
        twice_at_once="accepted",
        twice_after_50_ms="accepted",
        twice_after_second="accepted",
        replay="none",
    ),
}


def emulator_of(preset: str, **settings: Any) -> Emulator:
    """An emulator with a preset of rules, whose engine does no work."""
    content = picture()
    return Emulator(rules=PRESETS[preset], upscaler=lambda *_: content, **settings)


def context_of(url: str, key: str, times: Times = QUICK, limit: float = LIMIT) -> ProbeContext:
    """A context for a service, before any probe."""
    return ProbeContext(Target(url), Secret(key), times, Allowance(limit))


def probes(*names: str) -> list[Probe]:
    """Those probes, in the order of the table."""
    return [probe for probe in (*FREE, *PAID) if probe.name in names]


async def examine(context: ProbeContext, which: Iterable[Probe] = (*FREE, *PAID)) -> dict[str, Row]:
    """Run probes, and return what came of each, by name."""
    rows: dict[str, Row] = {}

    def report(row: Row) -> None:
        rows[row.name] = row

    await run_probes(which, context, begin=lambda name: None, report=report)
    return rows
