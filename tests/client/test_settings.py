"""Settings come from keywords, then from the environment, then from defaults; keys may rotate."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from runware_ws import AuthenticationError, ConnectionLostError, InputError, RunwareClient
from runware_ws.sync import RunwareClient as BlockingClient
from tests.support.answers import error
from tests.support.clients import IMAGE, KEY, QUICK, client_of, hasty, served
from tests.support.reference import entries, shown
from tests.support.scripted import Connection, ScriptedServer

OTHER_KEY = "rw_Other4712SecretOfTheTests"


def settings_of(client: RunwareClient) -> Any:
    return client._settings


def test_the_docstring_states_each_default_value() -> None:
    texts = entries(RunwareClient, "Args")
    for name, parameter in signature(RunwareClient).parameters.items():
        if parameter.default is not None and name not in ("on_doubt", "profile"):
            assert f"Default {shown(parameter.default).strip('`')}" in texts[name], name


# The environment


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_in_flight", "7", 7),
        ("timeout", "2.5", 2.5),
        ("timeout", "none", None),
        ("max_reconnect_time", " 60 ", 60.0),
        ("on_doubt", "fail", "fail"),
        ("max_size", "1000000", 1_000_000),
    ],
)
def test_a_setting_comes_from_the_environment(
    name: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RUNWARE_WS_{name.upper()}", text)
    assert getattr(settings_of(RunwareClient(KEY)), name) == value
    assert getattr(settings_of(BlockingClient(KEY)._original), name) == value


def test_a_keyword_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWARE_WS_MAX_RETRIES", "7")
    monkeypatch.setenv("RUNWARE_WS_TIMEOUT", "7")
    settings = settings_of(RunwareClient(KEY, max_retries=0, timeout=None))
    assert (settings.max_retries, settings.timeout) == (0, None)


def test_a_journal_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNWARE_WS_JOURNAL", str(tmp_path / "jobs.db"))
    with ScriptedServer() as server, BlockingClient(KEY, url=server.url):
        assert (tmp_path / "jobs.db").exists()


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWARE_WS_MAX_RETRIES", "")
    assert settings_of(RunwareClient(KEY)).max_retries == 2


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("MAX_IN_FLIGHT", "many", "RUNWARE_WS_MAX_IN_FLIGHT is 'many'; set .* to an integer"),
        ("MAX_IN_FLIGHT", "0", "max_in_flight: 0 is out of range"),
        ("TIMEOUT", "soon", "RUNWARE_WS_TIMEOUT is 'soon'; set .* to a number"),
        ("ON_DOUBT", "maybe", "on_doubt: 'maybe' is not allowed"),
    ],
)
def test_a_wrong_variable_is_named(
    name: str, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RUNWARE_WS_{name}", text)
    with pytest.raises(InputError, match=words) as raised:
        RunwareClient(KEY)
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert KEY not in "".join(shown.format())


def test_the_environment_cannot_allow_to_send_the_key_unencrypted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNWARE_WS_ALLOW_INSECURE", "1")
    with pytest.raises(InputError, match="unencrypted"):
        RunwareClient(KEY, url="ws://example.com/v1")


# Keys that rotate


class Keys:
    """A function that gives one key after the other, and the last one again and again."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.threads: list[threading.Thread] = []

    def plain(self) -> Any:
        self.threads.append(threading.current_thread())
        key = self.keys[0] if len(self.keys) == 1 else self.keys.pop(0)
        if isinstance(key, Exception):
            raise key
        return key

    async def asynchronous(self) -> Any:
        return self.plain()

    @property
    def asked(self) -> int:
        return len(self.threads)


def rotating(function: Callable[[], Any], server: ScriptedServer) -> RunwareClient:
    """Return a client that takes its keys from a function, and soon tries a refused one again."""
    client = RunwareClient(function, url=server.url, doubt_window=0.1)
    return hasty(client, replace(QUICK, breaker=(0.01, 0.01)))


def keys_used(server: ScriptedServer) -> list[str]:
    return [task["apiKey"] for task in server.of_kind("authentication")]


async def drops(connection: Connection) -> None:
    await connection.accept()
    connection.abort()


async def refuses(connection: Connection) -> None:
    while True:
        (task,) = await connection.receive()
        assert task["taskType"] == "authentication"
        refusal = error("invalidApiKey", taskType="authentication", parameter="apiKey")
        await connection.send(errors=[refusal])


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_a_key_that_is_refused_is_asked_for_again(kind: str) -> None:
    keys = Keys(KEY, OTHER_KEY)
    with ScriptedServer(drops, refuses) as server:
        async with rotating(getattr(keys, kind), server) as client:
            await client.upscale(IMAGE)
    used = keys_used(server)
    assert (used[0], used[1], used[-1]) == (KEY, KEY, OTHER_KEY)
    assert keys.asked == 2
    if kind == "plain":
        assert threading.current_thread() not in keys.threads


