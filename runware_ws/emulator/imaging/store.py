"""The store of images: results to be served, and inputs to be used again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A file in memory.

    Attributes:
        content: the bytes of the file.
        media_type: its media type.
        expires: the time at which it is deleted, on the clock of the service; None for never.
    """

    content: bytes = field(repr=False)
    media_type: str
    expires: float | None = None


class ImageStore:
    """Files by UUID regardless of case.

    Args:
        max_bytes: their total size. Beyond it the oldest are dropped, but never the newest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[str, StoredImage] = OrderedDict()
        self._bytes = 0

    def put(self, uuid: str, image: StoredImage) -> None:
        """Store a file, in place of any other with the same UUID."""
        self._remove(uuid.lower())
        self._images[uuid.lower()] = image
        self._bytes += len(image.content)
        while self._bytes > self._max_bytes and len(self._images) > 1:
            self._remove(next(iter(self._images)))

    def get(self, uuid: str, now: float) -> StoredImage | None:
        """Return a file; None if it is unknown, was dropped or has expired."""
        image = self._images.get(uuid.lower())
        if image is not None and image.expires is not None and image.expires <= now:
            self._remove(uuid.lower())
            return None
        return image

    def _remove(self, uuid: str) -> None:
        if image := self._images.pop(uuid, None):
            self._bytes -= len(image.content)
