"""The WebSocket protocol without I/O: bytes in, messages out, and the other way around.

It wraps the Sans-I/O client of the websockets library. Outgoing messages bypass the library, and so
do incoming messages that arrive whole in one read. A busy connection has few others, and the
library would take a sixth of the client's time for them (rows `a` and `c` of the benchmarks). The
library handles the handshake, control frames, fragments, messages in several reads, and errors.

Compression is off, because images are not compressible. No WebSocket pings are sent: Runware
documents that the application's ping keeps a connection open, and does not mention control frames.

Errors become a `DisconnectedError` without references to the library's objects, which refer to
frames that may contain the API key.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from typing import Literal

from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import DATA_OPCODES, Close, CloseCode, Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from .._version import __version__

try:
    from websockets.speedups import apply_mask
except ImportError:  # without the library's part in C
    from websockets.utils import apply_mask

Data = bytes | bytearray | memoryview
# A multiple of 4, the size of a mask. It is small enough for the C library to reuse its memory for
# the next piece.
PIECE_BYTES = 128 * 1024
_CONNECTING, _OPEN = State.CONNECTING, State.OPEN  # looked up once, since that takes long
# By RFC 6455: the first byte of a whole message, a bit of the second, and two sizes that announce a
# size in the next 2 or 8 bytes.
_TEXT, _BINARY = 0x81, 0x82
_WHOLE = (_TEXT, _BINARY)
_OPCODE, _OPCODES = 0x0F, (0x0, 0x1, 0x2, 0x8, 0x9, 0xA)
_MASKED = 0x80
_SIZE_16_BIT, _SIZE_64_BIT = 126, 127
_EXTENDED = {_SIZE_16_BIT: struct.Struct("!H"), _SIZE_64_BIT: struct.Struct("!Q")}


class DisconnectedError(Exception):
    """The connection ended, or could not be made.

    Attributes:
        reason: the reason.
        too_large: ``sent`` if the server refused a message as too large, ``heard`` if a message
            from the server was larger than the limit; else None.
    """

    def __init__(self, reason: str, too_large: Literal["sent", "heard"] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_large = too_large


class _NoDebug(logging.LoggerAdapter[logging.Logger]):
    """Drops the library's debug messages: they quote frames, and the first frame holds the key."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # the name in `logging`
        return level > logging.DEBUG and super().isEnabledFor(level)


_log = _NoDebug(logging.getLogger("runware_ws.websockets"), {})


class WebSocket:
    """One WebSocket connection, seen from the client.

    Args:
        url: URL of the service.
        max_size: size in bytes of the largest message that is accepted.

    Attributes:
        is_open: whether the handshake is done and messages can be sent.
        has_replies: whether there may be `replies`, or it may be over.
        is_partial: whether a part of a message has been received.
    """

    def __init__(self, url: str, max_size: int) -> None:
        self._protocol = ClientProtocol(parse_uri(url), max_size=max_size, logger=_log)
        self._max_size = max_size
        self._message: bytearray | None = None  # of which fragments have come
        self._begun = b""  # a part of the next frame's header
        self._missing = 0  # bytes of the present frame, which the library reads
        self._is_established = False
        self.is_open = False
        self.has_replies = False
        self.is_partial = False
        self._says_goodbye = False

    @property
    def is_over(self) -> bool:
        """Return whether the server has closed the connection, or broken the protocol.

        Some servers keep the TCP connection open after that.
        """
        if self._protocol.state is _CONNECTING:
            return self._protocol.handshake_exc is not None
        return self._protocol.state is not _OPEN and not self._says_goodbye

    def handshake(self) -> bytes:
        """Return the request that opens the connection."""
        request = self._protocol.connect()
        request.headers["User-Agent"] = f"runware-ws/{__version__}"
        self._protocol.send_request(request)
        return self.replies()

    def receive(self, data: Data) -> list[Data]:
        """Handle bytes from the server, and return the messages that they complete."""
        messages: list[Data] = []
        view = memoryview(self._begun + data if self._begun else data)
        self._begun = b""
        start, end = 0, len(view)
        while start < end:
            if self._missing or not self._is_established:
                start = self._go_on(view, start, messages)
                continue
            payload, stop, is_message = _frame_at(view, start)
            if not payload:
                self._begun = bytes(view[start:])
                break
            is_whole = is_message and stop <= end and stop - payload <= self._max_size
            if is_whole and self.is_open and self._message is None:  # past the library
                messages.append(bytes(view[payload:stop]))
            else:
                self._feed(view[start:stop], messages)
                self._missing = max(0, stop - end)
            start = stop
        self.is_partial = self._missing > 0 or bool(self._begun) or self._message is not None
        return messages

    def _go_on(self, data: memoryview, start: int, messages: list[Data]) -> int:
        """Pass the rest of a frame that the library has begun to read. Return its end in `data`."""
        if self._missing:
            end = min(len(data), start + self._missing)
            self._missing -= end - start
        else:  # a line of the handshake, so that it is known where the first frame begins
            end = start + (bytes(data[start:]).find(b"\n") + 1 or len(data) - start)
        self._feed(data[start:end], messages)
        self._is_established = self._protocol.state is not _CONNECTING
        return end

    def _feed(self, data: memoryview, messages: list[Data]) -> None:
        """Pass bytes to the library, and collect its messages."""
        self.has_replies = True
        self._protocol.receive_data(data)  # type: ignore[arg-type]  # it appends them to a bytearray
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
                if self._message is None and event.fin:
                    messages.append(event.data)
                else:
                    self._add_fragment(event, messages)
                event.data = b""  # the parser keeps its last frame
        self.is_open = self._protocol.state is _OPEN

    def _add_fragment(self, frame: Frame, messages: list[Data]) -> None:
        """Append a fragment to the message. Fragments may be tiny, so they are joined at once."""
        if self._message is None:
            self._message = bytearray()
        self._message += frame.data
        if frame.fin:
            messages.append(self._message)
            self._message = None

    def release(self) -> None:
        """Discard an incomplete message, as the rest will not come."""
        self._message = None
        self._protocol.reader.discard()

    def replies(self) -> bytes:
        """Return the control frames to send: pongs, and the answer to a close frame."""
        self.has_replies = False
        return b"".join(self._protocol.data_to_send())

    @staticmethod
    def message(data: bytes | bytearray) -> bytes:
        """Return the bytes of a text message, to be sent while the connection is open."""
        mask = os.urandom(4)
        return b"".join((_masked_head(len(data)), mask, apply_mask(data, mask)))

    @staticmethod
    def large_message(data: bytes | bytearray) -> Iterator[bytes]:
        """Return a text message in pieces, so that a large message is not copied as a whole.

        Getting new memory for megabytes costs more than the masking. No other bytes may be sent
        between the pieces.
        """
        mask = os.urandom(4)
        yield _masked_head(len(data)) + mask
        with memoryview(data) as view:
            for start in range(0, len(data), PIECE_BYTES):
                yield apply_mask(view[start : start + PIECE_BYTES], mask)

    def goodbye(self) -> bytes:
        """Return the bytes of a close frame; b"" if the connection is not open."""
        if not self.is_open:
            return b""
        self._says_goodbye = True
        self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        self.is_open = False
        return self.replies()

    def why_ended(self, error: BaseException | None) -> DisconnectedError:
        """Return the reason why the connection ended. The stream has ended, maybe with `error`."""
        self._protocol.receive_eof()
        self.is_open = False
        if self._protocol.handshake_exc is not None:
            return DisconnectedError(_handshake_failure(self._protocol.handshake_exc, error))
        closed = self._protocol.close_exc
        if error is not None and closed.rcvd is None and closed.sent is None:
            return DisconnectedError(f"the connection broke ({type(error).__name__})")
        return _closed(closed)


