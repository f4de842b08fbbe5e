"""The interface of a byte stream, and the parts that asyncio and trio share."""

from __future__ import annotations

import abc
import socket
import ssl
import time
from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import urlsplit

from .fork import replace_socket
from .proxy import proxy_for

# Seconds for a goodbye, in either direction.
CLOSE_TIMEOUT = 1.0
# The system holds back little that is unsent, so that a ping written behind an upload leaves soon
# and the progress of an upload can be seen.
_UNSENT_LIMIT_BYTES = 128 * 1024


class Receiver(Protocol):
    """The user of a stream. Its methods are called in the event loop; they do not wait or raise."""

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes that arrived. `data` is valid only during the call."""

    def write_ready(self) -> None:
        """Write what is pending: the stream can take it."""


class Stream(abc.ABC):
    """An open byte stream to the server."""

    @property
    @abc.abstractmethod
    def can_write(self) -> bool:
        """Return whether the stream takes more data without piling it up in memory."""

    @property
    @abc.abstractmethod
    def unsent_bytes(self) -> int:
        """Bytes that were written and have not left this machine."""

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Send `data` after everything that was written before. It does not wait."""

    @abc.abstractmethod
    def call_write_ready(self) -> None:
        """Have `Receiver.write_ready` called soon, after what the event loop does at present."""

    @abc.abstractmethod
    async def run(self) -> BaseException | None:
        """Exchange bytes until the stream ends. Return the error that ended it, if any.

        It is called once.
        """

    @abc.abstractmethod
    def abort(self) -> None:
        """End the stream at once. What is unsent is discarded."""

    @abc.abstractmethod
    def descriptor(self) -> int:
        """Return the number of the socket, or -1 if it is closed."""

    def forked(self) -> None:
        """Let go of the socket in a process that was forked, which has it too."""
        if (descriptor := self.descriptor()) >= 0:
            replace_socket(descriptor)


class Pace:
    """Decides how much to read at once: little where it takes long to handle.

    A server may send a hundred thousand frames in what is read at once for an image.

    Attributes:
        read_bytes: the number of bytes to read next.
    """

    MAX_BYTES = 256 * 1024
    _MIN_BYTES = 4 * 1024
    _MAX_SECONDS = 0.02

    def __init__(self) -> None:
        self.read_bytes = 16 * 1024

    def hand_over(self, data: bytes | bytearray | memoryview, receiver: Receiver) -> None:
        """Have the receiver handle what was read."""
        begun = time.perf_counter()
        receiver.data_received(data)
        if time.perf_counter() - begun > self._MAX_SECONDS:
            self.read_bytes = max(self.read_bytes // 4, self._MIN_BYTES)
        elif len(data) >= self.read_bytes:
            self.read_bytes = min(self.read_bytes * 2, self.MAX_BYTES)


class Target:
    """The address to connect to.

    Attributes:
        url: URL of the service, ``ws://`` or ``wss://``.
        host, port: where a connection is made to, if there is no proxy.

    Args:
        url: see above.
        tls: the TLS settings of ``wss://``; None for the default ones.
        proxy: URL of a proxy; True for that of the environment; False for none.
    """

    def __init__(
        self, url: str, tls: ssl.SSLContext | None = None, proxy: str | bool = True
    ) -> None:
        self._tls = tls
        self._proxy = proxy
        parts = urlsplit(url)
        self.url = url
        self.is_secure = parts.scheme == "wss"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.is_secure else 80)

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS settings, made once since it takes longer than a small task; or None."""
        if not self.is_secure:
            return None
        return self._tls or ssl.create_default_context()

    def proxy(self) -> str | None:
        """Return the URL of the proxy to use, or None for a direct connection."""
        if isinstance(self._proxy, str):
            return self._proxy
        return (
            None if not self._proxy else proxy_for(self.host, self.port, is_secure=self.is_secure)
        )


def limit_unsent_bytes(raw: Any) -> None:
    """Set how much the system holds back unsent, where it lets one."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        with suppress(OSError):  # a socket that is closed already: reading will tell
            raw.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_LIMIT_BYTES)
