"""Downloads of results that are links, with httpx (extra ``http``)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import anyio

from ..errors import DownloadError, MissingExtraError
from ..protocol.backoff import ceiling

if TYPE_CHECKING:
    import ssl

__all__ = ["download"]

_ATTEMPTS = 3
_TIMEOUT = 60.0
_DELAYS = (0.25, 4.0)


async def download(url: str) -> bytes:
    """The bytes at `url`; failures that may pass are tried again, twice.

    Raises:
        DownloadError: they cannot be had.
        MissingExtraError: httpx is not installed.
    """
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("downloading a result", "http") from None
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            await anyio.sleep(ceiling(attempt, _DELAYS))
        try:
            async with httpx.AsyncClient(
                follow_redirects=True, timeout=_TIMEOUT, verify=_tls()
            ) as http:
                response = await http.get(url)
        except httpx.TransportError as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(url, str(error)) from None
        if response.is_success:
            return response.content
        reason = f"HTTP {response.status_code}"
        if response.status_code < 500 and response.status_code != 429:
            break
    raise DownloadError(url, reason)


@cache
def _tls() -> ssl.SSLContext:
    """Made once: it takes longer than a small download."""
    import httpx

    return httpx.create_ssl_context()
