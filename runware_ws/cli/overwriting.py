"""The permission to overwrite files: asked for on a terminal, refused anywhere else."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from .errors import UsageError, one_line
from .inputs import Tally
from .plan import Plan

_QUESTION = "Overwrite them? [y]es, [s]kip these images, [N]o: "


def resolve_conflicts(plan: Plan, out: Path, *, redo_outdated: bool) -> None:
    """Ask for permission to overwrite files. Skip the images of these files if the user says so.

    Args:
        plan: the plan, from which images are removed.
        out: the output folder.
        redo_outdated: whether results whose inputs have changed may be overwritten.

    Raises:
        UsageError: the user refuses, or cannot be asked.
    """
    conflicts = plan.conflicts(redo_outdated=redo_outdated)
    count = conflicts.counts.total()
    if not count:
        return
    problem = f"{count} of {plan.total} results would overwrite files in {one_line(out)}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{problem}: {'; '.join(conflicts.lines())}; {_remedy(conflicts)}")
    typer.echo(f"{problem}:", err=True)
    for line in conflicts.lines("  {names} ({reason})"):
        typer.echo(line, err=True)
    answer = _ask()
    if answer in ("s", "skip"):
        plan.keep_all(redo_outdated=redo_outdated)
    elif answer not in ("y", "yes"):
        raise UsageError("nothing was sent")


def _remedy(conflicts: Tally) -> str:
    if "up to date" in conflicts.counts:
        return "add --skip-existing to keep those that are up to date, or --overwrite"
    return "add --overwrite, or choose another --out or --name"


def _ask() -> str:
    with _plain_interrupts():
        typer.echo(_QUESTION, err=True, nl=False)
        return sys.stdin.readline().strip().lower()


@contextmanager
def _plain_interrupts() -> Iterator[None]:
    """Let Ctrl-C interrupt the prompt; the handler of asyncio only cancels a task."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
