"""The network below the downloads: names are resolved once, and only checked addresses connected.

A name that is resolved for a check and once more for the connection may have another address the
second time. Here the address that was checked is the one that is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import SplitResult

import anyio
import httpcore

from ..runtime.concurrency import run_in_thread
from ..transport.proxy import (
    ProxyError,
    check_tunnel_response,
    is_socks,
    parse_proxy,
    proxy_for,
    tunnel_request,
)
from .links import LinkRules, is_public
from .response import ForbiddenAddressError

_CONNECT_TIMEOUT = 5.0  # of one address; a name may have several


class Network(httpcore.AsyncNetworkBackend):
    """Connects to hosts as the rules allow, through the proxy of the environment if there is one.

    A proxy resolves the names itself, so that behind one only the links are checked.
    """

    def __init__(self, rules: LinkRules) -> None:
        self._rules = rules
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host.

        Raises:
            ForbiddenAddressError: it has no address that may be connected to.
            OSError: it has no address at all, or the proxy refuses the connection.
            httpcore.ConnectError, httpcore.ConnectTimeout: it cannot be reached.
        """
        proxy = proxy_for(host, port, is_secure=True)
        with anyio.fail_after(timeout):
            if proxy is not None:
                return await self._connect_through(parse_proxy(proxy), host, port)
            return await self._connect(await self._addresses(host, port), port)

    async def _addresses(self, host: str, port: int) -> list[str]:
        addresses = await _resolve(host, port)
        if self._rules.is_own(host):
            return addresses
        public = [one for one in addresses if is_public(ipaddress.ip_address(one))]
        if not public:
            raise ForbiddenAddressError(
                f"{host} has no public address (where that is intended, pass http_client=…)"
            )
        return public

    async def _connect(self, addresses: list[str], port: int) -> httpcore.AsyncNetworkStream:
        for address in addresses[:-1]:
            try:
                return await self._backend.connect_tcp(address, port, _CONNECT_TIMEOUT)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(addresses[-1], port, _CONNECT_TIMEOUT)

    async def _connect_through(
        self, proxy: SplitResult, host: str, port: int
    ) -> httpcore.AsyncNetworkStream:
        if is_socks(proxy):
            raise ProxyError("downloads take no SOCKS proxy: pass http_client=…")
        is_secure = proxy.scheme == "https"
        name = proxy.hostname or ""
        stream = await self._backend.connect_tcp(name, proxy.port or (443 if is_secure else 80))
        try:
            if is_secure:
                stream = await stream.start_tls(ssl.create_default_context(), name)
            await stream.write(tunnel_request(proxy, host, port))
            head = b""
            while not check_tunnel_response(head):
                data = await stream.read(4096)
                if not data:
                    raise ProxyError("the proxy closed the connection")
                head += data
        except BaseException:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise
        return stream


async def _resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    find = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await run_in_thread(find, abandon_on_cancel=True)
    return [str(entry[4][0]) for entry in found]
