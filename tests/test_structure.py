"""Enforce the rules of the architecture that import-linter and ruff cannot say: pyproject.toml has
the others.

A check takes the package's modules, as a mapping of names to texts, and returns what it objects to;
for each there is a made-up package that breaks the rule.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import runware_ws
from runware_ws.protocol import tasks
from runware_ws.protocol.tasks import TRANSITIONS, Stage, Transition

PACKAGE = "runware_ws"
ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400  # without docstrings, so that nobody writes less of them

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
    *("typer", "rich", "httpx", "httpcore", "starlette", "uvicorn", "PIL", "trio"),
    *("opentelemetry", "pytest", "pyvips", "numpy"),
}
NEEDS_AN_EXTRA = tuple(
    f"{PACKAGE}.{name}"
    for name in (
        *("cli", "emulator", "http", "large", "pytest_plugin", "telemetry"),
        "transport.on_trio",
    )
)
NO_VERBS = {"What", "Whatever", "When", "Where", "Whether", "Which", "Who", "Whoever", "Whose"}
NO_VERBS |= {"Why", "How"}

Source = Mapping[str, str]


def read_package() -> dict[str, str]:
    """Return the text of every module, an `__init__.py` under its package's name."""
    source = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        source[name] = path.read_text(encoding="utf-8")
    return source


# Imports


