"""Check that what stands in two places stands there alike."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import runware_ws._version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(text: str, operator: str) -> dict[str, str]:
    """The version of each requirement in the text, one a line, that has the operator."""
    found = re.findall(rf"^([a-z-]+)(?:\[[a-z,]+\])?{operator}([\d.]+)$", text, re.MULTILINE)
    return dict(found)


def test_the_lowest_versions_that_are_tested_are_the_floors_of_the_project() -> None:
    asked = [*PROJECT["dependencies"], *EXTRAS["cli"], *EXTRAS["http"], *EXTRAS["emulator"]]
    asked += [*EXTRAS["trio"], *EXTRAS["images"], *EXTRAS["otel"], *EXTRAS["large"]]
    tested = pins((ROOT / ".ci/lowest.txt").read_text(encoding="utf-8"), "==")
    assert pins("\n".join(asked), ">=") == {
        name: floor for name, floor in tested.items() if name not in ("click", "trio")
    }


def test_every_extra_for_use_is_in_all() -> None:
    (everything,) = EXTRAS["all"]
    listed = set(everything.removeprefix("runware-ws[").removesuffix("]").split(","))
    not_for_use = {"all", "test", "dev"}
    assert listed == set(EXTRAS) - not_for_use - {"ray"}  # Ray is larger than all the others


def test_the_version_installed_is_the_one_written_down() -> None:
    assert version("runware-ws") == runware_ws._version.__version__


def test_importing_it_imports_only_what_most_programs_need() -> None:
    seldom = {"sqlite3", "httpx", "html", "runware_ws.doctor.profile", "runware_ws.http.pool"}
    seldom |= {f"runware_ws.journal.{name}" for name in ("changes", "loading", "store", "writer")}
    code = f"import runware_ws, sys; print({seldom!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_readme_opens_with_the_two_commands_each_on_a_line_of_its_own() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    upscale, test = (block.splitlines() for block in blocks[:2])
    assert len(upscale) == len(test) == 1
    assert upscale[0].startswith("python3 -m venv .venv && ")
    assert test[0].startswith("python3 -m venv .venv && ")


def test_on_pypi_the_readme_has_no_relative_links(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hatchling", reason="it is not among the lowest versions")
    spec = importlib.util.spec_from_file_location("readme", ROOT / ".github" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/runware-ws")
    monkeypatch.setenv("GITHUB_REF_NAME", "v1.2.3")
    metadata: dict[str, dict[str, str]] = {}
    module.ReadmeHook(str(ROOT), {}).update(metadata)
    text = metadata["readme"]["text"]
    assert "(https://github.com/somebody/runware-ws/raw/v1.2.3/.github/before-after.jpg)" in text
    assert "(https://github.com/somebody/runware-ws/blob/v1.2.3/.github/LICENSE)" in text
    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)", text)
