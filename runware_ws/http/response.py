"""The answer and the errors of an HTTP request, independent of the client that makes it."""

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
    """A public host name has no public address."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request.

    Attributes:
        status: the HTTP status.
        headers: the headers by their names in lower case.
        chunks: yields the raw bytes of the body as they arrive. It raises `TransferError` if the
            answer breaks off.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Requester(Protocol):
    """Makes HTTP requests without following redirects."""

    def get(
        self, url: httpx.URL, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Response]:
        """Request a URL, and yield the answer for the duration of an ``async with`` block.

        Raises:
            TransferError: the request failed.
            ForbiddenAddressError: the host has no address that may be connected to.
        """
