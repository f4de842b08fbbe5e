"""The mapping from what is known of a service to the settings of a client."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from runware_ws import InputError
from runware_ws.doctor.adjustments import adjustments, changed
from runware_ws.doctor.findings import Findings
from runware_ws.protocol.timing import Timing
from runware_ws.settings import Settings
from tests.doctor.services import EXPECTED

DOCUMENTED, SDK, AFLOW, WORST = EXPECTED.values()


def changes(findings: Findings, **given: Any) -> dict[str, Any]:
    """Return what is other than the default, of the settings and their durations."""
    settings = changed(Settings(), findings, given)
    pairs: list[Any] = [(Settings(), settings), (Timing(), settings.timing)]
    return {
        one.name: getattr(after, one.name)
        for before, after in pairs
        for one in fields(after)
        if one.name != "timing" and getattr(before, one.name) != getattr(after, one.name)
    }


def test_without_findings_nothing_changes() -> None:
    settings = Settings()
    assert changed(settings, Findings(), {"doubt_window": None}) is settings
    assert not adjustments(Findings())


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (DOCUMENTED, {"safe_resend": 0.0}),
        (SDK, {"safe_resend": 2.0, "replay_quiet": 0.0}),
        (AFLOW, {}),
        (
            WORST,
            {
                "replay_quiet": 0.0,
                "earliest": 2.0,
                "delivery_method": "async",
                "asks_details": False,
                "doubt_window": 120.0,
            },
        ),
    ],
    ids=EXPECTED,
)
def test_each_preset_changes_what_its_rules_allow(
    findings: Findings, expected: dict[str, Any]
) -> None:
    assert changes(findings) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"replay": "none"}, {"replay_quiet": 0.0}),
        ({"replay": "before"}, {}),
        ({"shortest_run": 1.0}, {"earliest": 0.8}),
        ({"shortest_run": 0.01}, {}),
        ({"shortest_run": 40.0}, {"earliest": 2.0}),
        ({"lateness": 1.0}, {"earliest": 0.8}),
        ({"lateness": 3.0}, {"earliest": 2.0, "doubt_window": 6.0}),
        ({"found_details": "not found"}, {}),
        ({"found_details": "not found", "found_response": "result"}, {"asks_details": False}),
        ({"found_details": "not found", "async_response": "result"}, {"asks_details": False}),
        ({"found_details": "null", "found_response": "result"}, {}),
        (
            {"running_response": "empty", "running_details": "not found"},
            {"doubt_window": 120.0},
        ),
        ({"running_response": "empty", "running_details": "null"}, {}),
        ({"running_response": "empty"}, {}),
        ({"tasks_per_frame": 20, "tasks_refused": 100}, {"max_tasks_per_frame": 20}),
        ({"tasks_per_frame": 100, "tasks_refused": 0}, {}),
        ({"input_bytes": 4, "input_refused_bytes": 16}, {"max_input_bytes": 16}),
        ({"input_bytes": 64, "input_refused_bytes": 0}, {}),
    ],
)
def test_each_finding_has_its_consequence(known: dict[str, Any], expected: dict[str, Any]) -> None:
    assert changes(Findings(**known)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"repeat_after_minute": "run again"},
        {"repeat_after_second": "same result"},
        {"repeat_after_second": None},
        {"twice_after_second": "accepted"},
        {"twice_after_second": None},
        {"found_response": "empty", "found_details": "not found"},
        {"found_response": "empty", "details_after_refusal": "refusal"},
    ],
)
def test_a_resend_is_safe_only_if_it_is_always_refused_and_its_task_then_found(
    change: dict[str, Any],
) -> None:
    assert "safe_resend" not in changes(replace(DOCUMENTED, **change))


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({}, 0.0),
        ({"twice_at_once": "accepted"}, 0.1),
        ({"twice_after_50_ms": "accepted"}, 2.0),
        ({"repeat_at_once": "run again"}, 2.0),
        ({"lateness": 1.5}, 3.0),
    ],
)
def test_a_resend_waits_twice_as_long_as_the_service_is_late(
    change: dict[str, Any], after: float
) -> None:
    assert changes(replace(DOCUMENTED, **change))["safe_resend"] == after


def test_where_a_running_task_is_refused_there_is_no_need_to_wait_until_it_is_done() -> None:
    known = Findings(
        running_response="empty",
        running_details="not found",
        twice_at_once="refused",
        twice_after_50_ms="refused",
    )
    assert not changes(known)


@pytest.mark.parametrize(
    "change",
    [
        {"replay": "after"},
        {"replay": None},
        {"found_response": "result"},
        {"found_details": None},
        {"found_details": "result"},
        {"async_response": "empty"},
        {"repeat_at_once": "same result"},
    ],
)
def test_tasks_are_delivered_async_only_where_nothing_else_helps(change: dict[str, Any]) -> None:
    assert "delivery_method" not in changes(replace(WORST, **change))


@pytest.mark.parametrize("findings", [DOCUMENTED, WORST])
def test_an_argument_that_is_given_comes_before_the_profile(findings: Findings) -> None:
    found = changes(findings, doubt_window=2.5)
    assert found["doubt_window"] == 2.5
    assert "safe_resend" not in found
    limited = replace(findings, tasks_per_frame=20, tasks_refused=100)
    assert changes(limited, max_tasks_per_frame=50)["max_tasks_per_frame"] == 50
    # The default is an argument like any other, if it is given.
    assert "doubt_window" not in changes(findings, doubt_window=2.0)


def test_an_argument_that_is_given_is_checked() -> None:
    with pytest.raises(InputError, match="doubt_window: -1 is out of range"):
        changes(Findings(), doubt_window=-1)


@pytest.mark.parametrize("findings", EXPECTED.values(), ids=EXPECTED)
def test_each_adjustment_has_a_description_and_changes_something(findings: Findings) -> None:
    for adjustment in adjustments(findings):
        assert adjustment.text
        assert adjustment.settings or adjustment.timing
