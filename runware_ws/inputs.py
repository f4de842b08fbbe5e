"""Images as the caller has them, and as the service takes them.

A source is looked at when it is given (`source_of`: what it is, how large, and whether it can
be an image at all), and read and encoded only when its task is about to be sent (`Source.load`).
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, cast
from uuid import UUID

import anyio.lowlevel
import anyio.to_thread

from .errors import InputError
from .runtime.concurrency import LARGE_BYTES, run_off_loop

__all__ = ["Image", "Source", "encode_file", "source_of"]

Image = Path | bytes | bytearray | memoryview | IO[bytes] | str | UUID
"""A file by its path, its bytes, an open binary file, or a string: a URL, the UUID of an image
that the service knows, a data URI, or base64."""

_URL = re.compile(r"(?i:https?)://[!-~]+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_DATA_URI = re.compile(r"data:image/[a-zA-Z]+;base64,[a-zA-Z0-9+/=]+")  # [O]
_BASE64 = re.compile(r"[a-zA-Z0-9+/=]+")  # [O]
# No image file is smaller than this; a string that short is rather a name that has no dot.
_MIN_BASE64 = 40
_KINDS = "pass a pathlib.Path, bytes, a binary file, or a str with a URL, UUID, data URI or base64"


class Source(ABC):
    """An image that can be loaded.

    Attributes:
        size: how many bytes it takes on the wire, or an estimate.
    """

    size: int

    @abstractmethod
    async def load(self) -> str | bytes:
        """The image for the wire: a text, or base64 as bytes.

        Raises:
            InputError: it cannot be read, or is empty.
        """

    @property
    def ready(self) -> str | None:
        """The image for the wire, when nothing has to be loaded."""
        return None


class _Text(Source):
    def __init__(self, text: str) -> None:
        self._text = text
        self.size = len(text)

    async def load(self) -> str:
        return self._text

    @property
    def ready(self) -> str:
        return self._text


class _Bytes(Source):
    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = _in_one_piece(data)
        self.size = _encoded_size(memoryview(self._data).nbytes)
        if not self.size:
            raise InputError("image", "is empty", "pass the bytes of an image file")

    async def load(self) -> bytes:
        return await run_off_loop(base64.b64encode, self._data, self.size)


class _File(Source):
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        if not S_ISREG(status.st_mode):
            raise InputError("image", f"{str(path)!r} is not a file", "pass the path of an image")
        self.size = _encoded_size(status.st_size)

    async def load(self) -> bytes:
        await anyio.lowlevel.checkpoint()  # so that others have their turn between two files
        if self.size < LARGE_BYTES and (data := _read_from_memory(self._path)):
            return base64.b64encode(data)
        return await anyio.to_thread.run_sync(encode_file, self._path, abandon_on_cancel=True)


class _Stream(Source):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = _encoded_size(_rest_of(file))

    async def load(self) -> bytes:
        return await anyio.to_thread.run_sync(self._load)

    def _load(self) -> bytes:
        try:
            data: Any = self._file.read()
        except Exception as error:  # whatever the caller's own kind of file raises
            problem = f"the file cannot be read: {type(error).__name__}: {error}"
            raise InputError("image", problem, "pass an open binary file") from error
        if not isinstance(data, bytes | bytearray):
            raise InputError("image", "the file gives text", "open it in binary mode ('rb')")
        return _encode(data, "the file")


def encode_file(path: Path) -> bytes:
    """A file as base64; it blocks.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    return _encode(data, f"the file {str(path)!r}")


def source_of(image: Image) -> Source:
    """See what an image is, without reading it.

    Raises:
        InputError: it is none of the kinds of `Image`, or cannot be an image.
    """
    if isinstance(image, str):
        return _Text(_checked_text(image))
    if isinstance(image, Path):
        return _File(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return _Bytes(image)
    if isinstance(image, UUID):
        return _Text(str(image))
    return _Stream(_checked_file(image))


def _in_one_piece(data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
    """The same bytes in a form that can be encoded: a view may have gaps, or be released."""
    if not isinstance(data, memoryview):
        return data
    try:
        return data if data.c_contiguous else data.tobytes()
    except ValueError as error:
        raise InputError("image", f"cannot be read: {error}", "pass the bytes of a file") from None


def _checked_file(image: Any) -> IO[bytes]:
    """What is none of the other kinds, and whatever a type checker did not see."""
    if isinstance(image, io.TextIOBase):
        raise InputError("image", "the file is open as text", "open it in binary mode ('rb')")
    if hasattr(image, "read"):
        return cast(IO[bytes], image)
    raise InputError("image", f"is of type {type(image).__name__}", _KINDS)


def _checked_text(text: str) -> str:
    if _URL.fullmatch(text) or _UUID.fullmatch(text) or _DATA_URI.fullmatch(text):
        return text
    if _BASE64.fullmatch(text) and len(text) >= _MIN_BASE64:
        return text
    raise InputError("image", *_why_not(text))


def _why_not(text: str) -> tuple[str, str]:
    """What is wrong with a string, and what to do instead."""
    if not text.strip():
        return "is an empty string", _KINDS
    if text[:5].lower() == "data:":
        return "is not a data URI of an image", "pass data:image/…;base64,…"
    if re.match(r"[a-z][a-z0-9+.-]*://", text, re.I):
        return "is not a URL that the service can fetch", "use http:// or https://"
    if len(text) > 300 and _BASE64.fullmatch("".join(text.split())):
        return "is base64 with white space in it", "remove the white space"
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    return f"{shown} looks like a path; a string is never opened as a file", f"pass Path({shown})"


def _read_from_memory(path: Path) -> bytearray | None:
    """A small file, if the system has it in memory; None if its disk would be waited for.

    Files of 32 KiB cost a third of the CPU that they do by way of a thread (`e2` in benchmarks/).
    Only Linux can tell, not of every file system, and not in every build of Python.
    """
    if sys.platform == "linux" and hasattr(os, "RWF_NOWAIT"):
        with suppress(OSError, NotImplementedError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)  # it may be another one by now
                if S_ISREG(status.st_mode) and _encoded_size(status.st_size) < LARGE_BYTES:
                    data = bytearray(status.st_size)
                    if os.preadv(descriptor, [data], 0, os.RWF_NOWAIT) == len(data):
                        return data
            finally:
                os.close(descriptor)
    return None


def _encode(data: bytes | bytearray, name: str) -> bytes:
    if not data:
        raise InputError("image", f"{name} is empty", "pass an image file")
    return base64.b64encode(data)


def _encoded_size(size: int) -> int:
    return (size + 2) // 3 * 4


def _rest_of(file: IO[bytes]) -> int:
    """Bytes from the present position to the end; 0 when that cannot be known beforehand."""
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
        return max(0, end - here)
    except (OSError, ValueError, AttributeError, TypeError):
        return 0


def _unreadable(path: Path, error: Exception) -> InputError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError("image", f"{str(path)!r} cannot be read: {why}", "pass a readable file")
