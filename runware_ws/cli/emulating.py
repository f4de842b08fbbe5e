"""The command ``emulate``: an emulator that runs until it is stopped."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import typer

from ..emulator.faults.script import Script, fault_of, read_script
from ..errors import InputError
from ..settings import is_loopback
from .complaints import UsageError
from .connect import make_emulator

if TYPE_CHECKING:
    from ..emulator import Emulator

__all__ = ["emulate_until_stopped", "script_from"]


def script_from(file: Path | None, lines: Sequence[str], seed: int | None) -> Script:
    """What is to go wrong: the faults of a file, and then those of single lines.

    Raises:
        UsageError: one of them is wrong.
    """
    try:
        script = read_script(file) if file is not None else Script()
        faults = (*script.faults, *map(fault_of, lines))
    except InputError as error:
        raise UsageError(str(error)) from None
    return Script(faults, script.seed if seed is None else seed)


async def emulate_until_stopped(host: str, port: int, script: Script, **arguments: Any) -> int:
    """Run an emulator until Ctrl-C or SIGTERM, which are its proper end.

    Raises:
        UsageError: an argument is wrong, or the port cannot be listened on.
    """
    key = arguments.get("api_key")
    if key is not None and not key.strip():
        raise UsageError("--key: is empty, and no client sends such a key; leave it out")
    try:
        emulator = make_emulator(
            host=host, port=port, faults=script.faults, seed=script.seed, **arguments
        )
        await anyio.to_thread.run_sync(emulator.start)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
    try:
        typer.echo(_greeting(emulator, host))
        if script.faults:
            typer.echo(f"\nfaults: {len(script.faults)}, drawn from seed {emulator.seed}")
        with suppress(asyncio.CancelledError):
            await anyio.sleep_forever()
    finally:
        emulator.stop()
    typer.echo(f"\nstopped; images upscaled: {sum(emulator.executions.values())}")
    if script.faults:
        struck = emulator.faults_struck.most_common()
        typer.echo("faults: " + (", ".join(f"{kind} {times}" for kind, times in struck) or "none"))
    return 0


def _reachable(url: str) -> str:
    """Where this machine finds it: "all addresses" can be listened on, not connected to."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _greeting(emulator: Emulator, host: str) -> str:
    lines = [
        f"emulator at {emulator.url}, REST at {emulator.http_url}/v1",
        "Lanczos stands in for the model, and costs are made up. Ctrl-C stops it.",
        "",
        "To use it, in another terminal:",
        f"  export RUNWARE_URL={_reachable(emulator.url)}",
        f"  export RUNWARE_API_KEY={shlex.quote(emulator.api_key)}",
    ]
    if not is_loopback(host):
        lines += ["", "Other machines can reach it, unencrypted: clients must --allow-insecure."]
    return "\n".join(lines)
