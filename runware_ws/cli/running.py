"""Runs the work of a command, and turns however it ends into an exit status."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer

from ..errors import (
    AuthenticationError,
    InputError,
    JournalError,
    MissingExtraError,
    RunwareError,
)
from .complaints import UsageError, explain

__all__ = ["FAILED", "exit_on_error", "exit_with"]

FAILED, USAGE = 1, 2
INTERRUPTED, TERMINATED = 130, 143  # 128 and the signal, as shells have it
_USAGE_ERRORS = (UsageError, InputError, AuthenticationError, JournalError, MissingExtraError)


def exit_with(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run it on asyncio, and exit with the status that it returns.

    Ctrl-C (by asyncio's own runner) and SIGTERM cancel it, so that it can end in good order; on
    a second Ctrl-C it ends there and then.
    """
    raise typer.Exit(asyncio.run(_cancelled_on_sigterm(work)))


async def _cancelled_on_sigterm(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    if task is not None:
        with suppress(NotImplementedError):  # Windows has none
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Say what is wrong, and exit with the status that fits."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
    except (UsageError, RunwareError) as error:
        typer.echo(f"error: {explain(error)}", err=True)
        raise typer.Exit(USAGE if isinstance(error, _USAGE_ERRORS) else FAILED) from None
