"""A server with its own event loop in a background thread, and its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Self, TypeVar

import anyio
import anyio.to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

_T = TypeVar("_T")
_BACKLOG = 1024


class BackgroundServer(ABC):
    """A server in a background thread, so that it can be used from any event loop or thread.

    A subclass defines how to serve a socket. This class starts and stops the server, with `start`
    and `stop`, ``with``, or ``async with`` on asyncio and on trio.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 for a free one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._running = ExitStack()  # closes the server, the portal and the socket

    @abstractmethod
    def _serving(self, listening: socket.socket) -> AbstractAsyncContextManager[None]:
        """Return a context manager within which a listening socket is served, on asyncio."""

    def start(self) -> None:
        """Start the server, and return when it accepts connections.

        After `stop` it can be started again, with the same port.

        Raises:
            OSError: the address cannot be listened on.
            RuntimeError: it is running.
        """
        with self._lock, ExitStack() as stack:
            if self._portal is not None:
                raise RuntimeError(f"the {type(self).__name__.lower()} is running")
            listening = stack.enter_context(listen(*self._address))
            self._address = (self._address[0], listening.getsockname()[1])
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._serving(listening)))
            self._portal, self._running = portal, stack.pop_all()

    def stop(self) -> None:
        """Close all connections and stop, within seconds. It may be called repeatedly."""
        with self._lock:
            self._portal, running, self._running = None, self._running, ExitStack()
        running.close()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _authority(self) -> str:
        """The address in the form of a URL."""
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def _state(self) -> str:
        return "stopped" if self._portal is None else "running"

    def _call(self, action: Callable[[], _T]) -> _T:
        """Call a function in the server's thread, or in this one if the server is stopped."""
        with self._lock:
            return action() if self._portal is None else self._portal.call(action)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    It is created with the protocol number of TCP, which accepted sockets inherit: asyncio sets
    TCP_NODELAY only on sockets with it. Otherwise, an answer in two writes would wait 40 ms for the
    client's delayed acknowledgment.

    Raises:
        OSError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, bound.detach())


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection at once. With a linger time of 0, the system sends RST instead of FIN."""
    with contextlib.suppress(OSError):  # it has ended by itself
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
