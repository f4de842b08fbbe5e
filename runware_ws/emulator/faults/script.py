"""Read fault scripts: files in TOML or JSON, and single faults as lines of text.

`runware_ws.emulator.faults` describes the format. No other module of the folder reads files.
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


@dataclass(frozen=True)
class Script:
    """A fault script.

    Attributes:
        faults: the faults, in order.
        seed: the seed of random faults; None to draw one.
    """

    faults: tuple[Fault, ...] = ()
    seed: int | None = None


def read_script(path: Path) -> Script:
    """Read a script: JSON if the name ends in ``.json``, else TOML.

    Raises:
        InputError: it cannot be read; the error names the file, the entry and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
        is_json = path.suffix.lower() == ".json"
        document = json.loads(text) if is_json else tomllib.loads(text)
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}", "check it") from None
    except (ValueError, RecursionError) as error:  # of either parser, or of the decoder
        remedy = "correct it; a name that ends in .json means JSON, any other TOML"
        raise InputError(str(path), f"is damaged: {error}", remedy) from None
    try:
        return script_of(document)
    except InputError as error:
        raise _within(f"{path}: ", error) from None


def script_of(document: Any) -> Script:
    """Return the script that a parsed document describes.

    Raises:
        InputError: an entry is wrong.
    """
    if not isinstance(document, Mapping):
        raise InputError("the script", "is not a table", 'give {"faults": […]}')
    for name in document.keys() - {"faults", "seed"}:
        raise InputError(name, "is unknown", "a script has the members faults and seed")
    seed = document.get("seed")
    if not (seed is None or type(seed) is int):
        raise InputError("seed", f"{seed!r} is not allowed", "give an integer")
    entries = document.get("faults", ())
    if not isinstance(entries, list | tuple):
        raise InputError("faults", "is not a list", "give a list of faults")
    return Script(tuple(_fault(entry, f"fault {n}") for n, entry in enumerate(entries, 1)), seed)


def fault_of(text: str) -> Fault:
    """Return the fault that a line describes: its kind and its members, as ``drop every=10``.

    Raises:
        InputError: it is wrong.
    """
    try:
        kind, *words = shlex.split(text)
    except ValueError:
        raise InputError(repr(text), "names no fault", _suggestion("", KINDS)) from None
    entry: dict[str, Any] = {"kind": kind}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"{kind}, {word}", "has no value", f"write {word}=…")
        entry[name] = _value(value)
    return _fault(entry, f"fault {text!r}")


def _value(text: str) -> Any:
    """Return a text as a JSON value if it is one, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _fault(entry: Any, where: str) -> Fault:
    if not isinstance(entry, Mapping):
        raise InputError(where, "is not a table", 'give one such as {"kind": "drop", "nth": 3}')
    kind = entry.get("kind")
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        problem = "is missing" if kind is None else f"{kind!r} is unknown"
        raise InputError(f"{where}, kind", problem, _suggestion(kind, KINDS))
    members = {name: value for name, value in entry.items() if name != "kind"}
    known = [member.name for member in fields(cls)]
    for name in members:
        if name not in known:
            raise InputError(f"{where}, {name}", "is unknown", _suggestion(name, known))
    try:
        return cls(**members)
    except InputError as error:
        raise _within(f"{where}, ", error) from None


def _within(where: str, error: InputError) -> InputError:
    """Return an error with the location of its parameter."""
    return InputError(where + error.parameter, error.problem, error.remedy)


def _suggestion(word: Any, known: Iterable[str]) -> str:
    """Return a remedy: the most similar known word, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(word), names, 1)
    return f"did you mean {near[0]}?" if near else f"give one of: {', '.join(names)}"
