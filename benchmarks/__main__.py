"""``python -m benchmarks``: see README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .arguments import checked, clients, file, require, rounds
from .clients import CLIENTS
from .peers import find_pythons, version_of
from .plots import draw
from .rounds import Result, run_rounds
from .summary import Cell, Summary, summarise
from .table import text_of, write_into
from .workloads import WORKLOADS, chosen

_FOLDER = Path(__file__).parent
_PLOTS = _FOLDER / "plots"


def main() -> None:
    """Run what the command line asks for."""
    parser = _parser()
    arguments = parser.parse_args()
    require(parser, "picows", "uvloop", "matplotlib")
    pythons = find_pythons(arguments.clients, _tell)
    result = run_rounds(arguments.workloads, pythons, arguments.rounds, arguments.quick, _tell)
    summary = summarise(result)
    print(text_of(summary), end="")
    if arguments.json:
        how = {"rounds": arguments.rounds, "quick": arguments.quick}
        record = how | _record(result, summary, pythons)
        arguments.json.write_text(json.dumps(record, indent=1, default=_plain) + "\n")
    if arguments.plots:
        draw(summary, arguments.plots)
        (arguments.plots / "figures.txt").write_text(text_of(summary))
    if arguments.readme:
        write_into(_FOLDER / "README.md", summary)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the client beside others."
    )
    parser.add_argument(
        "--workloads", type=checked(chosen), default=list(WORKLOADS), help="such as a,c,g3"
    )
    parser.add_argument(
        "--clients", type=clients, default=list(CLIENTS), help=f"of {', '.join(CLIENTS)}"
    )
    parser.add_argument("--rounds", type=rounds, default=5, help="default 5")
    parser.add_argument("--quick", action="store_true", help="a quarter of the tasks")
    parser.add_argument("--json", type=file, metavar="FILE", help="write all figures")
    parser.add_argument(
        "--plots",
        type=Path,
        metavar="FOLDER",
        nargs="?",
        const=_PLOTS,
        help="draw the plots",
    )
    parser.add_argument("--readme", action="store_true", help="write the table of README.md")
    return parser


def _record(result: Result, summary: Summary, pythons: dict[str, str]) -> dict[str, Any]:
    """What is written: where it was measured, each round, and what is printed."""
    packages = ("websockets", "orjson", "anyio", "trio", "uvloop", "picows", "httpx", "pyvips")
    peers = {CLIENTS[client].peer: python for client, python in pythons.items()}
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in packages}
        | {peer: version_of(peer, python) for peer, python in peers.items() if peer},
        "turns": result,
        "summary": summary,
    }


def _plain(value: object) -> object:
    if isinstance(value, Cell):
        return asdict(value)
    raise TypeError(type(value).__name__)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
