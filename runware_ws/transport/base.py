"""What the transports on asyncio and on trio have in common."""

from __future__ import annotations

import abc
import logging
import socket
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import DATA_OPCODES, Close, Frame, Opcode
from websockets.protocol import Protocol as Wire
from websockets.protocol import State

from .._version import __version__
from ..settings import Endpoint, is_loopback

__all__ = [
    "CLOSE_TIMEOUT",
    "Data",
    "DisconnectedError",
    "Endpoint",
    "Inbox",
    "Peer",
    "Socket",
    "connect_options",
    "holds_data",
    "is_over",
    "is_writable",
    "lost",
    "text_frame",
    "tune",
]

Data = bytes | bytearray | memoryview

_MESSAGE_TOO_BIG = 1009
CLOSE_TIMEOUT = 1.0
# How much the system may hold back unsent: little, so that a ping written behind an upload is
# soon on its way, and so that an upload's progress can be seen.
_UNSENT_LIMIT_BYTES = 128 * 1024


class DisconnectedError(Exception):
    """The connection ended or could not be made.

    Attributes:
        reason: why, in words.
        too_big: what to do about it, when a frame was over a size limit; else "".
    """

    def __init__(self, reason: str, too_big: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_big = too_big


class Peer(Protocol):
    """Where frames go to and come from. Nothing here waits or raises.

    Frames are handed over, not fetched, and asked for, not passed: so a result costs no switch
    to another task, and what waits leaves together.
    """

    def received(self, data: Data) -> None:
        """A frame came in."""

    def received_all(self) -> None:
        """So did all that came with it: now is the time to act on them."""

    def next_frame(self) -> bytes | None:
        """What to write next, or None."""

    def written(self) -> None:
        """What `next_frame` gave was taken by the system, or nearly all of it."""


class Inbox:
    """Puts the library's frames together, and holds those that come before a peer is there."""

    def __init__(self) -> None:
        self._peer: Peer | None = None
        self._early: list[Data] = []
        self._parts: list[Data] = []
        self._changed = False

    def deliver_to(self, peer: Peer) -> None:
        """From now on, frames go to `peer`, which is asked to act even if there was none."""
        self._peer = peer
        early, self._early = self._early, []
        for data in early:
            peer.received(data)
        peer.received_all()

    def put(self, frame: Frame) -> None:
        """Take a frame, or a piece of one, that holds data."""
        data: Data = frame.data
        if self._parts or not frame.fin:
            self._parts.append(data)
            if not frame.fin:
                return
            data = b"".join(self._parts)
            self._parts = []
        if self._peer is None:
            self._early.append(data)
        else:
            self._changed = True
            self._peer.received(data)

    def flush(self) -> None:
        """Nothing more is at hand."""
        if self._changed and self._peer is not None:
            self._changed = False
            self._peer.received_all()


class Socket(abc.ABC):
    """An open connection.

    Attributes:
        is_awake: whether the peer is about to be asked for a frame, or is once more after this.
    """

    is_awake = False

    @property
    @abc.abstractmethod
    def heard_at(self) -> float:
        """When bytes came in last, on the event loop's clock."""

    @abc.abstractmethod
    async def run(self, peer: Peer) -> DisconnectedError:
        """Exchange text frames with `peer` until the connection ends. Why it did."""

    @abc.abstractmethod
    def wake(self, *, at_once: bool) -> None:
        """The peer has a frame: ask for it when it can be written. Not while it is awake.

        With `at_once`, nothing is likely to join it, so it is better not to wait for more.
        """

    @abc.abstractmethod
    def unsent_bytes(self) -> int:
        """Bytes of what the peer gave that still wait on this machine."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Say goodbye, for a moment at most; the connection may be dead."""


def connect_options(endpoint: Endpoint) -> dict[str, Any]:
    """The arguments that both of the library's clients take."""
    return {
        "compression": None,
        "max_size": endpoint.max_size,
        "max_queue": None,  # the session bounds what is under way; pausing reads would only delay
        "ping_interval": None,
        "open_timeout": endpoint.connect_timeout,
        "close_timeout": CLOSE_TIMEOUT,
        "user_agent_header": f"runware-ws/{__version__}",
        "logger": _quiet,
        # A proxy of the environment is for the outside world.
        "proxy": None if is_loopback(urlsplit(endpoint.url).hostname) else True,
    }


def holds_data(event: Any) -> bool:
    """Whether what the library found on the line is a frame for the peer, or a piece of one."""
    return isinstance(event, Frame) and event.opcode in DATA_OPCODES


def is_over(wire: Wire) -> bool:
    """Whether nothing more is to come: the server said goodbye, or it broke the protocol.

    Some servers do not hang up then, so it is not the end of TCP that counts.
    """
    return wire.close_rcvd is not None or wire.parser_exc is not None


def is_writable(wire: Wire) -> bool:
    """Whether a text frame may be sent: not after a close frame."""
    return wire.state is State.OPEN


def text_frame(data: bytes) -> bytes:
    """A text frame; by itself it is all that the library's protocol would make of `data`."""
    return Frame(Opcode.TEXT, data).serialize(mask=True)


def tune(raw: Any) -> None:
    """Set the socket options that this client relies on, where the system has them."""
    lowat = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if lowat is not None:
        with suppress(OSError):  # it may be closed already, which whoever reads will find out
            raw.setsockopt(socket.IPPROTO_TCP, lowat, _UNSENT_LIMIT_BYTES)


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """The library's messages, but those that quote frames: the first frame holds the key."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # the library's name
        return level > logging.DEBUG and super().isEnabledFor(level)


_quiet = _Quiet(logging.getLogger("runware_ws.websockets"), {})


def lost(error: BaseException, max_size: int) -> DisconnectedError:
    """A library's or the system's error in this package's words."""
    if isinstance(error, ConnectionClosed):
        return _closed(error, max_size)
    return DisconnectedError(_why_not_connected(error))


def _why_not_connected(error: BaseException) -> str:
    if isinstance(error, InvalidStatus):
        return f"the server answered the upgrade with HTTP {error.response.status_code}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, InvalidURI | InvalidHandshake):
        return f"the server does not speak WebSocket here: {type(error).__name__}"
    if not str(error):  # as trio's, of a refused certificate
        error = error.__cause__ or error
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _closed(error: ConnectionClosed, max_size: int) -> DisconnectedError:
    sent, received = error.sent, error.rcvd
    if received is not None and received.code == _MESSAGE_TOO_BIG and error.rcvd_then_sent:
        remedy = "the server refuses a frame of this size: send a smaller image, or its URL"
        return DisconnectedError("the server found a frame too large", remedy)
    if sent is not None and sent.code == _MESSAGE_TOO_BIG:
        remedy = f"its answer is larger than max_size ({max_size} bytes): raise max_size"
        return DisconnectedError("a frame was larger than max_size", remedy)
    if received is not None:
        return DisconnectedError(f"the server closed the connection ({_words(received)})")
    cause = error.__cause__
    return DisconnectedError(f"the connection broke ({type(cause or error).__name__})")


def _words(close: Close) -> str:
    return f"{close.code} {close.reason}".strip()
