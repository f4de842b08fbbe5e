"""Write the tables of the reference from the package, between the marks in the page.

python -m tests.support.reference
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer.main

from runware_ws import Event, RunwareClient, Stats, TaskError, UpscaleResult, errors
from runware_ws.batch import Failure, Success
from runware_ws.cli.app import app
from runware_ws.emulator import Emulator, Rules, ServiceSettings
from runware_ws.emulator.faults import KINDS
from runware_ws.protocol.request import MEMBERS, Member

__all__ = ["PAGE", "filled"]

PAGE = Path(__file__).resolve().parents[2] / ".github" / "docs" / "reference.md"
_MARKED = re.compile(r"(<!-- (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SECTION = r"^{}:\n((?: {{4,}}.*\n|\n)+)"
_ENTRY = re.compile(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_UNITS = (("MiB", 2**20), ("KiB", 2**10))


def filled(page: str) -> str:
    """Return the page with each of its tables as the package has it."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", page)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    cells = ([one.replace("|", "\\|") for one in row] for row in rows)
    lines = [names, ["---"] * len(names), *cells]
    return "\n".join("| " + " | ".join(line).rstrip() + " |" for line in lines)


def entries(documented: Any, section: str = "Attributes") -> dict[str, str]:
    """Return a section of a docstring: the text of each name, on one line."""
    text = (inspect.getdoc(documented) or "") + "\n"
    found = re.search(_SECTION.format(section), text, re.MULTILINE)
    assert found is not None, f"{documented} has no section {section}"
    return {name: as_markdown(words) for name, words in _ENTRY.findall(found[1])}


def as_markdown(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def shown(default: Any) -> str:
    """Return a default value as a reader would write it."""
    if isinstance(default, bool | None):
        return f"`{default}`"
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, float):
        return f"{default:g}"
    for unit, size in _UNITS:
        if default >= 64 * 1024 and default % size == 0:
            return f"{default // size} {unit}"
    return str(default)


def _attributes(documented: Any) -> Callable[[], str]:
    def attributes() -> str:
        rows = ((_code(names), text) for names, text in entries(documented).items())
        return table(("attribute", "meaning"), rows)

    return attributes


def _code(names: str) -> str:
    """Return names that are separated by commas, each as code."""
    return ", ".join(f"`{name}`" for name in names.split(", "))


# The client


def _members() -> str:
    head = ("option", "values", "the service's default", "meaning")
    return table(head, map(_member, MEMBERS))


def _member(member: Member) -> tuple[str, ...]:
    default = "" if member.default is None else f"`{member.default!r}`".replace("'", '"')
    return f"`{member.name}`", _values(member), default, member.description


def _values(member: Member) -> str:
    """Return the values that a member may have, in words."""
    if member.choices:
        text = ", ".join(f"`{choice!r}`".replace("'", '"') for choice in member.choices)
    elif member.minimum is not None:
        end = "or more" if member.maximum is None else f"to {member.maximum}"
        text = f"{member.minimum} {end}"
    elif member.form:
        text = {"uuid4": "a UUID v4", "uri": "an http(s) URL"}[member.form]
    else:
        text = "`True`, `False`"
    if member.only_with is not None:
        wire, value = member.only_with
        (other,) = (one.name for one in MEMBERS if one.wire == wire)
        text += f', only with `{other}="{value}"`'
    return text


def _arguments(method: Any, *known: str) -> str:
    """Return the table of the arguments of a method, but for those that are known."""
    of_request = {member.name for member in MEMBERS}
    texts = entries(method, "Args")
    names = [name for name in inspect.signature(method).parameters if name != "self"]
    assert list(texts) == names, f"the docstring of {method} has other arguments"
    left = [name for name in names if name not in {*of_request, *known}]
    return table(("argument", "meaning"), ((f"`{name}`", texts[name]) for name in left))


def _settings() -> str:
    texts = entries(RunwareClient, "Args")
    parameters = inspect.signature(RunwareClient).parameters
    assert list(texts) == list(parameters), "the docstring of RunwareClient has other arguments"
    rows = []
    for name, parameter in parameters.items():
        default = shown(parameter.default)
        text = texts[name].replace(f" Default {default.strip('`')}.", "")
        rows.append((f"`{name}`", default, text))
    return table(("setting", "default", "meaning"), rows)


def _result() -> str:
    rows = dict(entries(UpscaleResult))
    for name, member in inspect.getmembers_static(UpscaleResult):
        text = inspect.getdoc(member)
        if name.startswith("_") or not text:
            continue
        call = f"await {name}(…)" if inspect.iscoroutinefunction(member) else name
        call += "()" if name == "ack" else ""
        rows[call] = as_markdown(text.partition("\n\n")[0])
    return table(("name", "meaning"), ((f"`{name}`", text) for name, text in rows.items()))


def _outcome() -> str:
    success, failure = entries(Success), entries(Failure)
    rows = ((f"`{name}`", text, failure[name]) for name, text in success.items())
    return table(("attribute", "of a `Success`", "of a `Failure`"), rows)


def _exceptions() -> str:
    tree = (inspect.getdoc(errors) or "").split("\n\n")[1]
    return f"```text\n{tree}\n```"


# The command and the emulator


def _command(name: str) -> Callable[[], str]:
    def options() -> str:
        group: Any = typer.main.get_command(app)
        rows = []
        for one in group.commands[name].params:
            if getattr(one, "hidden", False):
                continue
            names = ", ".join(f"`{flag}`" for flag in getattr(one, "opts", ()))
            value = f" `{one.metavar}`" if one.param_type_name == "option" and one.metavar else ""
            if one.param_type_name == "argument":
                names = f"`{one.metavar or one.name.upper()}`"
            text = as_markdown(one.help or "")
            if one.default and "Default" not in text:
                text += f" Default: {one.default}."
            rows.append((names + value, text))
        return table(("option", "meaning"), rows)

    return options


def _emulator() -> str:
    texts = entries(ServiceSettings) | entries(Emulator, "Args")
    defaults = {one.name: one.default for one in dataclasses.fields(ServiceSettings)}
    rows = []
    for name, text in texts.items():
        default = defaults.get(name)
        number = shown(default) if isinstance(default, int | float) else ""
        if name not in ("image_url", "settings"):
            rows.append((f"`{name}`", number, text))
    return table(("setting", "default", "meaning"), rows)


def _faults() -> str:
    rows = []
    for kind, cls in KINDS.items():
        inherited = {one.name for one in dataclasses.fields(cls.__mro__[1])}
        own = [one.name for one in dataclasses.fields(cls) if one.name not in inherited | {"of"}]
        text = as_markdown((inspect.getdoc(cls) or "").partition("\n\n")[0])
        rows.append((f"`{kind}`", ", ".join(f"`{name}`" for name in own), text))
    return table(("kind", "arguments", "effect"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "options": _members,
    "arguments": lambda: _arguments(RunwareClient.upscale, "image"),
    "many": lambda: _arguments(
        RunwareClient.upscale_many,
        *("images", "model", "routing", "extra_members", "priority"),
    ),
    "settings": _settings,
    "result": _result,
    "outcome": _outcome,
    "exceptions": _exceptions,
    "task-error": _attributes(TaskError),
    "event": _attributes(Event),
    "stats": _attributes(Stats),
    **{name: _command(name) for name in ("upscale", "fetch", "emulate", "doctor", "ping")},
    "emulator": _emulator,
    "faults": _faults,
    "rules": _attributes(Rules),
}

if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
