"""Lessons for a client from what is known of the service: one pure mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..protocol.timing import Timing
from ..settings import Settings
from .findings import Findings

# A synchronous task runs for no longer than the service waits for it, as Runware's SDKs show.
_LONGEST_RUN = 120.0
# A task may be done a little sooner than those of the probes were, and their measure may be wrong.
_EARLIEST, _LATEST = 0.8, 2.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing that a client does differently.

    Attributes:
        because: the findings that it follows from, by name.
        words: what the client does.
        keyword: the argument of `RunwareClient` that comes before it; "" if there is none.
        settings: the fields of `Settings` that change, with their values.
        timing: likewise, of `Timing`.
    """

    because: tuple[str, ...]
    words: str
    keyword: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)


def lessons(findings: Findings) -> list[Lesson]:
    """Return what follows from the findings. What is unknown changes nothing."""
    return [*_replay(findings), *_asking(findings), *_doubt(findings), *_sizes(findings)]


def changed(settings: Settings, findings: Findings, given: Mapping[str, Any]) -> Settings:
    """Return settings that follow from what is known of the service.

    Args:
        settings: the settings without that.
        findings: what is known.
        given: arguments of `RunwareClient` that come before it; those that are None were not given.

    Raises:
        InputError: a value that was given is not allowed.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    timing: dict[str, Any] = {}
    for lesson in lessons(findings):
        if given.get(lesson.keyword) is None:
            changes.update(lesson.settings)
            timing.update(lesson.timing)
    if timing:
        changes["timing"] = replace(settings.timing, **timing)
    return replace(settings, **changes) if changes else settings


def _replay(known: Findings) -> Iterator[Lesson]:
    if known.replay == "none":
        words = "asks at once after a reconnect: nothing is replayed"
        yield Lesson(("replay",), words, timing={"replay_quiet": 0.0})
    if _is_lost_with_its_connection(known):
        yield Lesson(
            ("replay", "found_response", "found_details", "async_response"),
            "delivers async unless told otherwise: a cut loses the result of a sync task",
            settings={"delivery_method": "async"},
        )


def _is_lost_with_its_connection(known: Findings) -> bool:
    """Return whether only the result of an asynchronous task can be had again."""
    ways = (known.found_response, known.found_details)
    is_lost = known.replay == "none" and None not in ways and "result" not in ways
    return is_lost and known.repeat_at_once != "same result" and known.async_response == "result"


def _asking(known: Findings) -> Iterator[Lesson]:
    shortest = max(known.shortest_run or 0.0, known.lateness or 0.0)
    earliest = min(_EARLIEST * shortest, _LATEST)
    if earliest >= Timing().poll[0]:
        yield Lesson(
            ("shortest_run", "lateness"),
            f"does not poll for a result within {earliest:.1f} s of sending its task",
            timing={"earliest": earliest},
        )
    is_found = "result" in (known.found_response, known.async_response)
    if known.found_details == "not found" and is_found:
        words = "does not ask for details: they hold nothing"
        yield Lesson(("found_details",), words, timing={"asks_details": False})


def _doubt(known: Findings) -> Iterator[Lesson]:
    lateness = known.lateness or 0.0
    after = known.conflicts_after
    if after is not None and known.finds_finished:
        yield Lesson(
            ("repeat_at_once", "repeat_after_second", "repeat_after_minute", "twice_after_second"),
            "sends a task again once it was not found: a known UUID is refused",
            keyword="doubt_window",
            timing={"safe_resend": 2 * max(after, lateness)},
        )
    elif known.finds_running is False and not known.refuses_running:
        yield Lesson(
            ("running_response", "running_details", "twice_at_once"),
            f"waits {_LONGEST_RUN:g} s before a resend: a running task looks like none",
            keyword="doubt_window",
            settings={"doubt_window": _LONGEST_RUN},
        )
    elif 2 * lateness > Settings().doubt_window:
        yield Lesson(
            ("lateness",),
            f"waits {2 * lateness:.1f} s before a resend: tasks are found late",
            keyword="doubt_window",
            settings={"doubt_window": 2 * lateness},
        )


def _sizes(known: Findings) -> Iterator[Lesson]:
    if known.tasks_refused and known.tasks_per_frame:
        limit = known.tasks_per_frame
        yield Lesson(
            ("tasks_per_frame", "tasks_refused"),
            f"sends at most {limit} tasks in one frame",
            keyword="max_tasks_per_frame",
            settings={"max_tasks_per_frame": limit},
        )
    if known.input_refused_bytes:
        limit = known.input_refused_bytes
        yield Lesson(
            ("input_bytes", "input_refused_bytes"),
            f"refuses images of {limit / 2**20:.0f} MiB in base64 before sending",
            settings={"max_input_bytes": limit},
        )
