"""Test where a download may lead: schemes, addresses, names that change, proxies and TLS."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore
import pytest

from runware_ws import DownloadError, RunwareClient, UpscaleResult
from runware_ws.http import transfer
from runware_ws.http.links import LinkRules, is_public
from runware_ws.runtime.download import Downloads
from tests.support.clients import KEY
from tests.support.pictures import PICTURE, PictureServer, picture, redirect

pytestmark = pytest.mark.anyio

UUID4 = "0d1e6d06-25f4-4a27-bbfd-1f1d4dfe6c9b"
RUNWARE = "wss://ws-api.runware.ai/v1"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_DELAYS", (0.0, 0.0))


def linked(url: str, service_url: str = RUNWARE) -> UpscaleResult:
    downloads = Downloads(service_url, connect_timeout=5.0)
    return UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """The addresses of made-up names: what each look-up in turn gives, the last one again."""
    known: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *rest, **options)
        found = known[host][0] if len(known[host]) == 1 else known[host].pop(0)
        return [
            (family_of(address), socket.SOCK_STREAM, 6, "", (address, port)) for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


# Schemes


@pytest.mark.parametrize(
    "url",
    [
        "http://im.runware.ai/a.jpg",
        "http://127.0.0.1:1/a.jpg",
        "ftp://im.runware.ai/a.jpg",
        "file:///etc/passwd",
        "nonsense",
        "https://",
        "https:///a.jpg",
        "https://a b/",
        "https://[::1/",
        "//im.runware.ai/a.jpg",
        "",
    ],
)
async def test_a_link_that_is_not_https_is_refused_and_named(url: str) -> None:
    with pytest.raises(DownloadError) as caught:
        await linked(url).read()
    assert caught.value.url == url


@pytest.mark.parametrize(
    ("service", "url", "allowed"),
    [
        ("ws://127.0.0.1:8765/v1", "http://127.0.0.1:9000/a.jpg", True),
        ("ws://127.0.0.1:8765/v1", "http://localhost/a.jpg", True),
        ("ws://localhost:8765/v1", "http://[::1]/a.jpg", True),
        ("ws://localhost:8765/v1", "http://0.0.0.0:8765/a.jpg", True),
        ("ws://127.0.0.1:8765/v1", "http://example.com/a.jpg", False),
        ("ws://127.0.0.1:8765/v1", "http://10.0.0.1/a.jpg", False),
        ("ws://emulator:8765/v1", "http://emulator:8765/a.jpg", True),
        ("ws://emulator:8765/v1", "http://127.0.0.1/a.jpg", False),
        ("wss://emulator:8765/v1", "http://emulator/a.jpg", False),
        ("wss://localhost/v1", "http://localhost/a.jpg", False),
        (RUNWARE, "https://im.runware.ai/a.jpg", True),
    ],
)
def test_http_leads_to_the_services_own_host_only(service: str, url: str, allowed: bool) -> None:
    rules = LinkRules(service)
    if allowed:
        assert rules.check(url) == url
    else:
        with pytest.raises(DownloadError, match="only https"):
            rules.check(url)


# Addresses


PRIVATE = (
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1"),
    *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1"),
    *("::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("2002:7f00:1::", "2002:a00:1::"),
)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_seen_however_they_are_wrapped(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


async def test_private_addresses_are_not_connected_to(names: dict[str, list[list[str]]]) -> None:
    names["pictures.example"] = [[address] for address in PRIVATE]
    downloads = Downloads(RUNWARE)
    downloads.open()
    for address in PRIVATE:
        literal = f"[{address}]" if ":" in address else address
        for host in ("pictures.example", literal):
            one = UpscaleResult(UUID4, {"imageURL": f"https://{host}/a.jpg"}, downloads=downloads)
            with pytest.raises(DownloadError, match="has no public address"):
                await one.read()
    await downloads.aclose()


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "017700000001", "127.1", "localhost"])
async def test_this_machine_is_not_reached_under_another_name(host: str) -> None:
    with PictureServer() as server:
        with pytest.raises(DownloadError):
            await linked(f"https://{host}:{server.port}/a.jpg").read()
        assert not server.connections


async def test_a_name_that_becomes_private_is_connected_to_where_it_was_checked_only(
    names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack is called DNS rebinding."""
    connected: list[str] = []

    async def refuse(_: object, host: str, *__: object, **___: object) -> None:
        connected.append(host)
        raise httpcore.ConnectError("nobody is there")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", refuse)
    names["pictures.example"] = [["10.0.0.1", "8.8.8.8"], ["127.0.0.1"]]
    with pytest.raises(DownloadError, match="has no public address"):
        await linked("https://pictures.example/a.jpg").read()
    assert connected == ["8.8.8.8"]  # of the first attempt; the second one had nowhere to go


