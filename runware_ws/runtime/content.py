"""Collect the content of an image file in memory or in a file.

It is collected in pieces of bounded size. So a large image takes no more memory than a small one,
and a small one is written by a single call in a worker thread.
"""

from __future__ import annotations

import abc
import hashlib
import os
from io import BytesIO
from pathlib import Path, PurePath
from typing import IO, Generic, TypeVar
from uuid import uuid4

import anyio

from .concurrency import LARGE_BYTES, run_in_thread

T = TypeVar("T")
PathT = TypeVar("PathT", bound=PurePath)

_PIECE_BYTES = 512 * 1024
_HEAD_BYTES = 64
# The first bytes of the formats that the service makes, and of some that it may make later.
_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"II*\x00", ".tiff"),
    (b"MM\x00*", ".tiff"),
)
_UNKNOWN = ".bin"
_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff"})
_SAME = {".jpeg": ".jpg", ".tif": ".tiff"}


class WrongDigestError(Exception):
    """The content does not match the digest from the server."""


class Content(abc.ABC, Generic[T]):
    """The content of one file.

    Attributes:
        size: the number of bytes so far.
        head: the first bytes.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self, algorithm: str | None = None, digest: bytes = b"") -> None:
        """Discard the content so far, and start again.

        Args:
            algorithm: the name of a hash in `hashlib`, or None.
            digest: the expected hash of the whole content.
        """
        self.size = 0
        self.head = b""
        self._pieces: list[bytes] = []
        self._unwritten_bytes = 0
        self._hash = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        self._digest = digest

    @property
    def is_checked(self) -> bool:
        """True if the digest of the whole content is known."""
        return self._hash is not None

    async def add(self, chunk: bytes) -> None:
        """Add bytes.

        Raises:
            OSError: they cannot be written.
        """
        self._pieces.append(chunk)
        self.size += len(chunk)
        self._unwritten_bytes += len(chunk)
        if len(self.head) < _HEAD_BYTES:
            self.head += chunk[: _HEAD_BYTES - len(self.head)]
        if self._unwritten_bytes >= _PIECE_BYTES:
            await run_in_thread(self._write_pieces)

    async def finish(self) -> T:
        """Return the whole content.

        Raises:
            WrongDigestError: it does not match the digest.
            OSError: it cannot be written.
        """
        return await run_in_thread(self._finish_checked)

    async def discard(self) -> None:
        """Remove the content."""

    def _finish_checked(self) -> T:
        self._write_pieces()
        if self._hash is not None and self._hash.digest() != self._digest:
            raise WrongDigestError(f"its {self._hash.name} is not what the server says")
        return self._finish()

    def _write_pieces(self) -> None:
        if self._hash is not None:
            for piece in self._pieces:
                self._hash.update(piece)
        self._write(self._pieces)
        self._pieces = []
        self._unwritten_bytes = 0

    # These run in worker threads.

    @abc.abstractmethod
    def _write(self, pieces: list[bytes]) -> None:
        """Append pieces to the content."""

    @abc.abstractmethod
    def _finish(self) -> T:
        """Return the whole content after all of it was written."""


class MemoryContent(Content[bytes]):
    """Content in memory, without a second copy."""

    def begin(self, algorithm: str | None = None, digest: bytes = b"") -> None:
        super().begin(algorithm, digest)
        self._buffer = BytesIO()

    async def finish(self) -> bytes:
        if self._unwritten_bytes < LARGE_BYTES:
            return self._finish_checked()
        return await super().finish()

    def _write(self, pieces: list[bytes]) -> None:
        self._buffer.writelines(pieces)

    def _finish(self) -> bytes:
        return self._buffer.getvalue()  # no copy


class FileContent(Content[Path]):
    """Content in a file, which is written atomically.

    It is written to a temporary file in the same folder, which replaces the target at the end.

    Args:
        path: the target, or an existing folder for it. The suffix is replaced by that of the
            content.
        name: the name of the file, if `path` is a folder.
        durable: whether it must be synced to the disk before `finish` returns.
    """

    def __init__(self, path: Path, name: str, *, durable: bool) -> None:
        self._path = path
        self._name = name
        self._durable = durable
        self._file: IO[bytes] | None = None
        self._target = path
        self._temporary = path
        super().__init__()

    def begin(self, algorithm: str | None = None, digest: bytes = b"") -> None:
        super().begin(algorithm, digest)
        self._is_stale = True

    async def discard(self) -> None:
        if self._file is not None:
            with anyio.CancelScope(shield=True):
                await run_in_thread(self._remove)

    def _write(self, pieces: list[bytes]) -> None:
        file = self._opened()
        if self._is_stale:
            file.seek(0)
            file.truncate()
            self._is_stale = False
        file.writelines(pieces)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._target = self._path / self._name if self._path.is_dir() else self._path
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = self._target.with_name(f".{uuid4().hex}")
            self._file = self._temporary.open("xb")
        return self._file

    def _finish(self) -> Path:
        file = self._opened()
        if self._durable:
            file.flush()
            os.fsync(file.fileno())
        file.close()
        target = _with_suffix(self._target, _suffix_of(self.head))
        self._temporary.replace(target)
        if self._durable:
            _sync_folder(target.parent)
        self._file = None
        return target

    def _remove(self) -> None:
        if self._file is not None:
            self._file.close()
            self._temporary.unlink(missing_ok=True)
            self._file = None


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, if the system supports that."""
    flags = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_image(head: bytes, media_type: str) -> bool:
    """Return whether content may be an image.

    If the format is unknown to this package, the media type decides, unless the content is text:
    some servers call every page an image.

    Args:
        head: its first bytes.
        media_type: its media type according to the server.
    """
    if _suffix_of(head) != _UNKNOWN:
        return True
    return media_type.startswith("image/") and not _is_text(head)


def _is_text(head: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\n\r" for byte in head)


def _with_suffix(path: Path, suffix: str) -> Path:
    present = path.suffix.lower()
    if _SAME.get(present, present) == suffix:
        return path
    bare = without_image_suffix(path)
    return bare.with_name(bare.name + suffix)


def without_image_suffix(path: PathT) -> PathT:
    """Return a path without the suffix of an image format. Other suffixes are part of its name."""
    return path.with_suffix("") if path.suffix.lower() in _IMAGE_SUFFIXES else path


def _suffix_of(head: bytes) -> str:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    for signature, suffix in _SIGNATURES:
        if head.startswith(signature):
            return suffix
    return _UNKNOWN
