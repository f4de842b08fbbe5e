"""Test the command ``ping``, and the connection that all commands share."""

from __future__ import annotations

import asyncio
import socket

import pytest

from runware_ws import ConnectionLostError
from runware_ws.cli.connection import connect
from runware_ws.cli.options import ConnectionArguments
from tests.cli.conftest import run


@pytest.mark.usefixtures("service")
def test_ping_prints_each_round_trip_time() -> None:
    done = run("ping", "--count", "3", "--interval", "0")
    assert done.status == 0
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[1:4]] == ["ping 1", "ping 2", "ping 3"]
    assert lines[4].startswith("fastest ")


def test_ping_needs_no_key_with_an_emulator() -> None:
    assert run("ping", "--count", "1", "--emulator").status == 0
    assert run("ping", "--count", "1").status == 2


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_server_that_is_not_there_is_reported_in_bounded_time(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWARE_API_KEY", "some-key")
    messages: list[str] = []
    arguments = ConnectionArguments(url=f"ws://me:secret@127.0.0.1:{closed_port}/v1?token=secret")

    async def try_to_connect() -> None:
        async with connect(arguments, messages.append, first_connect_timeout=0.05):
            raise AssertionError("it is connected")

    with pytest.raises(ConnectionLostError) as error:
        asyncio.run(try_to_connect())
    address = f"ws://127.0.0.1:{closed_port}/v1"
    assert str(error.value).startswith(f"cannot connect to {address}: ConnectionRefusedError")
    assert messages
    assert messages[0].startswith("no connection: ConnectionRefusedError")
    assert "secret" not in str((error.value, messages))


def test_a_connection_that_stays_away_from_the_start_ends_the_command(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWARE_API_KEY", "some-key")
    url = f"ws://127.0.0.1:{closed_port}/v1"
    arguments = ConnectionArguments(url=url)

    async def try_to_connect() -> None:
        async with connect(arguments, lambda text: None, max_reconnect_time=0.0):
            raise AssertionError("it is connected")

    with pytest.raises(ConnectionLostError, match=f"^cannot connect to {url}: "):
        asyncio.run(try_to_connect())
