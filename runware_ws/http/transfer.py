"""Download one link, with as many requests as necessary, and check that the content is an image."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Generic, TypeVar

import anyio

from .._version import __version__
from ..errors import DownloadError
from ..protocol.backoff import ceiling
from ..runtime.content import Content, WrongDigestError, is_image
from .links import LinkRules
from .response import ForbiddenAddressError, Requester, Response, TransferError

T = TypeVar("T")

_ATTEMPTS = 3  # in a row without progress
_DELAYS = (0.25, 4.0)
_PROGRESS_BYTES = 64 * 1024
_DRAINED_BYTES = 64 * 1024
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 425, 429})
# Images are not compressible, and a small compressed answer could expand to a huge one.
_HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "User-Agent": f"runware_ws/{__version__}",
}
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_DIGESTS = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
_DIGEST_MEMBER = re.compile(r"([a-z0-9-]+)=:?([A-Za-z0-9+/]+={0,2}):?")


class Transfer(Generic[T]):
    """A download of one link.

    Args:
        link: the link.
        content: receives the bytes.
        max_bytes: maximum number of bytes.
    """

    def __init__(
        self,
        requester: Requester,
        rules: LinkRules,
        link: str,
        content: Content[T],
        max_bytes: int,
    ) -> None:
        self._requester = requester
        self._rules = rules
        self._link = link
        self._content = content
        self._max_bytes = max_bytes
        self._length: int | None = None  # of the whole, if the server says it
        self._validator = ""  # names this version of the file to the server
        self._media_type = ""

    async def run(self) -> T:
        """Download the link, and return the result of `content`. Resume or retry if it breaks off.

        Raises:
            DownloadError: the link does not lead to an image, or may not be followed.
            OSError: the content cannot be written.
        """
        failures, reached = 0, 0
        while True:
            try:
                return await self._attempt()
            except TransferError as error:
                failures = 1 if self._content.size >= reached + _PROGRESS_BYTES else failures + 1
                reached = max(reached, self._content.size)
                if failures == _ATTEMPTS:
                    raise self._failed(str(error)) from error
            except ForbiddenAddressError as error:
                raise self._failed(str(error)) from None
            await anyio.sleep(ceiling(failures, _DELAYS))

    async def _attempt(self) -> T:
        url = self._rules.check(self._link)
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._requester.get(url, self._headers()) as response:
                if response.status not in _REDIRECTS:
                    return await self._receive(response)
                await _drain(response)
            url = self._rules.redirect(url, response.headers.get("location", ""))
        raise self._failed(f"it redirects more than {_MAX_REDIRECTS} times")

    def _headers(self) -> dict[str, str]:
        """Return the headers. They ask for the rest of a broken download if that is possible."""
        if not self._content.size:
            return _HEADERS
        rest = {"Range": f"bytes={self._content.size}-"}
        if self._validator:
            return {**_HEADERS, **rest, "If-Range": self._validator}
        if self._content.is_checked:
            return {**_HEADERS, **rest}
        self._content.begin()
        return _HEADERS

    async def _receive(self, response: Response) -> T:
        if response.status == 206 and self._content.size:
            self._check_range(response)
        elif response.status == 200:
            self._begin(response)
        else:
            await _drain(response)
            self._refuse(response.status)
        async for chunk in response.chunks:
            if self._content.size + len(chunk) > self._max_bytes:
                raise self._too_large(f"more than {self._content.size} bytes")
            await self._content.add(chunk)
        return await self._finish()

    def _begin(self, response: Response) -> None:
        """Start with a whole file, and discard earlier content."""
        headers = response.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise self._failed(f"it is compressed: {headers['content-encoding']}")
        length = headers.get("content-length", "")
        self._length = int(length) if length.isdecimal() else None
        if self._length is not None and self._length > self._max_bytes:
            raise self._too_large(f"{self._length} bytes")
        etag = headers.get("etag", "")
        self._validator = etag if etag.startswith('"') else headers.get("last-modified", "")
        self._media_type = headers.get("content-type", "").lower()
        self._content.begin(*_digest(headers))

    def _check_range(self, response: Response) -> None:
        """Check that a part begins at the end of the content so far."""
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        size = self._content.size
        if found and int(found[1]) == size and self._length in (None, int(found[2])):
            self._length = int(found[2])
            return
        self._content.begin()
        raise TransferError("the server sent another part than requested")

    def _refuse(self, status: int) -> None:
        if status == 416 and self._content.size:  # it cannot be continued
            self._content.begin()
        elif status < 500 and status not in _TRANSIENT:
            raise self._failed(f"HTTP {status}")
        raise TransferError(f"HTTP {status}")

    async def _finish(self) -> T:
        size = self._content.size
        if self._length is not None and size != self._length:
            raise TransferError(f"{size} of {self._length} bytes arrived")
        if not size:
            raise self._failed("it is empty")
        if not is_image(self._content.head, self._media_type):
            raise self._failed(f"it is not an image ({self._media_type or 'without a media type'})")
        try:
            return await self._content.finish()
        except WrongDigestError as error:
            self._content.begin()
            raise TransferError(str(error)) from None

    def _too_large(self, size: str) -> DownloadError:
        return self._failed(f"{size}, and max_download_bytes is {self._max_bytes}")

    def _failed(self, reason: str) -> DownloadError:
        return DownloadError(self._link, reason)


async def _drain(response: Response) -> None:
    """Read and discard a small body, so that the connection can be reused."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= _DRAINED_BYTES:
        async for _ in response.chunks:
            pass


def _digest(headers: Mapping[str, str]) -> tuple[str | None, bytes]:
    """Return the algorithm (as in `hashlib`) and the digest from the headers, or None."""
    told = {"md5": headers["content-md5"]} if "content-md5" in headers else {}
    for name in ("digest", "repr-digest"):
        told.update(_DIGEST_MEMBER.findall(headers.get(name, "").lower() and headers[name]))
    for name, algorithm in _DIGESTS.items():
        if name in told:
            try:
                return algorithm, base64.b64decode(told[name], validate=True)
            except binascii.Error:
                continue
    return None, b""
