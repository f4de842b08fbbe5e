"""Serve files for downloads over HTTP, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["FileServer", "file_server"]


class FileServer:
    """Answers each path with what it is told, and records what was asked.

    Attributes:
        url: where it listens, without a slash at the end.
        answers: for each path the answers to give, in order, as (status, body, headers); the
            last one stays. A body of None breaks the connection off.
        requests: the paths asked for.
        headers: the headers of each request.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, list[tuple[int, bytes | None, dict[str, str]]]] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []

    def put(self, path: str, body: bytes | None, status: int = 200, **headers: str) -> str:
        """Add an answer for `path`. Its URL."""
        self.answers.setdefault(path, []).append((status, body, headers))
        return self.url + path


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A running server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = False
        files = _Handler.files = FileServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    files: FileServer

    def do_GET(self) -> None:
        self.files.requests.append(self.path)
        self.files.headers.append(dict(self.headers))
        answers = self.files.answers.get(self.path) or [(404, b"no such file", {})]
        status, body, headers = answers[0] if len(answers) == 1 else answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(100 if body is None else len(body)))
        self.end_headers()
        self.wfile.write(b"less than promised" if body is None else body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
