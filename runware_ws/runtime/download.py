"""The downloads of one client, over shared connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ..errors import DownloadError, InputError, MissingExtraError
from ..settings import Settings
from .content import Content
from .environment import find_url
from .owner_loop import OwnerLoop

if TYPE_CHECKING:
    import ssl

    import httpx

    from ..http.links import LinkRules
    from ..http.pool import Pool
    from ..http.response import Requester

T = TypeVar("T")

_MAX_CONNECTIONS = 64


class Downloads:
    """Downloads links.

    Between `open` and `aclose` it keeps connections for the next download. A download before or
    after that, on another event loop or in another process has its own connection.

    Args:
        service_url: URL of the service whose results are downloaded.
        client: the caller's HTTP client, which replaces these connections; or None.
        max_bytes: size of the largest file.
        timeout: seconds for a whole download; None for no limit.
        connect_timeout: seconds for one connection.
        tls: the TLS settings; None for the default.
    """

    def __init__(
        self,
        service_url: str,
        client: httpx.AsyncClient | None = None,
        *,
        max_bytes: int = Settings.max_download_bytes,
        timeout: float | None = Settings.download_timeout,
        connect_timeout: float = Settings.connect_timeout,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._service_url = service_url
        self._client = client
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._tls = tls
        self._kept: _KeptPool | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Connections and TLS settings cannot be pickled.
        return {**self.__dict__, "_client": None, "_tls": None, "_kept": None}

    async def fetch(self, link: str, content: Content[T]) -> T:
        """Download a link into `content`, and return its result.

        Raises:
            DownloadError: it cannot be downloaded.
            MissingExtraError: httpx is not installed.
            OSError: the content cannot be written.
        """
        require_http("downloading a result")
        from ..http.links import LinkRules
        from ..http.transfer import Transfer

        rules = LinkRules(self._service_url)
        async with self._requester(rules) as requester:
            transfer = Transfer(requester, rules, link, content, self._max_bytes)
            with anyio.move_on_after(self._timeout):
                return await transfer.run()
        raise DownloadError(link, f"it took longer than {self._timeout:g} s")

    def open(self) -> None:
        """Start to keep connections, on this event loop."""
        self._kept = _KeptPool()

    async def aclose(self) -> None:
        """Stop keeping connections. Running downloads continue to their end."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            await kept.aclose()

    @asynccontextmanager
    async def _requester(self, rules: LinkRules) -> AsyncIterator[Requester]:
        if self._client is not None:
            from ..http.borrowed import BorrowedClient

            yield BorrowedClient(self._client)
        elif self._kept is not None and self._kept.is_here():
            async with self._kept.use(lambda: self._pool(rules)) as pool:
                yield pool
        else:
            pool = self._pool(rules)
            try:
                yield pool
            finally:
                with anyio.CancelScope(shield=True):
                    await pool.aclose()

    def _pool(self, rules: LinkRules) -> Pool:
        from ..http.pool import Pool

        return Pool(rules, self._connect_timeout, self._tls)


class _KeptPool:
    """The connections of an open client. They are closed when they are not used any more."""

    def __init__(self) -> None:
        self._loop = OwnerLoop()
        self._room = anyio.Semaphore(_MAX_CONNECTIONS)
        self._pool: Pool | None = None
        self._users = 0
        self._is_closed = False

    def is_here(self) -> bool:
        """Return whether this is the event loop of the connections."""
        try:
            self._loop.check()
        except RuntimeError:
            return False
        return True

    @asynccontextmanager
    async def use(self, make: Callable[[], Pool]) -> AsyncIterator[Pool]:
        """Wait until a connection is free, and use the pool within the block."""
        async with self._room:
            self._users += 1
            pool = self._pool = self._pool or make()
            try:
                yield pool
            finally:
                self._users -= 1
                await self._close_unused()

    async def aclose(self) -> None:
        """Close the connections as soon as they are not used."""
        self._is_closed = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        if self._is_closed and not self._users and self._pool is not None:
            pool, self._pool = self._pool, None
            with anyio.CancelScope(shield=True):
                await pool.aclose()


def downloads_of_environment() -> Downloads:
    """Return downloads for a result without a client, from the service of ``RUNWARE_URL``."""
    return Downloads(find_url(None))


def require_http(need: str) -> None:
    """Raise MissingExtraError unless the extra ``http`` is installed.

    Args:
        need: the feature that needs it.
    """
    try:
        import httpcore  # noqa: F401
        import httpx  # noqa: F401
    except ImportError:
        raise MissingExtraError(need, "http") from None


def check_http_client(client: object) -> None:
    """Raise InputError unless `client` is an ``httpx.AsyncClient`` or None."""
    if client is None:
        return
    require_http("http_client")
    import httpx

    if not isinstance(client, httpx.AsyncClient):
        raise InputError(
            "http_client", f"is of type {type(client).__name__}", "pass an httpx.AsyncClient"
        )
