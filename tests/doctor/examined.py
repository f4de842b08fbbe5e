"""Services that the doctor has examined, one for each preset of the emulator's rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import anyio

from runware_ws.doctor.findings import Findings
from runware_ws.doctor.lab import Lab, Purse, Times
from runware_ws.doctor.table import FREE, LIMIT, PAID, Probe, Row, go_through
from runware_ws.emulator import PRESETS, Emulator
from runware_ws.protocol.secret import Secret
from runware_ws.transport import Target
from tests.emulator.bench import picture

__all__ = ["LATENCY", "Examined", "emulator_of", "examine", "examined"]

LATENCY = 1.0
"""Seconds that a task takes on these services: long enough to be asked for while it is running."""

QUICK = Times(answer=5.0, quiet=0.1, search=3.5, outage=3.5, replay=2.0, minute=1.5)


@dataclass(frozen=True)
class Examined:
    """What came of an examination."""

    rows: dict[str, Row]
    findings: Findings
    spent: float
    billed: float
    runs: int


def emulator_of(preset: str, **settings: Any) -> Emulator:
    """An emulator with a preset of rules, whose engine does no work."""
    content = picture()
    return Emulator(rules=PRESETS[preset], upscaler=lambda *_: content, **settings)


async def examine(
    emulator: Emulator, probes: tuple[Probe, ...] = (*FREE, *PAID), times: Times = QUICK
) -> Examined:
    """Let the doctor examine a running emulator."""
    lab = Lab(Target(emulator.url), Secret(emulator.api_key), times, Purse(LIMIT))
    rows: dict[str, Row] = {}

    def report(row: Row) -> None:
        rows[row.name] = row

    await go_through(probes, lab, begin=lambda name: None, report=report)
    runs = sum(emulator.executions.values())
    return Examined(rows, lab.findings, lab.purse.spent, emulator.billed, runs)


@cache
def examined() -> dict[str, Examined]:
    """The findings about all presets, which are examined side by side, once."""
    found: dict[str, Examined] = {}

    async def examine_one(preset: str) -> None:
        async with emulator_of(preset, latency=LATENCY) as emulator:
            found[preset] = await examine(emulator)

    async def examine_all() -> None:
        async with anyio.create_task_group() as group:
            for preset in PRESETS:
                group.start_soon(examine_one, preset)

    anyio.run(examine_all)
    return found
