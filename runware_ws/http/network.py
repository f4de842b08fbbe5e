"""Network connections for downloads. Names are resolved once, and only to checked addresses.

If a name were resolved once for the check and once for the connection, its address might change in
between. Here the connection uses the address that was checked.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import SplitResult

import anyio
import httpcore

from ..transport.addresses import addresses_of, connect_to, connect_to_one_of
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


class Network(httpcore.AsyncNetworkBackend):
    """Connects to allowed hosts, through the proxy of the environment if there is one.

    A proxy resolves names itself, so with a proxy only the links are checked.
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
            OSError: it cannot be reached, or the proxy refuses the connection.
        """
        proxy = proxy_for(host, port, is_secure=True)
        with anyio.fail_after(timeout):
            if proxy is not None:
                return await self._connect_through(parse_proxy(proxy), host, port)
            addresses = await self._checked_addresses(host, port)
            return await connect_to_one_of(addresses, partial(self._connect, port))

    async def _checked_addresses(self, host: str, port: int) -> list[str]:
        addresses = await addresses_of(host, port)
        if self._rules.is_own(host):
            return addresses
        public = [one for one in addresses if is_public(ipaddress.ip_address(one))]
        if not public:
            raise ForbiddenAddressError(
                f"{host} has no public address (where that is intended, pass http_client=…)"
            )
        return public

    async def _connect(self, port: int, address: str) -> httpcore.AsyncNetworkStream:
        try:
            return await self._backend.connect_tcp(address, port)
        except httpcore.ConnectError as error:
            raise ConnectionError(str(error)) from None

    async def _connect_through(
        self, proxy: SplitResult, host: str, port: int
    ) -> httpcore.AsyncNetworkStream:
        if is_socks(proxy):
            raise ProxyError("downloads do not support SOCKS proxies: pass http_client=…")
        is_secure = proxy.scheme == "https"
        name = proxy.hostname or ""
        proxy_port = proxy.port or (443 if is_secure else 80)
        stream = await connect_to(name, proxy_port, partial(self._connect, proxy_port))
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
