"""Requests with the caller's own httpx client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import httpx

from .response import READ_TIMEOUT, Response, TransferError


class BorrowedClient:
    """Makes requests with the caller's client, which the caller closes.

    Its proxies, certificates and limits apply. Addresses of host names are not checked.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @asynccontextmanager
    async def get(self, url: httpx.URL, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """Request a URL; see `Requester.get`."""
        request = self._client.build_request("GET", url, headers=headers, timeout=READ_TIMEOUT)
        try:
            answer = await self._client.send(request, stream=True, follow_redirects=False)
        except httpx.TransportError as error:
            raise _transfer_error(error) from error
        try:
            async with aclosing(_chunks(answer)) as chunks:
                yield Response(answer.status_code, answer.headers, chunks)
        finally:
            await answer.aclose()


async def _chunks(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except httpx.TransportError as error:
        raise _transfer_error(error) from error


def _transfer_error(error: httpx.TransportError) -> TransferError:
    return TransferError(f"{type(error).__name__}: {error}")
