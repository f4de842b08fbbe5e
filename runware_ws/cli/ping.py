"""The command ``ping``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import anyio
import typer

from .connection import connect
from .exit_status import SUCCESS
from .options import ConnectionArguments


@dataclass(frozen=True, kw_only=True)
class PingArguments:
    """The options of ``ping``."""

    count: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Number of pings.")] = 4
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Time between two pings.")
    ] = 0.5


async def ping(arguments: PingArguments, connection: ConnectionArguments) -> int:
    """Check the key and the connection.

    Print the time to connect, and the round-trip time of each ping.

    \b
    Examples:
      runware-ws ping
      runware-ws ping --count 1
      runware-ws ping --emulator    # try it without a key

    \b
    Exit status:
      0         each ping was answered
      1         no connection, or it was lost
      2         wrong arguments, no key, or the key was refused
      130, 143  stopped by Ctrl-C or SIGTERM
    """
    started = time.monotonic()
    async with connect(connection, partial(typer.echo, err=True)) as client:
        typer.echo(f"connected in {_milliseconds(time.monotonic() - started)}")
        times: list[float] = []
        for number in range(1, arguments.count + 1):
            if times:
                await anyio.sleep(arguments.interval)
            times.append(await client.ping())
            typer.echo(f"ping {number}: {_milliseconds(times[-1])}")
    typer.echo(
        f"fastest {_milliseconds(min(times))}, "
        f"mean {_milliseconds(sum(times) / len(times))}, "
        f"slowest {_milliseconds(max(times))}"
    )
    return SUCCESS


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