# TLS


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's end of TLS for ``pictures.example``, which this process trusts."""
    trustme = pytest.importorskip("trustme", reason="it is in the extra `test` only")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pictures.example", "127.0.0.1").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return context


async def test_https_is_spoken_with_the_name_and_its_certificate_is_checked(
    tls: ssl.SSLContext, names: dict[str, list[list[str]]]
) -> None:
    names["pictures.example"] = names["other.example"] = [["127.0.0.1"]]
    with PictureServer(tls) as server:
        server.plays("/a.jpg", picture())
        url = f"https://pictures.example:{server.port}/a.jpg"
        assert await linked(url, f"wss://pictures.example:{server.port}/v1").read() == PICTURE
        assert server.requests[0].headers["host"] == f"pictures.example:{server.port}"
        other = f"https://other.example:{server.port}/a.jpg"
        with pytest.raises(DownloadError, match="certificate"):
            await linked(other, "wss://other.example/v1").read()


@pytest.fixture
def own(tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """TLS settings that alone trust a server with `tls`."""
    monkeypatch.delenv("SSL_CERT_FILE")
    return ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))


async def test_tls_settings_of_the_callers_own_are_used_and_left_as_they_are(
    tls: ssl.SSLContext, own: ssl.SSLContext
) -> None:
    with PictureServer(tls) as server:
        url = server.plays("/a.jpg", picture())
        downloads = Downloads("wss://127.0.0.1/v1")
        with pytest.raises(DownloadError, match="certificate"):
            await UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads).read()
        downloads = Downloads("wss://127.0.0.1/v1", tls=own)
        assert await UpscaleResult(UUID4, {"imageURL": url}, downloads=downloads).read() == PICTURE


async def test_a_client_downloads_with_the_tls_settings_that_it_was_given(
    tls: ssl.SSLContext, own: ssl.SSLContext
) -> None:
    with PictureServer(tls) as server:
        url = server.plays("/a.jpg", picture())
        client = RunwareClient(KEY, url="wss://127.0.0.1:1/v1", ssl=own)
        assert await UpscaleResult(UUID4, {"imageURL": url}, downloads=client._downloads).read()


async def test_a_redirect_from_https_to_http_is_not_followed(tls: ssl.SSLContext) -> None:
    with PictureServer(tls) as server, PictureServer() as plain:
        url = server.plays("/a.jpg", redirect(f"http://127.0.0.1:{plain.port}/a.jpg"))
        with pytest.raises(DownloadError, match="only https"):
            await linked(url, "wss://127.0.0.1/v1").read()
        assert server.connections == 1
        assert not plain.connections


async def test_an_address_that_does_not_answer_gives_way_to_the_next(
    tls: ssl.SSLContext, names: dict[str, list[list[str]]]
) -> None:
    names["pictures.example"] = [["127.0.0.2", "127.0.0.1"]]  # nobody listens at the first
    with PictureServer(tls) as server:
        server.plays("/a.jpg", picture())
        url = f"https://pictures.example:{server.port}/a.jpg"
        assert await linked(url, "wss://pictures.example/v1").read() == PICTURE


# Proxies


@contextmanager
def tunnel_proxy(
    target: PictureServer, status: str = "200 OK"
) -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP proxy that connects everybody to one server, whatever they ask for."""
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # one of the two hung up
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with listening.accept()[0] as client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            asked.append(head)
            client.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
            if not status.startswith("2"):
                return
            with socket.create_connection(("127.0.0.1", target.port)) as upstream:
                back = threading.Thread(target=copy, args=(upstream, client))
                back.start()
                copy(client, upstream)
                back.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://user:word@127.0.0.1:{listening.getsockname()[1]}", asked
    finally:
        listening.close()
        thread.join()


async def test_the_proxy_of_the_environment_is_used_as_for_the_websocket(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PictureServer(tls) as server, tunnel_proxy(server) as (proxy, asked):
        server.plays("/a.jpg", picture())
        monkeypatch.setenv("https_proxy", proxy)
        assert await linked("https://pictures.example/a.jpg").read() == PICTURE
    assert asked[0].startswith(b"CONNECT pictures.example:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in asked[0]


async def test_a_proxy_that_refuses_is_named_without_its_password(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_ATTEMPTS", 1)
    with PictureServer(tls) as server, tunnel_proxy(server, "407 No") as (proxy, _):
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(DownloadError, match="the proxy answered with HTTP 407") as caught:
            await linked("https://pictures.example/a.jpg").read()
    assert "word" not in str(caught.value)


async def test_a_socks_proxy_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    monkeypatch.setenv("socks_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(DownloadError, match="http_client"):
        await linked("https://pictures.example/a.jpg").read()
