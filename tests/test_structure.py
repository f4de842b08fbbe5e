"""The architecture's rules, enforced; and for each rule a made-up package that breaks it.

A check takes the source as an argument and returns what it objects to, one line each.
"""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from types import ModuleType

import pytest

import runware_ws
from tests.source_graph import (
    PACKAGE,
    ROOT,
    Source,
    graph,
    imports,
    names_used,
    reachable,
    read_package,
)

MAX_LINES = 450  # `client.py` documents each option for three methods

# What a pure module may load: nothing in it touches a file, a socket, a clock, a thread or chance.
PURE_LIBRARY = {
    *("__future__", "abc", "base64", "binascii", "bisect", "collections", "contextlib", "copy"),
    *("dataclasses", "datetime", "decimal", "enum", "functools", "hashlib", "heapq", "hmac"),
    *("ipaddress", "itertools", "keyword", "math", "numbers", "operator", "orjson", "re"),
    *("reprlib", "string", "struct", "textwrap", "types", "typing", "unicodedata"),
    *("urllib.parse", "uuid", "weakref", "zlib"),
}
# What such a module may not use all the same, though the module that holds it is pure otherwise.
IMPURE_NAMES = {
    *("__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"),
    *("datetime.date.today", "datetime.datetime.now", "datetime.datetime.today"),
    *("datetime.datetime.utcnow", "hashlib.file_digest"),
    *("uuid.getnode", "uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7"),
}
# All that a base install has: the three dependencies, and what these bring with them.
BASE_INSTALL = (
    "runware_ws",
    "websockets",
    "orjson",
    "anyio",
    "idna",
    "sniffio",
    "typing_extensions",
)
# What pyproject.toml declares, by the names under which it is imported.
DECLARED = {
    *("websockets", "orjson", "anyio"),
    *("typer", "rich", "httpx", "starlette", "uvicorn", "PIL", "trio", "opentelemetry", "pytest"),
}
NEEDS_AN_EXTRA = (
    f"{PACKAGE}.cli",
    f"{PACKAGE}.emulator",
    f"{PACKAGE}.transport.on_trio",
    f"{PACKAGE}.telemetry",
    f"{PACKAGE}.pytest_plugin",
)
PURE_ROOTS = tuple(
    f"{PACKAGE}.{name}" for name in ("protocol", "emulator.service", "emulator.faults.injector")
)


def pure_modules(source: Source) -> set[str]:
    """The modules that must be pure: the protocol, the emulator's service with its faults, and all
    that they import.
    """
    roots = {module for module in source if module.startswith(PURE_ROOTS)}
    return reachable(graph(source), roots)


def impurities(source: Source) -> list[str]:
    found: list[str] = []
    for module in sorted(pure_modules(source)):
        found.extend(
            f"{module}:{one.line} imports {one.module}"
            for one in imports(source, module)
            if one.module not in source and PURE_LIBRARY.isdisjoint(prefixes(one.module))
        )
        found.extend(
            f"{module}:{line} uses {name}"
            for name, line in names_used(source, module)
            if name in IMPURE_NAMES
        )
    return found


def prefixes(dotted: str) -> set[str]:
    """`a.b.c` gives a, a.b and a.b.c."""
    parts = dotted.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


def cycles(source: Source) -> list[str]:
    try:
        TopologicalSorter(graph(source)).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def foreign_uses_of_orjson(source: Source) -> list[str]:
    return [
        f"{module}:{one.line}"
        for module in source
        for one in imports(source, module)
        if one.module.partition(".")[0] == "orjson" and module != f"{PACKAGE}.protocol.wire"
    ]


def undeclared(source: Source) -> list[str]:
    """Imports that work only while a dependency happens to bring along one of its own."""
    known = {PACKAGE, *DECLARED, *sys.stdlib_module_names}
    return [
        f"{module}:{one.line} imports {one.module}"
        for module in source
        for one in imports(source, module)
        if one.module.partition(".")[0] not in known
    ]


def long_files(source: Source) -> list[str]:
    counts = {module: len(text.splitlines()) for module, text in source.items()}
    return [f"{module}: {count} lines" for module, count in counts.items() if count > MAX_LINES]


def unlisted(package: ModuleType) -> list[str]:
    """The names by which `__all__` and what is there to be imported differ."""
    listed = getattr(package, "__all__", [])
    public = {
        name
        for name in {*vars(package), *listed}
        if not name.startswith("_") or name == "__version__"
        if hasattr(package, name) and not _comes_by_itself(getattr(package, name))
    }
    doubles = [name for name in listed if listed.count(name) > 1]
    return sorted(public.symmetric_difference(listed)) + doubles


def _comes_by_itself(value: object) -> bool:
    """A submodule becomes an attribute when it is imported; `annotations` is a compiler flag."""
    return isinstance(value, ModuleType) or type(value).__module__ == "__future__"


def import_with(allowed: tuple[str, ...], modules: list[str]) -> subprocess.CompletedProcess[str]:
    """Import the modules in a new interpreter that has the standard library and these, no more."""
    code = f"""
import importlib, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        library = top in sys.stdlib_module_names or top.startswith("_sysconfigdata")
        if not library and top not in {allowed!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}: not in this install", name=name)

sys.meta_path.insert(0, Blocker())
for module in {modules!r}:
    importlib.import_module(module)
"""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=False
    )


