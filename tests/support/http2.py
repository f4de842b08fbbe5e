"""A web server of one picture that speaks HTTP/2 only, with the package h2, in its own threads."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import h2.config
import h2.connection
import h2.events

__all__ = ["Http2Server", "http2_server"]


class Http2Server:
    """The server.

    Attributes:
        port: where it listens.
        body: the picture.
        connections: how many there were.
        requests: how many there were.
        hangs_up_after: the number of the request after which the connection ends; 0 for none.
    """

    def __init__(self, tls: ssl.SSLContext, body: bytes) -> None:
        tls.set_alpn_protocols(["h2"])
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.port = self._listening.getsockname()[1]
        self.body = body
        self.connections = 0
        self.requests = 0
        self.hangs_up_after = 0

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        for one in (self._listening, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                self._sockets.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), self._tls.wrap_socket(connection, server_side=True) as secure:
            protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            protocol.initiate_connection()
            unsent: dict[int, bytes] = {}
            secure.sendall(protocol.data_to_send())
            while data := secure.recv(65536):
                for event in protocol.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self._answer(protocol, event, unsent)
                if self.hangs_up_after and self.requests == self.hangs_up_after:
                    self.hangs_up_after = 0
                    return
                self._send(protocol, unsent)
                secure.sendall(protocol.data_to_send())

    def _answer(self, protocol: Any, event: Any, unsent: dict[int, bytes]) -> None:
        self.requests += 1
        headers = [
            (":status", "200"),
            ("content-type", "image/jpeg"),
            ("content-length", str(len(self.body))),
        ]
        protocol.send_headers(event.stream_id, headers)
        unsent[event.stream_id] = self.body

    def _send(self, protocol: Any, unsent: dict[int, bytes]) -> None:
        for stream, body in list(unsent.items()):
            rest = body
            while window := min(
                protocol.local_flow_control_window(stream),
                protocol.max_outbound_frame_size,
                len(rest),
            ):
                protocol.send_data(stream, rest[:window])
                rest = rest[window:]
            unsent[stream] = rest
            if not rest:
                del unsent[stream]
                protocol.end_stream(stream)


@contextmanager
def http2_server(tls: ssl.SSLContext, body: bytes) -> Iterator[Http2Server]:
    """A running server."""
    server = Http2Server(tls, body)
    server.start()
    try:
        yield server
    finally:
        server.stop()
