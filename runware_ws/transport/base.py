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

# Seconds for the closing handshake, in either direction.
CLOSE_TIMEOUT = 1.0
# The system buffers few unsent bytes, so that a ping after an upload is sent soon, and the progress
# of the upload is visible.
_UNSENT_LIMIT_BYTES = 128 * 1024


class Receiver(Protocol):
    """The user of a stream. Its methods are called in the event loop; they do not wait or raise."""

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        """Handle received bytes. `data` is valid only during the call."""

    def write_ready(self) -> None:
        """Write pending data, because the stream accepts more."""


class Stream(abc.ABC):
    """An open byte stream to the server."""

    @property
    @abc.abstractmethod
    def can_write(self) -> bool:
        """Return whether the stream accepts more data without buffering it in memory."""

    @property
    @abc.abstractmethod
    def unsent_bytes(self) -> int:
        """Number of written bytes that have not left this machine."""

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Send `data` after all earlier data. It does not wait."""

    @abc.abstractmethod
    def call_write_ready(self) -> None:
        """Schedule a call of `Receiver.write_ready` in the event loop."""

    @abc.abstractmethod
    async def run(self) -> BaseException | None:
        """Exchange bytes until the stream ends. Return the error that ended it, if any.

        It is called once.
        """

    @abc.abstractmethod
    def abort(self) -> None:
        """End the stream at once, and discard unsent data."""

    @abc.abstractmethod
    def descriptor(self) -> int:
        """Return the number of the socket, or -1 if it is closed."""

    def forked(self) -> None:
        """Release the socket in a forked process, which has a copy of it."""
        if (descriptor := self.descriptor()) >= 0:
            replace_socket(descriptor)


class Pace:
    """Decides how much to read at once: less if handling it takes long.

    A read that is sized for an image may contain a hundred thousand small frames.

    Attributes:
        read_bytes: the number of bytes to read next.
    """

    MAX_BYTES = 256 * 1024
    _MIN_BYTES = 4 * 1024
    _MAX_SECONDS = 0.02

    def __init__(self) -> None:
        self.read_bytes = 16 * 1024

    def hand_over(self, data: bytes | bytearray | memoryview, receiver: Receiver) -> None:
        """Pass received bytes to the receiver."""
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
        host, port: the address of the service.

    Args:
        url: see above.
        tls: the TLS settings for ``wss://``; None for the default.
        proxy: URL of a proxy; True for the proxy of the environment; False for none.
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
        """Return the TLS settings, or None. They are cached, as making them takes long."""
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
    """Limit the number of unsent bytes that the system buffers, if it supports that."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        with suppress(OSError):  # a socket that is closed already: reading will tell
            raw.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_LIMIT_BYTES)
