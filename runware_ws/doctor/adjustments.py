"""Map findings about the service to the settings of a client. It is a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..protocol.timing import Timing
from ..settings import Settings
from .findings import Findings

# A synchronous task runs for no longer than the service waits for it, as Runware's SDKs show.
_LONGEST_RUN = 120.0
# A task may take a little less time than those of the probes, and their measurements may be off.
_EARLIEST, _LATEST = 0.8, 2.0


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One change of a client's behaviour that follows from findings.

    Attributes:
        text: a description, which continues "the client …".
        keyword: the argument of `RunwareClient` that takes precedence over it; "" if none does.
        settings: the fields of `Settings` that change, with their values.
        timing: the fields of `Timing` that change, with their values.
    """

    text: str
    keyword: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)


def adjustments(findings: Findings) -> list[Adjustment]:
    """Return the adjustments that follow from the findings. Unknown facts change nothing."""
    return [*_replay(findings), *_asking(findings), *_doubt(findings), *_sizes(findings)]


def changed(settings: Settings, findings: Findings, given: Mapping[str, Any]) -> Settings:
    """Return settings that are adjusted to the findings about the service.

    Args:
        settings: the settings before the adjustments.
        findings: the findings.
        given: arguments of `RunwareClient` that take precedence; None stands for no argument.

    Raises:
        InputError: a given value is not allowed.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    timing: dict[str, Any] = {}
    for adjustment in adjustments(findings):
        if given.get(adjustment.keyword) is None:
            changes.update(adjustment.settings)
            timing.update(adjustment.timing)
    if timing:
        changes["timing"] = replace(settings.timing, **timing)
    return replace(settings, **changes) if changes else settings


def _replay(known: Findings) -> Iterator[Adjustment]:
    if known.replay == "none":
        text = "polls at once after a reconnect, because nothing is replayed"
        yield Adjustment(text, timing={"replay_quiet": 0.0})
    if _is_lost_with_its_connection(known):
        yield Adjustment(
            "uses async delivery by default, because a lost connection loses the result of a sync "
            "task",
            settings={"delivery_method": "async"},
        )


def _is_lost_with_its_connection(known: Findings) -> bool:
    """Return whether only the results of asynchronous tasks survive a lost connection."""
    ways = (known.found_response, known.found_details)
    is_lost = known.replay == "none" and None not in ways and "result" not in ways
    return is_lost and known.repeat_at_once != "same result" and known.async_response == "result"


def _asking(known: Findings) -> Iterator[Adjustment]:
    shortest = max(known.shortest_run or 0.0, known.lateness or 0.0)
    earliest = min(_EARLIEST * shortest, _LATEST)
    if earliest >= Timing().poll[0]:
        yield Adjustment(
            f"does not poll for a result within {earliest:.1f} s of sending its task",
            timing={"earliest": earliest},
        )
    is_found = "result" in (known.found_response, known.async_response)
    if known.found_details == "not found" and is_found:
        text = "does not call getTaskDetails, because it does not find tasks"
        yield Adjustment(text, timing={"asks_details": False})


def _doubt(known: Findings) -> Iterator[Adjustment]:
    lateness = known.lateness or 0.0
    after = known.conflicts_after
    if after is not None and known.finds_finished:
        yield Adjustment(
            "resends a task early if it was not found, because a known UUID is refused",
            keyword="doubt_window",
            timing={"safe_resend": 2 * max(after, lateness)},
        )
    elif known.finds_running is False and not known.refuses_running:
        yield Adjustment(
            f"waits {_LONGEST_RUN:g} s before a resend, because a running task is not found",
            keyword="doubt_window",
            settings={"doubt_window": _LONGEST_RUN},
        )
    elif 2 * lateness > Settings.doubt_window:
        yield Adjustment(
            f"waits {2 * lateness:.1f} s before a resend, because tasks are found late",
            keyword="doubt_window",
            settings={"doubt_window": 2 * lateness},
        )


def _sizes(known: Findings) -> Iterator[Adjustment]:
    if known.tasks_refused and known.tasks_per_frame:
        limit = known.tasks_per_frame
        yield Adjustment(
            f"sends at most {limit} tasks in one frame",
            keyword="max_tasks_per_frame",
            settings={"max_tasks_per_frame": limit},
        )
    if known.input_refused_bytes:
        limit = known.input_refused_bytes
        yield Adjustment(
            f"refuses images of {limit / 2**20:.0f} MiB in base64 before sending",
            settings={"max_input_bytes": limit},
        )
