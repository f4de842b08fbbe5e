"""Play a Runware of foreign make: of wsproto and plain streams, and with habits of its own.

It is obliging, and does all the things that a server may do and few do: see `Habits`. It runs in a
thread with an event loop of its own.
"""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Request,
    TextMessage,
)

from tests.support.answers import Item, error, result

__all__ = ["Habits", "StrangeServer"]


@dataclass(frozen=True, kw_only=True)
class Habits:
    """The ways in which the server writes.

    Attributes:
        binary: frames are binary ones.
        indent: JSON is spread over lines, by so much.
        fragment_bytes: frames come in fragments of so much; 0 for whole.
        pings: a control frame comes between any two fragments.
        write_bytes: so much is written to the socket at once; 0 for all.
        group: so many results share a frame, as soon as there are so many.
        upper: UUIDs come back in upper case.
        backwards: results come in the reverse order, and members too.
        wraps: frames are arrays of one object.
    """

    binary: bool = False
    indent: int | None = None
    fragment_bytes: int = 0
    pings: bool = False
    write_bytes: int = 0
    group: int = 1
    upper: bool = False
    backwards: bool = False
    wraps: bool = False


class StrangeServer:
    """See the module's text.

    Attributes:
        url: where it listens.
        tasks: every task that came in, over all connections.
    """

    def __init__(self, habits: Habits) -> None:
        self.url = ""
        self.tasks: list[Item] = []
        self._habits = habits
        self._writers: set[asyncio.StreamWriter] = set()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="strange")

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def drop(self) -> None:
        """From a test: reset all connections."""
        for writer in list(self._writers):
            self._loop.call_soon_threadsafe(writer.transport.abort)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._started.set_result(None)
        await self._end.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await _Connection(self._habits, self.tasks, reader, writer).serve()
        except OSError:  # the client has gone
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


class _Connection:
    def __init__(
        self,
        habits: Habits,
        tasks: list[Item],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._habits = habits
        self._tasks = tasks
        self._reader, self._writer = reader, writer
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._received = bytearray()
        self._waiting: list[Item] = []

    async def serve(self) -> None:
        while data := await self._reader.read(65536):
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                await self._on_event(event)

    async def _on_event(self, event: Event) -> None:
        match event:
            case Request():
                await self._write(self._protocol.send(AcceptConnection()))
            case Message():
                data = event.data
                self._received += data.encode() if isinstance(data, str) else data
                if event.message_finished:
                    tasks, self._received = json.loads(self._received), bytearray()
                    await self._answer(tasks)
            case Ping() | CloseConnection():
                await self._write(self._protocol.send(event.response()))
                if isinstance(event, CloseConnection):
                    self._writer.close()

    # What it says

    async def _answer(self, tasks: list[Item]) -> None:
        for task in tasks:
            self._tasks.append(task)
            match task["taskType"]:
                case "authentication":
                    session = task.get("connectionSessionUUID") or str(uuid4())
                    await self._send([{**_head(task), "connectionSessionUUID": session}])
                case "ping":
                    await self._send([{"pong": True, "taskType": "ping"}])
                case "getResponse":
                    await self._send([], [error("taskNotFound", task)])
                case _:
                    self._waiting.append(result(task, taskType="unheardOf"))
        while len(self._waiting) >= self._habits.group:
            group = self._waiting[: self._habits.group]
            del self._waiting[: self._habits.group]
            await self._send(group)

    async def _send(self, data: list[Item], errors: list[Item] | None = None) -> None:
        frame: Any = {"novel": {"a": [None]}, "data": [self._styled(item) for item in data]}
        if errors:
            frame["errors"] = [self._styled(one) for one in errors]
        if self._habits.backwards:
            frame["data"].reverse()
        text = json.dumps([frame] if self._habits.wraps else frame, indent=self._habits.indent)
        await self._send_message(text)

    def _styled(self, item: Item) -> Item:
        pairs = list(item.items())
        if self._habits.upper:
            pairs = [(n, v.upper() if n.endswith("UUID") else v) for n, v in pairs]
        return dict(reversed(pairs) if self._habits.backwards else pairs)

    async def _send_message(self, text: str) -> None:
        message: str | bytes = text.encode() if self._habits.binary else text
        kind: Any = BytesMessage if self._habits.binary else TextMessage
        size = self._habits.fragment_bytes or len(message)
        for start in range(0, len(message), size):
            part = kind(
                message[start : start + size], message_finished=start + size >= len(message)
            )
            if start and self._habits.pings:
                await self._write(self._protocol.send(Ping(b"between")))
            await self._write(self._protocol.send(part))

    async def _write(self, data: bytes) -> None:
        size = self._habits.write_bytes or len(data)
        for start in range(0, len(data), max(size, 1)):
            self._writer.write(data[start : start + size])
            await self._writer.drain()
            if self._habits.write_bytes:
                await asyncio.sleep(0)


def _head(task: Item) -> Item:
    return {"taskType": task["taskType"]}
