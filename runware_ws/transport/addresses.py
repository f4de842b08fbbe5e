"""Connect to a host by its name, trying one address after the other.

The functions of asyncio and trio for this use the program's own worker threads, which may all be
waiting for the client.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio

from .threads import run_in_thread

T = TypeVar("T")
# Seconds for an address while there are others. A network may drop packets of one kind of address.
_PATIENCE = 2.0


async def connect_to(host: str, port: int, connect: Callable[[str], Awaitable[T]]) -> T:
    """Call `connect` with the addresses of a host until one works, and return its result.

    Raises:
        OSError: the host has no address, or the last of them does not work either.
    """
    return await connect_to_one_of(await addresses_of(host, port), connect)


async def connect_to_one_of(addresses: list[str], connect: Callable[[str], Awaitable[T]]) -> T:
    """Call `connect` with each address until one works, and return its result.

    Raises:
        OSError: the last of them does not work either.
    """
    *others, last = addresses
    for address in others:
        with suppress(OSError), anyio.move_on_after(_PATIENCE):
            return await connect(address)
    return await connect(last)


async def addresses_of(host: str, port: int) -> list[str]:
    """Return the addresses of a host, each once.

    Raises:
        OSError: it has no address.
    """
    try:
        found = _look_up(host, port, socket.AI_NUMERICHOST)
    except OSError:  # it is a name
        found = await run_in_thread(_look_up, host, port, 0, abandon_on_cancel=True)
    return list(dict.fromkeys(found))


def _look_up(host: str, port: int, flags: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [str(where[0]) for *_, where in found]
