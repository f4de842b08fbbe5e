"""One connection to the service. It passes bytes and frames between stream and session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import anyio

from ..protocol.channel import Channel
from ..protocol.effects import Frame
from ..transport import PIECE_BYTES, DisconnectedError, Receiver, Stream, WebSocket, open_stream
from .concurrency import uninterruptible

if TYPE_CHECKING:
    from .driver import Driver


@uninterruptible
class Connection(Receiver):
    """A connection, from the attempt to connect until it ends.

    It runs in its own task (`run`). The session gets its events only while it is current: a dropped
    connection may take a while to end.

    Args:
        driver: performs the effects of the session.
        channel: the channel of the session that it belongs to.

    Attributes:
        channel: see above.
        is_current: whether the session gets its events.
        is_write_due: whether the event loop is about to call `write_ready`.
    """

    def __init__(self, driver: Driver, channel: Channel) -> None:
        self.is_current = True
        self.is_write_due = False
        self._driver = driver
        self._session = driver.session
        self.channel = channel
        self._clock = driver.clock
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._websocket = WebSocket(driver.target.url, driver.settings.max_size)
        self._stream: Stream | None = None
        self._opened = False
        self._is_partial = False
        self._total_bytes = 0
        self._heard_at = 0.0
        self._frame: Frame | None = None
        self._pieces: Iterator[bytes] = iter(())  # of the frame
        self._piece: bytes | None = None  # the next to be written
        self._unwritten_bytes = 0
        self._replies = b""

    async def run(self) -> DisconnectedError:
        """Connect and exchange frames until the connection ends. Return why it ended."""
        self._scope.deadline = self._clock() + self._driver.settings.connect_timeout
        try:
            with self._scope:
                return await self._run()
        except Exception as error:  # noqa: BLE001  # whatever it is, it ends this connection alone
            return DisconnectedError(_words(error))
        finally:
            self._release()
            self._ended.set()
        return DisconnectedError("no answer in time")

    async def _run(self) -> DisconnectedError:
        async with open_stream(self._driver.target, self) as stream:
            self._stream = stream
            stream.write(self._websocket.handshake())
            error = await stream.run()
        return self._websocket.why_ended(error)

    def _release(self) -> None:
        """Release large buffers at once, without waiting for the garbage collector."""
        self._websocket.release()
        self._stream = self._frame = self._piece = None
        self._pieces = iter(())

    def drop(self) -> None:
        """End the connection at once. The session is not notified."""
        self.is_current = False
        self._scope.cancel()

    def say_goodbye(self) -> bool:
        """Send a close frame, if that is possible now. The session is not notified."""
        self.is_current = False
        if self._stream is None or self._frame is not None:
            return False
        goodbye = self._websocket.goodbye()
        if goodbye:
            self._stream.write(goodbye)
        return bool(goodbye)

    async def wait_ended(self) -> None:
        """Wait until the connection has ended."""
        await self._ended.wait()

    # Called by the stream. An exception would end up in the event loop, where it is not handled, so
    # it is reported as a bug.

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._receive(data)
        except Exception as error:  # noqa: BLE001
            del data  # which may quote the key, from what a traceback shows
            self._driver.failed(error)

    def write_ready(self) -> None:
        self.is_write_due = False
        try:
            stream = self._stream
            if stream is not None and self.is_current and self._websocket.is_open:
                while stream.can_write:
                    if self._frame is not None:
                        self._write_piece(stream, self._frame)
                    elif not self._write_frame(stream):
                        break
                if self._replies:
                    self._reply()
            if self._session.timers.moved:
                self._driver.set_timer()
        except Exception as error:  # noqa: BLE001
            self._driver.failed(error)

    def _receive(self, data: bytes | bytearray | memoryview) -> None:
        now = self._heard_at = self._clock()
        self._total_bytes += len(data)
        messages = self._websocket.receive(data)
        if self.is_current:
            if not self._opened:
                self._note_opened(now)
            for message in messages:
                self.channel.receive(message, now)
            if self._websocket.is_partial is not self._is_partial:
                self._is_partial = self._websocket.is_partial
                self.channel.arriving(self._total_bytes, now, is_partial=self._is_partial)
            self._driver.step()
        if self._websocket.has_replies:
            self._reply()

    def _note_opened(self, now: float) -> None:
        if self._websocket.is_open:
            self._opened = True
            self._scope.deadline = float("inf")
            self.channel.connected(now)

    def _reply(self) -> None:
        """Answer control frames, and close after the server did.

        A server that sends pings without reading the answers gets the last one.
        """
        self._replies = self._websocket.replies() or self._replies
        stream = self._stream
        if stream is not None and self._replies and stream.can_write and self._frame is None:
            stream.write(self._replies)
            self._replies = b""
        if stream is not None and self._websocket.is_over:
            stream.abort()

    # Called by the driver.

    def request_write(self) -> None:
        """Write pending frames: at once, or in the next step of the loop to batch several tasks."""
        if self._stream is None or not self.channel.has_frame:
            return
        if len(self._session.tasks) <= 1:  # a lone task gains nothing from batching: write it now
            self.write_ready()
        else:
            self.is_write_due = True
            self._stream.call_write_ready()

    def report_traffic(self, now: float) -> None:
        """Report to the session when bytes arrived, and how many bytes are unsent."""
        if self._stream is not None and self._opened:
            unsent = self._unwritten_bytes + self._stream.unsent_bytes
            self.channel.traffic(self._heard_at, unsent, self._total_bytes, now)

    def _write_frame(self, stream: Stream) -> bool:
        """Write the next frame, or prepare the pieces of a large one. Return False at the end."""
        now = self._clock()
        frame = self.channel.next_frame(now)
        if frame is None:
            return False
        self._driver.sending(frame.tasks)
        if len(frame.data) <= PIECE_BYTES:
            stream.write(self._websocket.message(frame.data))
            self.channel.written(frame, now)
            return self.channel.has_frame
        self._frame = frame
        self._unwritten_bytes = len(frame.data)
        self._pieces = self._websocket.large_message(frame.data)
        self._piece = next(self._pieces)
        return True

    def _write_piece(self, stream: Stream, frame: Frame) -> None:
        if self._piece is not None:
            stream.write(self._piece)
            self._unwritten_bytes -= len(self._piece)
        self._piece = next(self._pieces, None)
        if self._piece is None:
            # All bytes were handed over, so from now on the frame may arrive.
            self.channel.written(frame, self._clock())
            self._frame = None
            self._unwritten_bytes = 0


def _words(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):  # of tasks on trio
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