def contracts_hold(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter with the contracts of pyproject.toml on the package in a folder."""
    command = Path(sys.executable).with_name("lint-imports")
    configuration = ROOT / "pyproject.toml"
    return subprocess.run(
        [command, "--no-cache", "--no-logo", "--config", configuration],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def imports_of_modules() -> dict[str, set[str]]:
    """Return which modules each one imports; of other packages their names alone."""
    grimp = pytest.importorskip("grimp", reason="it is in the extra `test` only")
    graph = grimp.build_graph(
        PACKAGE,
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def cycles(edges: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def undeclared(edges: Mapping[str, set[str]]) -> set[str]:
    """Return imports that work only while a dependency happens to bring along one of its own."""
    outside = {name for name in edges if name.partition(".")[0] != PACKAGE}
    return outside - DECLARED - sys.stdlib_module_names


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
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def base_modules(source: Source) -> list[str]:
    return [module for module in source if not module.startswith(NEEDS_AN_EXTRA)]


def test_the_contracts_of_the_rooms_hold() -> None:
    pytest.importorskip("importlinter", reason="it is in the extra `test` only")
    done = contracts_hold(ROOT)
    assert done.returncode == 0, done.stdout


def test_no_module_imports_itself_in_a_circle() -> None:
    assert not cycles(imports_of_modules())


def test_only_what_is_declared_is_imported() -> None:
    assert not undeclared(imports_of_modules())


def test_a_base_install_imports_with_only_its_three_dependencies() -> None:
    outcome = import_with(BASE_INSTALL, base_modules(read_package()))
    assert outcome.returncode == 0, outcome.stderr


def test_a_circle_is_seen() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_an_undeclared_import_is_seen() -> None:
    assert undeclared({f"{PACKAGE}.a": {"idna"}, "idna": set(), "os": set(), "trio": set()})


def test_an_import_that_needs_an_extra_is_seen() -> None:
    outcome = import_with(BASE_INSTALL, ["pytest"])
    assert "No module named 'pytest'" in outcome.stderr


def test_a_missing_dependency_is_seen() -> None:
    without_orjson = tuple(name for name in BASE_INSTALL if name != "orjson")
    outcome = import_with(without_orjson, base_modules(read_package()))
    assert "No module named 'orjson'" in outcome.stderr


# Sizes and names


def long_files(source: Source) -> list[str]:
    counts = {module: lines_without_docstrings(text) for module, text in source.items()}
    return [f"{module}: {count} lines" for module, count in counts.items() if count > MAX_LINES]


def lines_without_docstrings(text: str) -> int:
    docstrings = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if ast.get_docstring(node)
    ]
    covered = sum((one.end_lineno or one.lineno) - one.lineno + 1 for one in docstrings)
    return len(text.splitlines()) - covered


def types_with_two_owners(source: Source) -> list[str]:
    """Return the names that several classes or aliases have, also with a leading underscore."""
    names = Counter(
        name.lstrip("_")
        for module, text in source.items()
        if module != f"{PACKAGE}.sync"  # whose classes are twins of the others
        for name in _types_in(ast.parse(text))
    )
    return [name for name, count in names.items() if count > 1]


def _types_in(module: ast.Module) -> Iterator[str]:
    """Yield the names of all classes, and of the aliases, which look like classes: `Picture`."""
    yield from (node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef))
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        for target in targets:
            if isinstance(target, ast.Name) and re.fullmatch(r"_*[A-Z]\w*[a-z]\w*", target.id):
                yield target.id


def unlisted(package: ModuleType) -> list[str]:
    """Return the names by which `__all__` and what is there to be imported differ."""
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


def test_no_file_is_longer_than_a_reader_bears() -> None:
    assert not long_files(read_package())


def test_no_name_of_a_type_has_two_owners() -> None:
    assert not types_with_two_owners(read_package())


def test_the_package_lists_exactly_what_is_public() -> None:
    assert not unlisted(runware_ws)


def test_a_long_file_is_seen() -> None:
    assert long_files({"client": "\n" * (MAX_LINES + 1)})
    assert not long_files({"client": '"""Hold.\n\nTogether.\n"""' + "\n" * MAX_LINES})


@pytest.mark.parametrize(
    "other",
    [
        "class Session: ...",
        "class _Session: ...",
        "class A:\n    class Session: ...",
        "Session = str | int",
        "_Session: TypeAlias = str",
    ],
)
def test_a_name_of_a_type_with_two_owners_is_seen(other: str) -> None:
    assert types_with_two_owners({"a": "class Session: ...", "b": other}) == ["Session"]


def test_names_of_types_with_one_owner_are_not_objected_to() -> None:
    source = {"a": "class Session: ...", "b": "class Link: ...", "c": "SESSION = session = T = 1"}
    assert not types_with_two_owners(source)


def test_a_name_that_is_not_listed_or_not_there_is_seen() -> None:
    made_up = ModuleType(PACKAGE)
    vars(made_up).update(__all__=["Listed", "Missing"], Listed=1, Unlisted=1, _private=1, sys=sys)
    assert unlisted(made_up) == ["Missing", "Unlisted"]


# Docstrings


def openings_without_a_verb(source: Source) -> list[str]:
    return [
        f"{module}: {docstring.splitlines()[0]}"
        for module, text in source.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if (docstring := ast.get_docstring(node))
        if docstring.split()[0] in NO_VERBS
    ]


def undocumented(function: Callable[..., Any], docstring: str | None) -> list[str]:
    """Return the parameters that the section ``Args`` of a docstring does not name."""
    section = (docstring or "").partition("Args:\n")[2]
    named = re.findall(r"^ *(\w+(?:, \w+)*): ", section, re.MULTILINE)
    documented = {name for names in named for name in names.split(", ")}
    parameters = [name.lstrip("_") for name in inspect.signature(function).parameters]
    return [name for name in parameters if name not in documented | {"self"}]


def public_functions() -> Iterator[tuple[str, Callable[..., Any], str | None]]:
    """Yield the public methods of public classes, and those classes that users construct."""
    yield PACKAGE, runware_ws.RunwareClient.__init__, runware_ws.RunwareClient.__doc__
    for name in runware_ws.__all__:
        cls = getattr(runware_ws, name)
        if inspect.isclass(cls) and cls.__module__.startswith(PACKAGE):
            for method, value in inspect.getmembers(cls, inspect.isfunction):
                if method[0] != "_" and value.__module__.startswith(PACKAGE):
                    yield f"{name}.{method}", value, value.__doc__


def test_no_docstring_opens_like_a_question() -> None:
    assert not openings_without_a_verb(read_package())


def test_each_parameter_of_public_methods_is_documented() -> None:
    found = {name: undocumented(one, text) for name, one, text in public_functions()}
    assert {"RunwareClient.upscale", "UpscaleResult.save", "UpscaleTask.result"} <= set(found)
    assert not {name: missing for name, missing in found.items() if missing}


def test_a_docstring_without_a_verb_is_seen() -> None:
    assert openings_without_a_verb({"a": 'def f():\n    """Whether it is open."""'})
    assert openings_without_a_verb({"a": '"""How it is done."""'})
    assert not openings_without_a_verb({"a": 'class A:\n    """Return whether it is open."""'})


def test_an_undocumented_parameter_is_seen() -> None:
    def function(image: str, *, timeout: float) -> None:
        raise NotImplementedError

    assert undocumented(function, "Upscale.\n\nArgs:\n    image: an image.") == ["timeout"]
    assert not undocumented(function, "Upscale.\n\nArgs:\n    image, timeout: these.")


def test_the_table_of_a_task_is_the_one_in_its_docstring() -> None:
    rows = [["", *Transition]]
    rows += [[stage, *(TRANSITIONS[one].get(stage, "-") for one in Transition)] for stage in Stage]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "    " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    assert "\n".join(line.rstrip() for line in lines) in (tasks.__doc__ or "")
