"""Test the undocumented parts of uvicorn that `emulator/server/http_server.py` relies on.

A failure here means that uvicorn has changed one of them; the message says which.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

REQUEST = b"GET /v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Transport(asyncio.Transport):
    """A transport that keeps the protocol it is given, and what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.BaseProtocol | None = None
        self.is_ended = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        """Drop it."""

    def is_closing(self) -> bool:
        return self.is_ended

    def close(self) -> None:
        self.is_ended = True


class Upgraded(asyncio.Protocol):
    """The protocol of an upgraded connection; it notes how it is made and used."""

    def __init__(self, **arguments: object) -> None:
        self.arguments = arguments
        self.transport: asyncio.BaseTransport | None = None
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data


async def app(scope: object, receive: object, send: object) -> None:
    """Do nothing."""


def http_protocol(state: ServerState) -> Any:
    """Return uvicorn's protocol for a new connection, made as `http_server` does it."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws=Upgraded)
    config.load()
    try:
        make: Any = config.http_protocol_class
        return make(config=config, server_state=state, app_state={})
    except (AttributeError, TypeError) as error:
        pytest.fail(f"uvicorn makes its HTTP protocol in another way: {error}")


async def connected(state: ServerState) -> tuple[Any, Transport]:
    protocol, transport = http_protocol(state), Transport()
    protocol.connection_made(transport)
    return protocol, transport


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestUvicorn:
    async def test_notes_its_http_connections_where_they_are_closed_from(self) -> None:
        state = ServerState()
        protocol, transport = await connected(state)
        assert protocol in state.connections, "uvicorn keeps its connections elsewhere"
        assert protocol.transport is transport, "uvicorn names the transport differently"
        protocol.shutdown()
        assert transport.is_ended, "uvicorn's HTTP protocol is shut down in another way"

    async def test_hands_an_upgraded_connection_to_the_class_given_as_ws(self) -> None:
        state = ServerState()
        protocol, transport = await connected(state)
        protocol.data_received(REQUEST)
        upgraded = transport.protocol
        assert isinstance(upgraded, Upgraded), "uvicorn does not use the class given as ws"
        assert set(upgraded.arguments) <= {"config", "server_state", "app_state", "_loop"}
        assert upgraded.transport is transport, "uvicorn does not hand the transport over"
        assert upgraded.received.startswith(b"GET /v1 HTTP/1.1\r\n"), "nor the request"
        assert protocol not in state.connections, "uvicorn still closes upgraded connections"

    async def test_notes_the_requests_that_are_in_progress(self) -> None:
        state = ServerState()
        protocol, _ = await connected(state)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(state.tasks) == 1, "uvicorn keeps its requests elsewhere"
        await asyncio.wait(state.tasks)
