"""Hold one connection of a scripted server, with the verbs of which its script is made."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from uuid import uuid4

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.support.answers import Item, error, result
from tests.support.record import Record

__all__ = ["Connection", "Gate", "Script", "drops_a_task", "replying", "silent"]


class Gate:
    """A signal between threads: a script waits for it, a test opens it, or the other way."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """Let everybody through, from now on."""
        with self._lock:
            self._event.set()
            for loop, waiter in self._waiters:
                loop.call_soon_threadsafe(waiter.set)

    async def wait(self) -> None:
        """For scripts: wait until the gate is open."""
        waiter = asyncio.Event()
        with self._lock:
            if self._event.is_set():
                return
            self._waiters.append((asyncio.get_running_loop(), waiter))
        await waiter.wait()


class Connection:
    """One connection, as its script sees it. Its verbs run in the server's thread.

    Attributes:
        index: 0 for the first connection of the server.
        frames: every frame received, as it came, also those that no script asked for.
        session: what `accept` has given as connectionSessionUUID.
        closed: how the client ended it (the close code), or None while it lives.
    """

    def __init__(self, record: Record, socket: ServerConnection, index: int) -> None:
        self.record = record
        self.index = index
        self.frames: list[str | bytes] = []
        self.session: str | None = None
        self.closed: int | None = None
        self._socket = socket
        self._inbox: asyncio.Queue[list[Item]] = asyncio.Queue()
        self._ahead: list[Item] = []

    @property
    def tasks(self) -> list[Item]:
        """Every task received, frame boundaries aside."""
        return [task for frame in self.frames for task in json.loads(frame)]

    @property
    def user_agent(self) -> str | None:
        """Return what the client called itself in the handshake."""
        request = self._socket.request
        return None if request is None else request.headers.get("User-Agent")

    # Hearing.

    async def receive(self) -> list[Item]:
        """The tasks of the next frame."""
        if self._ahead:
            tasks, self._ahead = self._ahead, []
            return tasks
        return await self._inbox.get()

    async def take(self, count: int = 1, kind: str = "upscale") -> list[Item]:
        """The next tasks of this kind, from however many frames.

        Pings are answered meanwhile; other tasks stay, to be received afterwards.
        """
        taken: list[Item] = []
        passed_over: list[Item] = []
        while len(taken) < count:
            for task in await self.receive():
                if len(taken) < count and task["taskType"] == kind:
                    taken.append(task)
                elif task["taskType"] == "ping":
                    await self.answer(task)
                else:
                    passed_over.append(task)
        self._ahead = passed_over
        return taken

    def stop_reading(self) -> None:
        """Go deaf: what the client writes from now on stays on the line."""
        self._socket.transport.pause_reading()

    # Speaking.

    async def send(self, *data: Item, errors: Iterable[Item] = ()) -> None:
        """One frame with these items and errors."""
        frame: Item = {"errors": list(errors)} if errors else {}
        await self.send_json({**frame, "data": list(data)} if data or not errors else frame)

    async def send_json(self, frame: Any) -> None:
        """One frame of whatever shape."""
        await self.send_raw(json.dumps(frame, indent=2))

    async def send_raw(self, frame: str | bytes | tuple[str, ...]) -> None:
        """One frame as it stands: text, binary, or text in fragments."""
        await self._socket.send(frame)

    async def accept(self, session: str | None = None, **members: Any) -> Item:
        """Wait for the authentication, and let it in. The client's task.

        Args:
            session: the connectionSessionUUID of the reply; default: the one asked for, or new.
            members: further members of the reply.
        """
        (task,) = await self.receive()
        await self.welcome(task, session, **members)
        return task

    async def welcome(self, task: Item, session: str | None = None, **members: Any) -> None:
        """The reply to an authentication."""
        self.session = session or task.get("connectionSessionUUID") or str(uuid4())
        reply = {"connectionSessionUUID": self.session, "taskType": "authentication"}
        await self.send({**reply, **members})

    async def answer(self, *tasks: Item) -> None:
        """Answer tasks of any kind as an obliging server does, in one frame."""
        data: list[Item] = []
        errors: list[Item] = []
        for task in tasks:
            match task["taskType"]:
                case "authentication":
                    await self.welcome(task)
                case "ping":
                    data.append({"pong": True, "taskType": "ping"})
                case "getResponse":
                    self._find(task, data, errors)
                case "getTaskDetails":
                    self._find_details(task, data, errors)
                case _:
                    self._run(task, data, errors)
        if data or errors:
            await self.send(*data, errors=errors)
        self.record.tell()

    async def serve(self) -> None:
        """Be obliging for as long as the connection lives."""
        while True:
            await self.answer(*await self.receive())

    def _run(self, task: Item, data: list[Item], errors: list[Item]) -> None:
        if task["taskUUID"] in self.record.known:
            errors.append(error("conflictTaskUUID", task))
            return
        self.record.known[task["taskUUID"]] = task
        self.record.executed.append(task["taskUUID"])
        if task.get("deliveryMethod") == "async":
            data.append({"taskUUID": task["taskUUID"], "taskType": "upscale"})
        else:
            data.append(result(task))

    def _find(self, question: Item, data: list[Item], errors: list[Item]) -> None:
        task = self.record.known.get(question["taskUUID"])
        if task is None:
            errors.append(error("taskNotFound", question))
        else:
            data.append({"status": "success", **result(task)})

    def _find_details(self, question: Item, data: list[Item], errors: list[Item]) -> None:
        task = self.record.known.get(question["taskUUID"])
        if task is None:
            errors.append(error("taskNotFound", question))
        else:
            names = {"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]}
            data.append({**names, "request": [task], "response": {"data": [result(task)]}})

    # Ending.

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        await self._socket.close(code, reason)

    def abort(self) -> None:
        """Reset the connection."""
        self._socket.transport.abort()

    def half_close(self) -> None:
        """End the stream without a goodbye, and leave the other direction open."""
        self._socket.transport.write_eof()

    def write_raw(self, data: bytes) -> None:
        """Put bytes on the line past the library: no frame is made of them."""
        self._socket.transport.write(data)

    def break_off(self, text: str) -> None:
        """Send the header and half of a frame with `text`, and reset the connection."""
        data = text.encode()
        header = struct.pack("!BBQ", 0x81, 127, len(data))
        self.write_raw(header + data[: len(data) // 2])
        asyncio.get_running_loop().call_later(0.05, self.abort)

    # For the server.

    async def play(self, script: Script) -> None:
        """Hear and record everything while `script` runs, and end with whichever ends first."""
        hearing = asyncio.create_task(self._hear())
        playing = asyncio.ensure_future(script(self))
        try:
            await asyncio.wait((hearing, playing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            playing.cancel()
            ends = await asyncio.gather(hearing, playing, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, ConnectionClosed):
                raise end

    async def _hear(self) -> None:
        try:
            async for frame in self._socket:
                self.frames.append(frame)
                self._inbox.put_nowait(json.loads(frame))
                self.record.tell()
        finally:
            self.closed = self._socket.close_code or 1006
            self.record.tell()


Script = Callable[[Connection], Coroutine[Any, Any, None]]


async def drops_a_task(connection: Connection) -> None:
    """A script that accepts the key, takes a task, and is gone."""
    await connection.accept()
    await connection.take()
    connection.abort()


async def silent(connection: Connection) -> None:
    """A script that accepts the key, takes tasks, and says nothing more."""
    await connection.accept()
    await connection.take(10_000)


def replying(reply: Callable[[Item], Any]) -> Script:
    """A script that accepts the key and answers each task with the frame that `reply` makes.

    Pings are answered without it. A text or bytes are sent as they stand, anything else as JSON,
    and None not at all.
    """

    async def script(connection: Connection) -> None:
        await connection.accept()
        while True:
            for task in await connection.receive():
                if task["taskType"] == "ping":
                    await connection.answer(task)
                    continue
                frame = reply(task)
                if isinstance(frame, str | bytes):
                    await connection.send_raw(frame)
                elif frame is not None:
                    await connection.send_json(frame)

    return script
