"""The answer to an HTTP request, and the errors of one, whichever client makes the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import httpx

READ_TIMEOUT = 30.0


class TransferError(Exception):
    """A request failed, or its answer broke off; another attempt may succeed."""


class ForbiddenAddressError(Exception):
    """A public name leads to no public address."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request.

    Attributes:
        status: the HTTP status.
        headers: the headers by their names in lower case.
        chunks: the bytes of the body as they are on the wire, as they arrive. It raises
            `TransferError` if the answer breaks off.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Requester(Protocol):
    """Makes HTTP requests. It follows no redirects."""

    def get(
        self, url: httpx.URL, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Response]:
        """Request a URL, and hand over the answer for the length of an ``async with``.

        Raises:
            TransferError: the request failed.
            ForbiddenAddressError: the host has no address that may be connected to.
        """

    async def aclose(self) -> None:
        """Close the connections that are kept."""
