"""Test the rules of the service: each has an effect, a source, and values that are checked."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

import pytest

from runware_ws.emulator import Rules
from runware_ws.errors import InputError


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("unknown_task", "nothing", "one of: error, empty"),
        ("unknown_task", None, "one of: error, empty"),
        ("unknown_task", ["error"], "one of: error, empty"),
        ("errors_name_task", "no", "true or false"),
        ("errors_name_task", 1, "true or false"),
        ("conflict_delay", -1, "a number of seconds of 0 or more"),
        ("conflict_delay", float("nan"), "a number of seconds of 0 or more"),
        ("conflict_delay", float("inf"), "a number of seconds of 0 or more"),
        ("conflict_delay", "1", "a number of seconds of 0 or more"),
        ("conflict_delay", None, "a number of seconds of 0 or more"),
        ("conflict_delay", True, "a number of seconds of 0 or more"),
    ],
)
def test_a_value_that_a_rule_cannot_have_is_refused(name: str, value: Any, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        Rules(**{name: value})
    assert str(caught.value) == f"{name}: {value!r} is not allowed; give {remedy}"


def test_each_rule_is_described_with_its_source() -> None:
    text = inspect.cleandoc(Rules.__doc__ or "").partition("\nRaises:")[0]
    _, *described = re.split(r"^ {4}(?=\w+: )", text, flags=re.MULTILINE)
    assert [one.partition(":")[0] for one in described] == [member.name for member in fields(Rules)]
    for one in described:
        assert re.search(r"Unknown|Runware|documentation|documented|community", one), one
