"""The exit statuses of the commands."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn

import typer

from ..errors import AuthenticationError, InputError, JournalError, MissingExtraError, RunwareError
from .errors import UsageError, error_message

SUCCESS, FAILED, USAGE = 0, 1, 2
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
_USAGE_ERRORS = (UsageError, InputError, AuthenticationError, JournalError, MissingExtraError)


def exit_with(command: Coroutine[Any, Any, int]) -> NoReturn:
    """Run `command`, and exit with the status that it returns.

    An expected error is printed on one line. Ctrl-C and SIGTERM cancel the command, so that it
    can clean up; a second Ctrl-C ends it immediately.
    """
    raise typer.Exit(_run(command))


def _run(command: Coroutine[Any, Any, int]) -> int:
    try:
        return asyncio.run(_cancelled_by_sigterm(command))
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    except (UsageError, RunwareError) as error:
        typer.echo(f"error: {error_message(error)}", err=True)
        return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED


async def _cancelled_by_sigterm(command: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    if task is not None:
        with suppress(NotImplementedError):  # on Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await command
