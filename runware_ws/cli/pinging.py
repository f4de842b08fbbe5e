"""The command ``ping``: how long a message takes to the service and back."""

from __future__ import annotations

import time
from functools import partial

import anyio
import typer

from .connect import Target, connected

__all__ = ["ping"]


async def ping(target: Target, count: int, interval: float) -> int:
    """Connect, and measure `count` round trips.

    Raises:
        InputError: an option is wrong, or there is no key.
        AuthenticationError: the key was refused.
        ConnectionLostError: there is no connection, or it was lost meanwhile.
    """
    began = time.monotonic()
    async with connected(target, partial(typer.echo, err=True)) as client:
        typer.echo(f"connected in {_milliseconds(time.monotonic() - began)}")
        trips: list[float] = []
        for number in range(1, count + 1):
            if trips:
                await anyio.sleep(interval)
            trips.append(await client.ping())
            typer.echo(f"ping {number}: {_milliseconds(trips[-1])}")
    typer.echo(
        f"fastest {_milliseconds(min(trips))}, "
        f"mean {_milliseconds(sum(trips) / count)}, "
        f"slowest {_milliseconds(max(trips))}"
    )
    return 0


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
