"""Play a Runware that does what a test says: the client's other peer, beside the emulator.

It shares no line of code with the client or the emulator, so that a misreading of the protocol
that these two share shows here, and its habits are others: its JSON is spread over lines, its
members come in another order, and there are some that nobody knows.

Left alone it is obliging: it accepts any key, takes up any session, answers pings, gives each
task a result at once, and knows each task again that it has seen.

    with ScriptedServer() as server:
        async with RunwareClient("any key", url=server.url) as client:
            await client.upscale(IMAGE)
        assert server.tasks[0]["upscaleFactor"] == 4

Everything else is a script: a coroutine function that is given a `Connection` and lives as long
as the connection should; when it returns, the connection is closed. Scripts are played in the
order of the connections, and after the last one the server is obliging again.

    async def refuses_the_first_task(connection: Connection) -> None:
        await connection.accept()
        (task,) = await connection.take()
        await connection.send(errors=[error("invalidImage", task)])
        await connection.serve()

    with ScriptedServer(refuses_the_first_task) as server: ...

To extend it, write scripts out of the verbs of `Connection`, as `drops_a_task` is, and functions
that make scripts, as `replying` does; a new habit of all connections belongs into
`Connection.answer`.

The server runs in a thread with an event loop of its own and so serves clients on asyncio and
on trio. A test looks at its record (`connections`, `tasks`, `frames`), waits for it with
`await server.until(condition)`, and steers running scripts with a `Gate`, or from outside with
`server.run(connection.send(…))`. A script that fails makes the ``with`` block fail.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.support.connection import Connection, Gate, Script, drops_a_task, replying, silent
from tests.support.record import PATIENCE, Record

__all__ = ["Connection", "Gate", "Script", "ScriptedServer", "drops_a_task", "replying", "silent"]


class ScriptedServer(Record):
    """A WebSocket server in a thread of its own; see the module's text.

    Args:
        scripts: one for each connection, in their order; None for an obliging one.
        refusals: HTTP status codes with which the first upgrades are refused.
        tls: with which it speaks TLS; None for plain text.

    Attributes:
        …: those of `Record`.
        url: where it listens.
        port: the number in it.
        refusals: those to come.
    """

    def __init__(
        self,
        *scripts: Script | None,
        refusals: Iterable[int] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__()
        self.url = ""
        self.port = 0
        self._scripts = list(scripts)
        self.refusals = list(refusals)
        self._tls = tls
        self._failures: list[BaseException] = []
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, name="scripted server")

    # Running.

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """From a test: let a verb of a connection run in the server's thread."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, function: Callable[[], object]) -> None:
        """The same for a verb that is no coroutine."""
        self._loop.call_soon_threadsafe(function)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)
        if self._failures:  # also when the test failed: this is why
            raise self._failures[0]

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        quiet = logging.getLogger("tests.scripted")  # what it heard is not the client's to log
        quiet.disabled = True
        options: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.2, "logger": quiet}
        async with serve(
            self._meet,
            "127.0.0.1",
            0,
            process_request=self._receive_upgrade,
            max_size=None,
            max_queue=None,
            ssl=self._tls,
            **options,
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            scheme = "ws" if self._tls is None else "wss"
            self.url = f"{scheme}://127.0.0.1:{self.port}/v1"
            self._started.set_result(None)
            await self._end.wait()
            # A connection that is being accepted while the server is closed would be left open, in
            # Python 3.11 (python/cpython#79033).
            for listening in server.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for connection in self.connections:
                connection.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):  # a connection that is being accepted ends too
                while others := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.wait(others)

    def _receive_upgrade(self, socket: ServerConnection, request: Request) -> Response | None:
        return socket.respond(self.refusals.pop(0), "no\n") if self.refusals else None

    async def _meet(self, socket: ServerConnection) -> None:
        index = len(self.connections)
        connection = Connection(self, socket, index)
        self.connections.append(connection)
        self.tell()
        script = self._scripts[index] if index < len(self._scripts) else None
        try:
            await connection.play(script or Connection.serve)
        except Exception as failure:  # noqa: BLE001  # raised again where the test hears it
            self._failures.append(failure)
