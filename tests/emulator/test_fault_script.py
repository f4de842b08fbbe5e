"""Test fault scripts as files and as lines, and the messages about wrong ones."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from runware_ws import InputError
from runware_ws.emulator.faults import KINDS, Delay, Drop, Fail, Fault, Mix, Refuse
from runware_ws.emulator.faults.script import Script, fault_of, read_script, script_of

TOML = """
seed = 42
[[faults]]
kind = "drop"
every = 10
how = "reset"
[[faults]]
kind = "fail"
probability = 0.05
code = "timeout"
match = { upscaleFactor = 4 }
"""
JSON = """{"seed": 42, "faults": [{"kind": "drop", "every": 10, "how": "reset"},
{"kind": "fail", "probability": 0.05, "code": "timeout", "match": {"upscaleFactor": 4}}]}"""
FAULTS = (
    Drop(every=10, how="reset"),
    Fail(probability=0.05, code="timeout", match={"upscaleFactor": 4}),
)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "text"), [("a.toml", TOML), ("a.JSON", JSON), ("a", TOML)])
def test_a_script_is_the_same_in_toml_and_in_json(tmp_path: Path, name: str, text: str) -> None:
    assert read_script(written(tmp_path, name, text)) == Script(FAULTS, 42)


def test_an_empty_script_has_no_faults(tmp_path: Path) -> None:
    assert read_script(written(tmp_path, "a.toml", "")) == Script()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_known_by_its_name_and_needs_nothing_else(kind: str) -> None:
    assert script_of({"faults": [{"kind": kind}]}).faults == (KINDS[kind](),)


@pytest.mark.parametrize("cls", KINDS.values())
def test_each_member_of_each_kind_refuses_what_it_cannot_be(cls: type[Fault]) -> None:
    for member in fields(cls):
        wrong: Any = {member.name: object()}
        with pytest.raises(InputError) as caught:
            cls(**wrong)
        assert caught.value.parameter == member.name
        assert caught.value.remedy.startswith("give ")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "the script: is not a table"),
        ({"fault": []}, "fault: is unknown"),
        ({"seed": "x"}, "seed: 'x' is not allowed"),
        ({"seed": True}, "seed: True is not allowed"),
        ({"faults": {}}, "faults: is not a list"),
        ({"faults": [{"kind": "lose"}, 5]}, "fault 2: is not a table"),
        ({"faults": [{}]}, "fault 1, kind: is missing; give one of: refuse, "),
        ({"faults": [{"kind": "dorp"}]}, "fault 1, kind: 'dorp' is unknown; did you mean drop?"),
        ({"faults": [{"kind": 5}]}, "fault 1, kind: 5 is unknown"),
        (
            {"faults": [{"kind": "drop", "evry": 1}]},
            "fault 1, evry: is unknown; did you mean every",
        ),
        (
            {"faults": [{"kind": "drop", "every": 0}]},
            "fault 1, every: 0 is not allowed; give an integer of 1 or more",
        ),
        (
            {"faults": [{"kind": "drop", "how": "softly"}]},
            "fault 1, how: 'softly' is not allowed; give one of 'close', 'abort', 'reset'",
        ),
        (
            {"faults": [{"kind": "drop", "nth": 1, "every": 1}]},
            "fault 1, every: excludes nth; give one of the two",
        ),
    ],
)
def test_a_wrong_script_is_told_what_where_and_what_instead(document: Any, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        script_of(document)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.toml", "[[faults]]\nkind='lose'\nnth=0", "a.toml: fault 1, nth: 0 is not allowed"),
        ("a.toml", "faults = [", "a.toml: is damaged: "),
        ("a.json", "{", "a.json: is damaged: "),
        ("a.json", "[" * 100_000, "a.json: is damaged: "),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        read_script(written(tmp_path, name, text))
    assert str(caught.value).startswith(str(tmp_path / complaint))


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read: No such file"):
        read_script(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is damaged"):
        read_script(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("drop every=10 how=reset", Drop(every=10, how="reset")),
        ("delay seconds=0.5", Delay(seconds=0.5)),
        (
            """fail match='{"upscaleFactor": 4}' code=timeout""",
            Fail(match={"upscaleFactor": 4}, code="timeout"),
        ),
        ("drop written=true", Drop(written=True)),
    ],
)
def test_a_line_is_a_fault(line: str, fault: Fault) -> None:
    assert fault_of(line) == fault


@pytest.mark.parametrize("line", ["", "  ", "'", "dorp", "drop every", "drop every=x"])
def test_a_wrong_line_is_refused(line: str) -> None:
    with pytest.raises(InputError):
        fault_of(line)


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(InputError, match="leave it out"):
        Refuse(match={"taskType": "upscale"})
    with pytest.raises(InputError, match="finished"):
        Fail(of="request", finished=True)
    with pytest.raises(InputError, match="probability: excludes nth"):
        Mix(nth=1, probability=0.5)