def _frame_at(data: memoryview, start: int) -> tuple[int, int, bool]:
    """Return the start and end of a frame's payload, and whether it is a whole message.

    Start and end are 0 if the header is incomplete. A frame with a mask or an unknown opcode is
    refused by the library after two bytes.
    """
    payload = start + 2
    if payload > len(data):
        return 0, 0, False
    first, size = data[start], data[start + 1]
    if size & _MASKED or (size >= _SIZE_16_BIT and first & _OPCODE not in _OPCODES):
        return payload, payload + (size & ~_MASKED), False
    if size >= _SIZE_16_BIT:
        extended = _EXTENDED[size]
        header, payload = payload, payload + extended.size
        if payload > len(data):
            return 0, 0, False
        (size,) = extended.unpack_from(data, header)
    return payload, payload + size, first in _WHOLE


def _masked_head(size: int) -> bytes:
    """Return the header of a text message of this size, without its mask."""
    if size < _SIZE_16_BIT:
        return struct.pack("!BB", _TEXT, _MASKED | size)
    if size < 2**16:
        return struct.pack("!BBH", _TEXT, _MASKED | _SIZE_16_BIT, size)
    return struct.pack("!BBQ", _TEXT, _MASKED | _SIZE_64_BIT, size)


def _handshake_failure(failure: BaseException, error: BaseException | None) -> str:
    if error is not None:
        return f"the connection broke during the handshake ({type(error).__name__})"
    if isinstance(failure, InvalidStatus):
        return f"the server answered the upgrade with HTTP {failure.response.status_code}"
    if isinstance(failure.__cause__, EOFError):
        return "the server closed the connection during the handshake"
    return f"the server does not speak WebSocket here: {type(failure).__name__}"


def _closed(error: ConnectionClosed) -> DisconnectedError:
    sent, received = error.sent, error.rcvd
    too_big = CloseCode.MESSAGE_TOO_BIG
    if received is not None and received.code == too_big and error.rcvd_then_sent:
        return DisconnectedError("the server found a frame too large", "sent")
    if sent is not None and sent.code == too_big:
        return DisconnectedError("a frame was larger than max_size", "heard")
    if received is not None:
        return DisconnectedError(f"the server closed the connection ({_words(received)})")
    cause = error.__cause__
    return DisconnectedError(f"the connection broke ({type(cause or error).__name__})")


def _words(close: Close) -> str:
    return f"{close.code} {close.reason}".strip()
