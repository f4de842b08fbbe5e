"""A fault script as a file, TOML or JSON::

    seed = 42                # optional: for what is left to chance

    [[faults]]               # in JSON: {"seed": 42, "faults": [{"kind": "drop", …}, …]}
    kind = "drop"
    every = 10
    how = "reset"

    [[faults]]
    kind = "fail"
    probability = 0.05
    code = "timeout"
    match = { upscaleFactor = 4 }

Kinds and members are those of `runware_ws.emulator.faults`.
"""

from __future__ import annotations

import difflib
import json
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...errors import InputError
from .kinds import KINDS, Fault

__all__ = ["Script", "fault_of", "read_script", "script_of"]


@dataclass(frozen=True)
class Script:
    """The faults of a script.

    Attributes:
        faults: in their order.
        seed: for what is left to chance; None when the script leaves even that open.
    """

    faults: tuple[Fault, ...] = ()
    seed: int | None = None


def read_script(path: Path) -> Script:
    """Read a script: JSON if the name ends in ``.json``, TOML otherwise.

    Raises:
        InputError: it cannot be read; the error names the entry, the member and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
        is_json = path.suffix.lower() == ".json"
        document = json.loads(text) if is_json else tomllib.loads(text)
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}", "check it") from None
    except (ValueError, RecursionError) as error:  # as either parser has it, or not UTF-8
        remedy = "correct it; a name that ends in .json means JSON, any other TOML"
        raise InputError(str(path), f"is damaged: {error}", remedy) from None
    try:
        return script_of(document)
    except InputError as error:
        where = f"{path}: {error.parameter}"
        raise InputError(where, error.problem, error.remedy) from None


def script_of(document: Any) -> Script:
    """The script that a document describes.

    Raises:
        InputError: an entry is wrong.
    """
    if not isinstance(document, Mapping):
        raise InputError("the script", "is no table", 'give {"faults": […]}')
    for name in document.keys() - {"faults", "seed"}:
        raise InputError(name, "is unknown", "a script has the members faults and seed")
    seed = document.get("seed")
    if not (seed is None or type(seed) is int):
        raise InputError("seed", f"{seed!r} is not allowed", "give an integer")
    entries = document.get("faults", ())
    if not isinstance(entries, list | tuple):
        raise InputError("faults", "is no list", "give a list of faults")
    return Script(tuple(_fault(entry, f"fault {n}") for n, entry in enumerate(entries, 1)), seed)


def fault_of(text: str) -> Fault:
    """The fault that one line describes: its kind, then its members, as ``drop every=10``.

    Raises:
        InputError: it is wrong.
    """
    try:
        kind, *words = shlex.split(text)
    except ValueError:
        raise InputError(repr(text), "names no fault", _remedy("", KINDS)) from None
    entry: dict[str, Any] = {"kind": kind}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"{kind}, {word}", "has no value", f"write {word}=…")
        entry[name] = _value(value)
    return _fault(entry, f"fault {text!r}")


def _value(text: str) -> Any:
    """A number, a truth, an object; or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _fault(entry: Any, where: str) -> Fault:
    if not isinstance(entry, Mapping):
        raise InputError(where, "is no table", 'give one such as {"kind": "drop", "nth": 3}')
    kind = entry.get("kind")
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        problem = "is missing" if kind is None else f"{kind!r} is unknown"
        raise InputError(f"{where}, kind", problem, _remedy(kind, KINDS))
    members = {name: value for name, value in entry.items() if name != "kind"}
    known = [member.name for member in fields(cls)]
    for name in members:
        if name not in known:
            place = f"{where}, {name}"
            raise InputError(place, "is unknown", _remedy(name, known))
    try:
        return cls(**members)
    except InputError as error:
        place = f"{where}, {error.parameter}"
        raise InputError(place, error.problem, error.remedy) from None


def _remedy(word: Any, known: Iterable[str]) -> str:
    """What somebody may have meant."""
    names = list(known)
    near = difflib.get_close_matches(str(word), names, 1)
    return f"did you mean {near[0]}?" if near else f"give one of: {', '.join(names)}"
