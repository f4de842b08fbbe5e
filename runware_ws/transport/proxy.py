"""Proxies: the choice from the environment, and the handshake with an HTTP proxy.

SOCKS proxies need the package python-socks, as in the websockets library.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..settings import is_loopback

HEAD_END = b"\r\n\r\n"
_SCHEMES = ("http", "https", "socks5h", "socks5", "socks4a", "socks4")
_MAX_HEAD_BYTES = 64 * 1024


class ProxyError(OSError):
    """The proxy cannot be used, or refused the connection."""


def proxy_for(host: str, port: int, *, is_secure: bool) -> str | None:
    """Return the URL of the proxy for a host, or None for a direct connection.

    A loopback address is never reached through a proxy. A proxy for WebSockets is preferred to a
    SOCKS proxy, and that to one for HTTPS or HTTP, as RFC 6455 advises.
    """
    if is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    proxies = getproxies()
    schemes = ("wss", "socks", "https") if is_secure else ("ws", "socks", "https", "http")
    for scheme in schemes:
        if url := proxies.get(scheme):
            return url.replace("http://", "socks5h://", 1) if scheme == "socks" else url
    return None


def parse_proxy(url: str) -> SplitResult:
    """Split the URL of a proxy.

    Raises:
        ProxyError: it is not the URL of a proxy. The text does not quote it, because it may contain
            a password.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0 and parts.scheme in _SCHEMES:
            return parts
    raise ProxyError("the URL of the proxy is not an http, https or socks URL")


def is_socks(proxy: SplitResult) -> bool:
    """Return whether a proxy speaks SOCKS."""
    return proxy.scheme.startswith("socks")


async def connect_socks(url: str, backend: str, host: str, port: int) -> Any:
    """Return a socket of the backend, ``asyncio`` or ``trio``, that a SOCKS proxy has connected.

    Raises:
        ProxyError: python-socks is not installed, or the proxy refused the connection.
    """
    try:
        module = import_module(f"python_socks.async_.{backend}")
    except ImportError:
        raise ProxyError("a SOCKS proxy needs: pip install python-socks") from None
    # "h" and "a" mean that the proxy resolves the name, which python-socks does by default.
    plain = url.replace("socks5h:", "socks5:", 1).replace("socks4a:", "socks4:", 1)
    try:
        return await module.Proxy.from_url(plain).connect(dest_host=host, dest_port=port)
    except Exception as error:  # noqa: BLE001  # the library has a tree of its own
        raise ProxyError(f"the proxy: {error}") from None


def tunnel_request(proxy: SplitResult, host: str, port: int) -> bytes:
    """Return the request that asks an HTTP proxy for a connection to a host."""
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}"]
    if proxy.username is not None:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


def check_tunnel_response(head: bytes) -> bool:
    """Return whether the answer of the proxy is complete, or more bytes are needed.

    Raises:
        ProxyError: the proxy refused the connection, or does not speak HTTP.
    """
    if HEAD_END not in head:
        if len(head) > _MAX_HEAD_BYTES:
            raise ProxyError("the proxy does not speak HTTP")
        return False
    version, _, rest = head.split(b"\r\n", 1)[0].partition(b" ")
    status = rest[:3].decode("latin-1")
    if not version.startswith(b"HTTP/") or not status.isdecimal():
        raise ProxyError("the proxy does not speak HTTP")
    if not status.startswith("2"):
        raise ProxyError(f"the proxy answered with HTTP {status}")
    return True
