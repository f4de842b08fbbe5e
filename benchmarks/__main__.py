"""``python -m benchmarks``: see README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from .clients import CLIENTS
from .peers import find_pythons
from .plots import draw
from .rounds import Result, run_rounds
from .summary import Cell, Summary, summarise
from .table import lines
from .workloads import WORKLOADS, chosen

_Parsed = TypeVar("_Parsed")
_PLOTS = Path(__file__).parent / "plots"


def main() -> None:
    """Run what the command line asks for."""
    arguments = _parser().parse_args()
    pythons = find_pythons(arguments.clients, _tell)
    result = run_rounds(arguments.workloads, pythons, arguments.rounds, arguments.quick, _tell)
    summary = summarise(result)
    print("\n".join(lines(summary)))
    if arguments.json:
        text = json.dumps(_record(result, summary), indent=1, default=_plain)
        arguments.json.write_text(text + "\n")
    if arguments.plots:
        draw(summary, arguments.plots)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the client beside others."
    )
    parser.add_argument(
        "--workloads", type=_checked(chosen), default=list(WORKLOADS), help="such as a,c,g3"
    )
    parser.add_argument(
        "--clients",
        type=_checked(_clients),
        default=list(CLIENTS),
        help=f"of {', '.join(CLIENTS)}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--quick", action="store_true", help="a quarter of the tasks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", nargs="?", const=_PLOTS, help="draw the plots"
    )
    return parser


def _clients(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CLIENTS]:
        raise ValueError(f"no such client: {', '.join(unknown)}")
    return names


def _checked(parse: Callable[[str], _Parsed]) -> Callable[[str], _Parsed]:
    """`parse`, with its complaint shown to the user."""

    def checked(text: str) -> _Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _record(result: Result, summary: Summary) -> dict[str, Any]:
    """What is written: where it was measured, each round, and what is printed."""
    packages = ("websockets", "orjson", "anyio", "trio", "uvloop", "picows")
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "versions": {name: _version(name) for name in packages},
        "rounds": result,
        "summary": summary,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plain(value: object) -> object:
    if isinstance(value, Cell):
        return asdict(value)
    raise TypeError(type(value).__name__)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