def base_modules(source: Source) -> list[str]:
    return [module for module in source if not module.startswith(NEEDS_AN_EXTRA)]


def test_the_protocol_and_the_service_know_no_io_no_clock_and_no_chance() -> None:
    source = read_package()
    assert {f"{PACKAGE}.protocol.wire", f"{PACKAGE}.errors"} <= pure_modules(source)
    assert not impurities(source)


def test_no_module_imports_itself_in_a_circle() -> None:
    assert not cycles(read_package())


def test_only_the_wire_module_knows_orjson() -> None:
    assert not foreign_uses_of_orjson(read_package())


def test_only_what_is_declared_is_imported() -> None:
    assert not undeclared(read_package())


def test_no_file_is_longer_than_a_reader_bears() -> None:
    assert not long_files(read_package())


def test_the_package_lists_exactly_what_is_public() -> None:
    assert not unlisted(runware_ws)


def test_a_base_install_imports_with_only_its_three_dependencies() -> None:
    outcome = import_with(BASE_INSTALL, base_modules(read_package()))
    assert outcome.returncode == 0, outcome.stderr


def package(**modules: str) -> dict[str, str]:
    """A made-up package; `a__b` stands for the module a.b."""
    named = {f"{PACKAGE}.{name.replace('__', '.')}": text for name, text in modules.items()}
    return {PACKAGE: "", f"{PACKAGE}.protocol": "", f"{PACKAGE}.emulator": "", **named}


@pytest.mark.parametrize(
    "text",
    [
        "import socket",
        "import time as clock",
        "from random import random",
        "from os.path import join",
        "def f():\n    import asyncio",
        "from pathlib import Path",
        "import urllib.request",
        "from urllib import request",
        "from urllib.request import urlopen",
        "from uuid import uuid4",
        "from uuid import uuid4 as new",
        "import uuid\nnew = uuid.uuid4",
        "import datetime\nthen = datetime.datetime.now()",
        "from datetime import datetime as d\nthen = d.now()",
        "from datetime import date\nthen = date.today()",
        "text = open('x').read()",
        "debug = print",
        "import websockets",
        "from .. import driver",
        "from ..driver import run",
        "import runware_ws.runtime.driver",
        "from ..helper import run",
    ],
)
def test_purity_is_seen_to_be_broken(text: str) -> None:
    rest = {"driver": "import anyio", "helper": "from .driver import run"}
    assert impurities(package(protocol__session=text, **rest))
    assert impurities(package(emulator__service_tasks=text, **rest))
    assert not impurities(package(client=text, **rest))


@pytest.mark.parametrize(
    "text",
    [
        "from datetime import datetime\ndef f(now: datetime, at): return at.now(now)",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..driver import Driver",
        "from urllib.parse import urlsplit\nfrom uuid import UUID\nfrom . import other",
        "class Journal:\n    def open(self): return self.open",
    ],
)
def test_what_is_pure_passes(text: str) -> None:
    source = package(protocol__session=text, protocol__other="import re", driver="import anyio")
    assert not impurities(source)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("from . import b", "from .a import x"),
        ("from .b import x", "def f():\n    from runware_ws import a"),
        ("import runware_ws.b", "import runware_ws.a as a"),
    ],
)
def test_a_circle_is_seen(one: str, other: str) -> None:
    assert cycles(package(a=one, b=other)) != []
    assert not cycles(package(a=one, b=""))


def test_the_package_itself_is_part_of_a_circle() -> None:
    source = {**package(a="from . import __version__"), PACKAGE: "from .a import x"}
    assert cycles(source)


def test_a_second_user_of_orjson_is_seen() -> None:
    assert foreign_uses_of_orjson(package(client="from orjson import loads"))
    assert not foreign_uses_of_orjson(package(protocol__wire="import orjson"))


def test_an_undeclared_import_is_seen() -> None:
    assert undeclared(package(client="def f():\n    from typing_extensions import TypedDict"))
    assert not undeclared(package(client="import os, anyio.abc\nfrom .b import x", b="import trio"))


def test_a_long_file_is_seen() -> None:
    assert long_files(package(client="\n" * (MAX_LINES + 1)))
    assert not long_files(package(client="\n" * MAX_LINES))


def test_a_name_that_is_not_listed_or_not_there_is_seen() -> None:
    made_up = ModuleType(PACKAGE)
    vars(made_up).update(__all__=["Listed", "Missing"], Listed=1, Unlisted=1, _private=1, sys=sys)
    assert unlisted(made_up) == ["Missing", "Unlisted"]


def test_an_import_that_needs_an_extra_is_seen() -> None:
    outcome = import_with(BASE_INSTALL, ["pytest"])
    assert "No module named 'pytest'" in outcome.stderr


def test_a_missing_dependency_is_seen() -> None:
    without_orjson = tuple(name for name in BASE_INSTALL if name != "orjson")
    outcome = import_with(without_orjson, base_modules(read_package()))
    assert "No module named 'orjson'" in outcome.stderr
