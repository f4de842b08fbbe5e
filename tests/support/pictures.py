"""A web server of pictures that does what a test says, down to the byte.

    with PictureServer() as server:
        url = server.plays("/a.jpg", breaks_off(after=100), picture())
        await UpscaleResult(…, {"imageURL": url}).read()
        assert [request.headers.get("range") for request in server.requests] == [None, "bytes=100-"]

An answer is a function of the request that yields the bytes to write; after it yields None, the
connection is closed. The answers of a path are given in turn, the last one again and again. The
server runs in threads, so that it serves clients on asyncio and on trio.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.support.answers import JPEG

__all__ = [
    "PICTURE",
    "Answer",
    "PictureServer",
    "Request",
    "breaks_off",
    "drips",
    "endless",
    "picture",
    "redirect",
    "response",
]

PICTURE = JPEG + bytes(range(256)) * 1200  # more than one read


@dataclass(frozen=True)
class Request:
    """A request as it arrived.

    Attributes:
        path: what was asked for.
        headers: by their names in lower case.
        connection: the number of the connection, from 0.
    """

    path: str
    headers: dict[str, str]
    connection: int


Answer = Callable[[Request], Iterator[bytes | None]]


def response(
    body: bytes = b"", status: str = "200 OK", length: int | None = -1, **headers: str
) -> Answer:
    """An answer; `length` may be told wrong, or not at all, and then the end closes it."""

    def answer(_: Request) -> Iterator[bytes | None]:
        yield _head(status, len(body) if length == -1 else length, headers)
        yield body
        if length is None:
            yield None

    return answer


def picture(
    body: bytes = PICTURE, etag: str = '"v1"', *, ranges: bool = True, **headers: str
) -> Answer:
    """A picture, as an honest server gives it: also a part of it, if the ETag is still the same."""

    def answer(request: Request) -> Iterator[bytes | None]:
        every = {"Content-Type": "image/jpeg", **({"ETag": etag} if etag else {}), **headers}
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if not ranges or not asked or request.headers.get("if-range", etag) != etag:
            yield _head("200 OK", len(body), every) + body
            return
        start = int(asked[1])
        every["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        yield _head("206 Partial Content", len(body) - start, every) + body[start:]

    return answer


def breaks_off(after: int, whole: Answer | None = None) -> Answer:
    """A picture of whose answer only so many bytes of the body come."""

    def answer(request: Request) -> Iterator[bytes | None]:
        head, _, body = b"".join(
            piece for piece in (whole or picture())(request) if piece
        ).partition(b"\r\n\r\n")
        yield head + b"\r\n\r\n" + body[:after]
        yield None

    return answer


def endless(head: bytes = JPEG, *, chunked: bool = False, **headers: str) -> Answer:
    """A body that never ends."""

    def answer(_: Request) -> Iterator[bytes | None]:
        every = {**headers, **({"Transfer-Encoding": "chunked"} if chunked else {})}
        yield _head("200 OK", None, every)
        for body in _for_ever(head + bytes(64 * 1024)):
            yield b"%x\r\n%b\r\n" % (len(body), body) if chunked else body

    return answer


def _for_ever(body: bytes) -> Iterator[bytes]:
    while True:
        yield body


def drips(server: PictureServer, body: bytes = PICTURE, pause: float = 0.05) -> Answer:
    """A body that comes a byte at a time."""

    def answer(_: Request) -> Iterator[bytes | None]:
        yield _head("200 OK", len(body), {})
        for position in range(len(body)):
            yield body[position : position + 1]
            if server.ended.wait(pause):
                return

    return answer


def redirect(location: str, status: str = "302 Found") -> Answer:
    """An answer that leads elsewhere."""
    return response(status=status, Location=location)


def _head(status: str, length: int | None, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


class PictureServer:
    """The server; see the module's text.

    Args:
        tls: with which it speaks TLS; None for plain text.

    Attributes:
        url: where it listens, without a slash at the end.
        requests: what was asked for.
        connections: how many there were.
        sent: how many bytes were written.
        ended: set when the server is to end.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listening.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self.requests: list[Request] = []
        self.connections = 0
        self.open: set[socket.socket] = set()
        self.most_open = 0
        self.sent = 0
        self.ended = threading.Event()
        self._tls = tls
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]

    def plays(self, path: str, *answers: Answer) -> str:
        """Set the answers of a path. Its URL."""
        self._answers[path] = list(answers)
        return self.url + path

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ended.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listening.close()
        self._threads[0].join()
        with self._lock:
            for connection in self.open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed at the end
            while True:
                connection, _ = self._listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._serve, args=(connection, self.connections))
                self.connections += 1
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with self._lock:
            self.open.add(connection)
            self.most_open = max(self.most_open, len(self.open))
        try:
            with suppress(OSError):  # the client hung up, or the TLS handshake failed
                if self._tls is None:
                    self._talk(connection, number)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as secure:
                        self._talk(secure, number)
        finally:
            with self._lock:
                self.open.discard(connection)
            connection.close()

    def _talk(self, connection: socket.socket, number: int) -> None:
        received = b""
        while not self.ended.is_set():
            while b"\r\n\r\n" not in received:
                data = connection.recv(65536)
                if not data:
                    return
                received += data
            head, _, received = received.partition(b"\r\n\r\n")
            request = _request(head.decode(), number)
            self.requests.append(request)
            for piece in self._answer(request)(request):
                if piece is None or self.ended.is_set():
                    return
                connection.sendall(piece)
                self.sent += len(piece)

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            answers = self._answers.get(request.path) or [response(status="404 Not Found")]
            return answers[0] if len(answers) == 1 else answers.pop(0)


def _request(head: str, connection: int) -> Request:
    first, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    lowered = {name.lower(): value for name, value in headers.items()}
    return Request(first.split(" ")[1], lowered, connection)
