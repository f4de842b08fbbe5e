"""A WebSocket connection, which converts bytes to frames for the host, and effects to bytes.

uvicorn hands a connection over when it is upgraded. From then on it is read and written with the
Sans-I/O protocol of the library websockets, of which only public parts are used.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from http.client import responses
from typing import Any, cast
from urllib.parse import parse_qs

from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from ..service.effects import Close, Cut, Push
from ..service.sessions import ServiceConnection
from .background import reset
from .host import Host

_PATHS = ("/v1", "/v1/")
# Limits of the bytes that a peer has not read yet. Above the first, no input is read from the peer.
# Above the second, the connection ends; only answers to earlier requests can exceed it.
_HIGH_WATER_BYTES = 16 * 1024 * 1024
_MAX_UNSENT_BYTES = 256 * 1024 * 1024
_MAX_UNAUTHENTICATED_BYTES = 64 * 1024  # from a peer before it has authenticated
_CLOSE_TIMEOUT = 2.0  # seconds for a peer to answer a close frame
# The first frame holds the key, so no frame may be logged, whatever the program's log level.
_QUIET = logging.Logger("websocket", logging.CRITICAL)  # noqa: LOG001 - it must have no parent


class WebSocketConnection(asyncio.Protocol):
    """One WebSocket connection. The future `closed` is done when it has ended."""

    def __init__(
        self,
        host: Host,
        connections: set[WebSocketConnection],
        max_frame_bytes: int,
        **_uvicorn: Any,  # its configuration and state, which are not needed
    ) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._host = host
        self._connections = connections
        self._protocol = ServerProtocol(max_size=max_frame_bytes, logger=_QUIET)
        self._transport: asyncio.Transport
        self._connection: ServiceConnection | None = None
        self._message = bytearray()  # of which fragments have come
        self._unauthenticated_bytes = 0
        self._unsent: deque[Push | Close | Cut] = deque()
        self._unsent_bytes = 0
        self._is_ended = False  # by an effect; what comes after it stays unsent
        self._is_paused = False

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._handle_events()
        if self._connection is None or self._connection.session is None:
            self._unauthenticated_bytes += len(data)
            if self._unauthenticated_bytes > _MAX_UNAUTHENTICATED_BYTES and not self._is_ended:
                self._refuse("authenticate first")

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._handle_events()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._write()
        if self._unsent_bytes <= _HIGH_WATER_BYTES:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self.closed.set_result(None)
        if self._connection is not None:
            unsent = [effect for effect in self._unsent if isinstance(effect, Push)]
            self._host.disconnect(self._connection, unsent)

    # Called by the host and the server

    def perform(self, effect: Push | Close | Cut) -> None:
        """Perform an effect after those before it, as soon as the transport can be written."""
        self._unsent.append(effect)
        if isinstance(effect, Push):
            self._unsent_bytes += len(effect.frame)
        else:
            self._abort_later()  # a peer that reads nothing would keep the connection open
        self._write()
        if self._unsent_bytes > _MAX_UNSENT_BYTES:
            self.abort()
        elif self._unsent_bytes > _HIGH_WATER_BYTES:
            self._transport.pause_reading()

    def shutdown(self) -> None:
        """Close the connection, because the server stops."""
        self._is_ended = True
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.SERVICE_RESTART)
        self._flush()

    def _refuse(self, reason: str) -> None:
        self._is_ended = True
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.POLICY_VIOLATION, reason)
        self._flush()
        self._abort_later()

    def abort(self) -> None:
        """End the connection at once."""
        if not self.closed.done():  # asyncio fails to abort some that have ended
            self._transport.abort()

    # Inbound

    def _handle_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame):
                self._take(event)
        self._flush()

    def _open(self, request: Request) -> None:
        """Answer the handshake."""
        path, _, query = request.path.partition("?")
        status = self._host.connection_status() if path in _PATHS else HTTPStatus.NOT_FOUND
        if status is not None:
            headers = Headers({"Connection": "close", "Content-Length": "0"})
            phrase = responses.get(status, "")
            self._protocol.send_response(Response(status, phrase, headers, b""))
            return
        self._protocol.send_response(self._protocol.accept(request))
        self._flush()
        if self._protocol.state is State.OPEN:
            dry_run = parse_qs(query).get("dryRun") == ["1"]
            self._connection = self._host.connect(self.perform, dry_run=dry_run)

    def _take(self, frame: Frame) -> None:
        """Handle a frame, and pass its message on when it is complete."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return  # the protocol answers control frames by itself
        self._message += frame.data
        if frame.fin and self._connection is not None:
            message, self._message = bytes(self._message), bytearray()
            self._host.receive(self._connection, message)

    # Outbound

    def _write(self) -> None:
        """Write the pending effects while the transport accepts them."""
        while self._unsent and not (self._is_paused or self._is_ended):
            if self._protocol.state is not State.OPEN:
                return  # the peer has closed: what is left stays unsent
            match effect := self._unsent.popleft():
                case Push():
                    self._unsent_bytes -= len(effect.frame)
                    self._protocol.send_text(effect.frame)
                case Close():
                    self._is_ended = True
                    self._protocol.send_close(effect.code, effect.reason)
                case Cut():
                    self._is_ended = True
                    self._cut(effect)
            self._flush()

    def _cut(self, cut: Cut) -> None:
        if cut.how == "reset":
            reset(self._transport)
        else:
            self._transport.close()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:  # the end of the stream, which the peer answers with its own
                self._transport.write_eof()
                self._abort_later()

    def _abort_later(self) -> None:
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self.abort)
