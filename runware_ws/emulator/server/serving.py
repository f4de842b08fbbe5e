"""uvicorn on a thread of its own: starts at once, stops within a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal, TypeAlias

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from .app import make_app
from .host import Host

__all__ = ["ServerThread", "listener"]

_GRACE = 0.5  # seconds for peers to take what is written, when the server stops
_BACKLOG = 1024
# The loop of the thread, and the event that stops it.
_Handle: TypeAlias = tuple[asyncio.AbstractEventLoop, asyncio.Event]


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens, made before the server is, so that a taken port is an error here.

    Raises:
        OSError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


class _Protocol(WebSocketsSansIOProtocol):
    """Logs no frames, whatever the log level, and lets the application cut the connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.debug = False  # the first frame holds the key

    async def run_asgi(self) -> None:
        self.scope["state"].update(abort=self.transport.abort, cut=self._cut)
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # it is over; uvicorn forgets it, and logs an error

    def _cut(self, how: Literal["abort", "reset"]) -> None:
        """End the connection without a WebSocket goodbye; see `Cut`."""
        if how == "abort":
            self.transport.close()
            return
        # With no time to linger, the system says RST instead of FIN.
        with contextlib.suppress(OSError):  # it has ended by itself
            linger = struct.pack("ii", 1, 0)
            peer = self.transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def shutdown(self) -> None:
        # The peer may be closing already, which uvicorn does not expect here.
        with contextlib.suppress(InvalidState):
            super().shutdown()
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server, told to stop by an event instead of by asking every 100 ms."""

    def __init__(self, config: uvicorn.Config, host: Host, handle: Future[_Handle]) -> None:
        super().__init__(config)
        self._host = host
        self._handle = handle

    async def main_loop(self) -> None:
        await self.on_tick(0)
        stopping = asyncio.Event()
        self._handle.set_result((asyncio.get_running_loop(), stopping))
        await stopping.wait()
        await self._close_connections()

    async def _close_connections(self) -> None:
        """Say goodbye to each client; cut off whoever does not take it in time."""
        for server in self.servers:
            server.close()
        self._host.refuse_requests()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := self.server_state.tasks:
            await asyncio.wait(tasks, timeout=_GRACE)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the loop tells the connections


class ServerThread:
    """Runs the server on a thread of its own, until `stop`.

    Args:
        listening: the socket, from `listener`; it belongs to the thread from now on.
        make_host: makes the host, on the thread's event loop.
        max_frame_bytes: the largest WebSocket frame that is accepted.
    """

    def __init__(
        self, listening: socket.socket, make_host: Callable[[], Host], max_frame_bytes: int
    ) -> None:
        self._listening = listening
        self._make_host = make_host
        self._max_frame_bytes = max_frame_bytes
        self._handle: Future[_Handle] = Future()
        self._thread = threading.Thread(target=self._run, name="runware-emulator", daemon=True)

    def start(self) -> None:
        """Return once connections are accepted; raise whatever prevents it."""
        self._thread.start()
        try:
            self._handle.result()
        except BaseException:
            self._thread.join()
            raise

    def stop(self) -> None:
        """Close all connections, stop, and wait for the end. From any other thread."""
        loop, stopping = self._handle.result()
        loop.call_soon_threadsafe(stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if self._handle.done():
                raise
            self._handle.set_exception(error)
        finally:
            self._listening.close()

    async def _main(self) -> None:
        host = self._make_host()
        try:
            config = uvicorn.Config(
                make_app(host),
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                ws=_Protocol,
                ws_max_size=self._max_frame_bytes,
                ws_ping_interval=None,  # only messages keep a connection alive [D]
                ws_per_message_deflate=False,
            )
            await _Server(config, host, self._handle).serve(sockets=[self._listening])
        finally:
            await host.aclose()
