"""Runs the work of a command, and turns however it ends into an exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from ..errors import AuthenticationError, InputError, MissingExtraError, RunwareError
from .complaints import UsageError, explain

__all__ = ["FAILED", "exit_on_error", "exit_with"]

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_USAGE_ERRORS = (UsageError, InputError, AuthenticationError, MissingExtraError)


def exit_with(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run it on asyncio, and exit with the status that it returns.

    On Ctrl-C, asyncio's runner cancels it, so that it can end in good order; on another one, it
    ends there and then.
    """
    raise typer.Exit(asyncio.run(work))


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Say what is wrong, and exit with the status that fits."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except (UsageError, RunwareError) as error:
        typer.echo(f"error: {explain(error)}", err=True)
        raise typer.Exit(USAGE if isinstance(error, _USAGE_ERRORS) else FAILED) from None
