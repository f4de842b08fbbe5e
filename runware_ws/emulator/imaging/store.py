"""The images that the emulator holds: results to be served, inputs to be used again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

__all__ = ["ImageStore", "StoredImage"]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A file held in memory; `expires` is on the clock of the service, None for never."""

    content: bytes = field(repr=False)
    media_type: str
    expires: float | None = None


class ImageStore:
    """Files by UUID, up to a total size; the oldest make room for new ones. Thread-safe.

    Args:
        max_bytes: how much is kept at most, though always the newest file.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[str, StoredImage] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()

    def put(self, uuid: str, image: StoredImage) -> None:
        """Hold a file under a UUID, in place of any that was there."""
        with self._lock:
            self._remove(uuid.lower())
            self._held[uuid.lower()] = image
            self._held_bytes += len(image.content)
            while self._held_bytes > self._max_bytes and len(self._held) > 1:
                self._remove(next(iter(self._held)))

    def get(self, uuid: str, now: float) -> StoredImage | None:
        """The file with this UUID; None when it is unknown, made room, or its ttl is over [O]."""
        with self._lock:
            image = self._held.get(uuid.lower())
            if image is not None and image.expires is not None and image.expires <= now:
                self._remove(uuid.lower())
                return None
            return image

    def _remove(self, uuid: str) -> None:
        if image := self._held.pop(uuid, None):
            self._held_bytes -= len(image.content)

    @property
    def held_bytes(self) -> int:
        """How much is held now."""
        return self._held_bytes
