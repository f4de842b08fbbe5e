"""The command ``emulate``: an emulator that runs until it is stopped."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import typer

from ..settings import is_loopback
from .complaints import UsageError
from .connect import make_emulator

if TYPE_CHECKING:
    from ..emulator import Emulator

__all__ = ["emulate_until_stopped"]


async def emulate_until_stopped(host: str, port: int, **arguments: Any) -> int:
    """Run an emulator until Ctrl-C or SIGTERM, which are its proper end.

    Raises:
        UsageError: an argument is wrong, or the port cannot be listened on.
    """
    try:
        emulator = make_emulator(host=host, port=port, **arguments)
        await anyio.to_thread.run_sync(emulator.start)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
    try:
        typer.echo(_greeting(emulator, host))
        with suppress(asyncio.CancelledError):
            await anyio.sleep_forever()
    finally:
        emulator.stop()
    typer.echo(f"\nstopped; images upscaled: {sum(emulator.executions.values())}")
    return 0


def _greeting(emulator: Emulator, host: str) -> str:
    lines = [
        f"emulator at {emulator.url}, REST at {emulator.http_url}/v1",
        "Lanczos stands in for the model, and costs are made up. Ctrl-C stops it.",
        "",
        "To use it, in another terminal:",
        f"  export RUNWARE_URL={emulator.url}",
        f"  export RUNWARE_API_KEY={shlex.quote(emulator.api_key)}",
    ]
    if not is_loopback(host):
        lines += ["", "Other machines can reach it, unencrypted: clients must --allow-insecure."]
    return "\n".join(lines)