@pytest.mark.anyio
async def test_a_key_that_is_good_is_not_asked_for_again() -> None:
    keys = Keys(KEY, OTHER_KEY)
    with ScriptedServer(drops, drops) as server:
        async with rotating(keys.plain, server) as client:
            await client.upscale(IMAGE)
    assert keys_used(server) == [KEY] * 3
    assert keys.asked == 1


@pytest.mark.anyio
async def test_a_key_that_was_never_good_is_fatal_also_from_a_function() -> None:
    keys = Keys(KEY)
    with ScriptedServer(refuses) as server, pytest.raises(AuthenticationError):
        await RunwareClient(keys.plain, url=server.url).connect()
    assert keys.asked == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("key", "kind", "words"),
    [
        (LookupError(f"no vault for {KEY}"), LookupError, "no vault"),
        (None, InputError, "api_key: is missing"),
        ("  ", InputError, "api_key: is empty"),
        (b"bytes", InputError, "api_key: is of type bytes"),
    ],
)
async def test_a_function_without_a_key_is_an_error_when_the_client_is_opened(
    key: Any, kind: type[Exception], words: str
) -> None:
    with ScriptedServer() as server:
        client = RunwareClient(Keys(key).plain, url=server.url)
        with pytest.raises(kind, match=words):
            await client.connect()
        assert server.connections == []


@pytest.mark.anyio
async def test_a_function_that_fails_later_is_asked_again_and_its_words_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    keys = Keys(KEY, LookupError(f"no vault for {OTHER_KEY}"), OTHER_KEY)
    with ScriptedServer(drops, refuses, refuses) as server:
        async with rotating(keys.asynchronous, server) as client:
            await client.upscale(IMAGE)
            assert OTHER_KEY not in repr(vars(client))
    assert keys_used(server)[-1] == OTHER_KEY
    assert "no new key: LookupError" in caplog.text
    assert OTHER_KEY not in caplog.text


def test_a_blocking_client_takes_a_function_too() -> None:
    with ScriptedServer() as server, BlockingClient(lambda: KEY, url=server.url) as client:
        assert client.upscale(IMAGE).image_url
    assert keys_used(server) == [KEY]


# TLS and proxies


@pytest.mark.anyio
async def test_a_server_is_trusted_by_the_callers_own_tls_settings() -> None:
    trustme = pytest.importorskip("trustme", reason="it is in the extra `test` only")
    authority = trustme.CA()
    served_with = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(served_with)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with ScriptedServer(tls=served_with) as server:
        async with client_of(server, ssl=trusting) as client:
            assert (await client.upscale(IMAGE)).image_url
        with pytest.raises(ConnectionLostError, match="certificate"):
            await client_of(server, max_reconnect_time=0).connect()


def refusing_proxy(listening: socket.socket, heard: list[bytes]) -> None:
    connection, _ = listening.accept()
    with connection:
        heard.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.1 407 Who are you\r\n\r\n")


@pytest.mark.anyio
async def test_a_proxy_of_ones_own_is_used_also_for_this_machine() -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refusing_proxy, args=(listening, heard))
        thread.start()
        port = listening.getsockname()[1]
        client = RunwareClient(
            KEY,
            url="ws://127.0.0.1:9/v1",
            proxy=f"http://me:s3cret@127.0.0.1:{port}",
            max_reconnect_time=0,
        )
        with pytest.raises(ConnectionLostError, match="407"):
            await client.connect()
        thread.join()
    assert heard[0].startswith(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic" in heard[0]
    assert "s3cret" not in repr(vars(client))


@pytest.mark.anyio
async def test_the_proxy_of_the_environment_can_be_left_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("runware_ws.transport.proxy.is_loopback", lambda _: False)
    monkeypatch.setattr("runware_ws.transport.proxy.proxy_bypass", lambda _: False)
    async with served(proxy=False) as (_, client):
        assert (await client.upscale(IMAGE)).image_url
    with ScriptedServer() as server, pytest.raises(ConnectionLostError):
        await client_of(server, max_reconnect_time=0).connect()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"proxy": "ftp://user:s3cret@host"}, "proxy: the URL of the proxy is not"),
        ({"proxy": None}, "proxy: is of type NoneType"),
        ({"ssl": True}, "ssl: is of type bool"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        RunwareClient(KEY, **options)
    assert "s3cret" not in str(raised.value)


# Futures


def test_what_wants_futures_takes_a_task_as_one() -> None:
    async def wait() -> None:
        async with served() as (_, client):
            tasks = [await client.submit(IMAGE) for _ in range(3)]
            done, pending = await asyncio.wait(map(asyncio.ensure_future, tasks), timeout=10)
            assert not pending
            assert {one.result().task_uuid for one in done} == {one.task_uuid for one in tasks}

    asyncio.run(wait())
