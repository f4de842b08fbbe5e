"""A server on plain sockets, which can send any bytes at any moment, as no library would.

It shares no code with the client, and plays an attack on its first connection. On later ones it is
obliging: it accepts any key and knows the result of any task.

    def sends_nonsense(peer: Peer) -> None:
        peer.accept()
        peer.send(b"nonsense")

    with RawServer(sends_nonsense) as server: ...

When an attack returns, its connection is closed. One that calls `Peer.hold` keeps it open until the
client ends it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from tests.support.answers import Item, result

__all__ = ["Attack", "Peer", "RawServer", "frame"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0


def frame(
    data: bytes, opcode: int = TEXT, *, fin: bool = True, bits: int = 0, length: int | None = None
) -> bytes:
    """Return a frame of a server, or one that is none: with reserved bits, or another length."""
    size = len(data) if length is None else length
    first = (fin << 7) | bits | opcode
    if size < 126:
        return struct.pack("!BB", first, size) + data
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + data
    return struct.pack("!BBQ", first, 127, size) + data


class Peer:
    """A connection, from the server's side. Its methods block, and end when the client does."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._received = bytearray()

    # Verbs.

    def request(self) -> bytes:
        """Read the request that opens the connection, and return what the answer must quote."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received = bytearray(rest)
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        return base64.b64encode(hashlib.sha1(lines[b"Sec-WebSocket-Key"] + _GUID).digest())

    def open(self, *headers: str, accept: bytes | None = None) -> None:
        """Open the connection."""
        quoted = self.request()
        self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + (accept or quoted) + b"\r\n"
        )
        self.send("".join(f"{header}\r\n" for header in headers).encode() + b"\r\n")

    def accept(self) -> None:
        """Open the connection and accept the key."""
        self.open()
        self.tasks()
        self.answer({"taskType": "authentication", "connectionSessionUUID": "a session"})

    def tasks(self) -> list[Item]:
        """Read a frame of tasks. Other frames are passed over."""
        while True:
            opcode, data = self._frame()
            if opcode == TEXT:
                tasks: list[Item] = json.loads(data)
                return tasks

    def opcode(self) -> int:
        """Read a frame of any kind, and return its opcode."""
        return self._frame()[0]

    def answer(self, *items: Item) -> None:
        """Send results."""
        self.send(frame(json.dumps({"data": items}).encode()))

    def send(self, data: bytes) -> None:
        """Send any bytes."""
        self.socket.sendall(data)

    def serve(self) -> None:
        """Answer whatever comes."""
        while True:
            for task in self.tasks():
                match task["taskType"]:
                    case "authentication":
                        self.answer(
                            {"taskType": "authentication", "connectionSessionUUID": "a session"}
                        )
                    case "ping":
                        self.answer({"taskType": "ping", "pong": True})
                    case _:
                        self.answer(result({"taskUUID": task["taskUUID"]}))

    def hold(self) -> None:
        """Read and be silent, until the client ends the connection."""
        while True:
            self._receive()

    def _frame(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8))
        mask, data = self._take(4), self._take(size)
        key = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(data) ^ int.from_bytes(key)
        return first & 15, plain.to_bytes(size)

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive()
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _receive(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self._received += data


Attack = Callable[[Peer], None]


class RawServer:
    """See the module's text.

    Attributes:
        url: where it listens.
        connections: the number of connections so far.
    """

    def __init__(self, *attacks: Attack) -> None:
        self._attacks = attacks
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        self.connections = 0
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen, name="raw server")]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: Any) -> None:
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            is_attack = self.connections < len(self._attacks)
            play = self._attacks[self.connections] if is_attack else _oblige
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._play, args=(play, connection), name="raw peer")
            self._threads.append(thread)
            thread.start()

    def _play(self, play: Attack, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection:
            play(Peer(connection))


def _oblige(peer: Peer) -> None:
    peer.open()
    peer.serve()
