"""Several rounds of all runs, the clients by turns, so that a busy machine is busy for all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from .apart import APART, run_apart
from .clients import takes_part
from .job import Figures
from .runs import RunFailedError, run
from .startup import STARTUP_CLIENTS, start
from .workloads import Kind, Workload

__all__ = ["Result", "input_file", "run_rounds"]

Result = dict[str, dict[str, list[Figures] | str]]
"""Workload → client → the figures of each turn, or why there are none."""


def run_rounds(
    workloads: Sequence[Workload],
    pythons: dict[str, str],
    rounds: int,
    quick: bool,
    tell: Callable[[str], None],
) -> Result:
    """Run everything.

    Args:
        workloads: what is run.
        pythons: the clients, and the interpreter of each.
        rounds: how often.
        quick: whether only a quarter of the tasks are done.
        tell: called with each step, in words.
    """
    result: Result = {one.key: {} for one in workloads}
    for workload in workloads:
        with input_file(workload.file_bytes) as file:
            tasks = workload.count(quick)
            turns = rounds * workload.turns
            for number in range(turns):
                for client in _in_turn(workload, list(pythons), number):
                    tell(f"{workload.key} turn {number + 1} of {turns}: {client}")
                    _once(
                        result[workload.key],
                        client,
                        partial(_figures, workload, client, pythons.get(client, ""), tasks, file),
                    )
    return result


def _in_turn(workload: Workload, clients: list[str], number: int) -> list[str]:
    """Who takes part, each turn beginning with another one."""
    if workload.kind is Kind.STARTUP:
        return list(STARTUP_CLIENTS)
    taking = [client for client in clients if takes_part(client, workload.name)]
    first = number % max(len(taking), 1)
    return taking[first:] + taking[:first]


def _once(
    cells: dict[str, list[Figures] | str], client: str, measure: Callable[[], Figures]
) -> None:
    """Add a turn to a client's cell, unless it failed before."""
    cell = cells.setdefault(client, [])
    if isinstance(cell, str):
        return
    try:
        cell.append(measure())
    except RunFailedError as error:
        cells[client] = str(error)


def _figures(workload: Workload, client: str, python: str, tasks: int, file: Path) -> Figures:
    if workload.kind is Kind.STARTUP:
        return start(client)
    if workload.kind in APART:
        return run_apart(workload, client, python, tasks)
    return run(workload, client, python, tasks, file)


@contextmanager
def input_file(size: int) -> Iterator[Path]:
    """A file that looks like a JPEG; no client looks any closer."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photograph.jpg"
        file.write_bytes(b"\xff\xd8\xff\xe0" + Random(2).randbytes(max(size - 4, 0)))
        yield file
