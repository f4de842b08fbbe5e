"""The kinds of images that a caller can pass, and their encoding for the request.

A source is checked when it is passed (`source_of`), and read and encoded only when its task is
about to be sent (`Source.encode`).
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, cast
from uuid import UUID

from .errors import InputError
from .pictures import Array, PillowImage, check_picture, is_array, is_pillow_image, png_of
from .protocol.request import is_base64, is_data_uri, is_url, is_uuid
from .protocol.wire import encode_text
from .runtime.concurrency import LARGE_BYTES, run_in_thread

Image = Path | bytes | bytearray | memoryview | IO[bytes] | str | UUID | PillowImage | Array
"""A file by its path, its bytes, an open binary file, a Pillow image, a numpy array (rows x columns
of uint8: grey, RGB or RGBA), or a string: a URL, the UUID of an image at the service, a data URI,
or base64."""

# No image file is smaller than this. A shorter string is probably a file name without a suffix.
_MIN_BASE64 = 40
_KINDS = (
    "pass a pathlib.Path, bytes, a binary file, a Pillow image, a numpy array, or a str with a "
    "URL, UUID, data URI or base64"
)
# A multiple of 3, so that the base64 of the pieces can be joined. It is small enough for the C
# library to reuse its memory for the next piece.
_PIECE_BYTES = 48 * 1024


class Source(ABC):
    """An image that can be put into a request.

    Attributes:
        size: number of bytes in the request, or an estimate.
        is_quick: whether `encode` is fast enough to run in the event loop.
        is_read: whether `encode` reads a file, so that several quick ones in a row take time.
        has_content: whether it is the image itself, not a reference to one.
    """

    size: int
    is_quick = False
    is_read = False
    has_content = True

    @abstractmethod
    def encode(self, head: bytes, tail: bytes) -> bytes | bytearray:
        """Return the bytes of a request: `head`, the image as a JSON string, and `tail`. It blocks.

        Raises:
            InputError: the image cannot be read, or is empty.
        """

    async def encode_in_thread(self, head: bytes, tail: bytes) -> bytes | bytearray:
        """Run `encode` in a worker thread. If cancelled, it does not wait for a disk that hangs."""
        return await run_in_thread(self.encode, head, tail, abandon_on_cancel=self.is_read)


class _Name(Source):
    """A URL or UUID."""

    is_quick = True
    has_content = False

    def __init__(self, text: str) -> None:
        self._json = encode_text(text)
        self.size = len(self._json)

    def encode(self, head: bytes, tail: bytes) -> bytes:
        return b"".join((head, self._json, tail))


class _Base64(Source):
    """A data URI or base64: no character needs an escape, and each is one byte."""

    is_quick = True

    def __init__(self, text: str) -> None:
        self._text = text
        self.size = len(text) + 2

    def encode(self, head: bytes, tail: bytes) -> bytearray:
        starts = range(0, len(self._text), _PIECE_BYTES)
        pieces = (self._text[start : start + _PIECE_BYTES].encode() for start in starts)
        return _put_together(pieces, self.size, head, tail)


class _Bytes(Source):
    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = _as_view(data)
        self.size = _encoded_size(len(self._data))
        self.is_quick = self.size < LARGE_BYTES
        if not self._data:
            raise InputError("image", "is empty", "pass the bytes of an image file")

    def encode(self, head: bytes, tail: bytes) -> bytearray:
        starts = range(0, len(self._data), _PIECE_BYTES)
        pieces = (_base64_of(self._data[start : start + _PIECE_BYTES]) for start in starts)
        return _put_together(pieces, self.size, head, tail)


class _File(Source):
    is_read = True

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        if not S_ISREG(status.st_mode):
            raise _not_a_file(path)
        self.size = _encoded_size(status.st_size)
        self.is_quick = self.size < LARGE_BYTES

    def encode(self, head: bytes, tail: bytes) -> bytearray:
        return encode_file(self._path, head, tail)


class _OpenFile(Source):
    is_read = True

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = _encoded_size(_rest_of(file))

    def encode(self, head: bytes, tail: bytes) -> bytearray:
        try:
            data: Any = self._file.read()
        except Exception as error:  # a caller's own kind of file may raise anything
            problem = f"the file cannot be read: {type(error).__name__}: {error}"
            raise InputError("image", problem, "pass an open binary file") from error
        if not isinstance(data, bytes | bytearray):
            raise InputError("image", "the file returns text", "open it in binary mode ('rb')")
        if not data:
            raise InputError("image", "the file is empty", "pass an image file")
        return _Bytes(data).encode(head, tail)


class _PixelSource(Source):
    """A Pillow image or a numpy array, sent as a PNG file, which is usually smaller than `size`."""

    def __init__(self, picture: Any) -> None:
        self._picture = picture
        self.size = _encoded_size(check_picture(picture))

    def encode(self, head: bytes, tail: bytes) -> bytearray:
        return _Bytes(png_of(self._picture)).encode(head, tail)


def encode_file(path: Path, head: bytes = b"", tail: bytes = b"") -> bytearray:
    """Return a file as the base64 string of a request; see `Source.encode`.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not S_ISREG(status.st_mode):  # the file was replaced meanwhile
                raise _not_a_file(path)
            size = _encoded_size(status.st_size)
            encoded = _put_together(map(_base64_of, _pieces_of(file)), size, head, tail)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(encoded) == len(head) + len(tail) + 2:
        raise InputError("image", f"the file {str(path)!r} is empty", "pass an image file")
    return encoded


def _without_waiting(path: str, flags: int) -> int:
    """Open a file without blocking, even if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _pieces_of(file: io.FileIO) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_PIECE_BYTES))
    while count := _read_into(file, buffer):
        yield buffer[:count]


def _read_into(file: io.FileIO, buffer: memoryview) -> int:
    """Fill the buffer as far as the file goes, and return the number of bytes."""
    count = 0
    while count < len(buffer) and (read := file.readinto(buffer[count:])):
        count += read
    return count


def _base64_of(data: memoryview) -> bytes:
    return b2a_base64(data, newline=False)


def _put_together(pieces: Iterable[bytes], size: int, head: bytes, tail: bytes) -> bytearray:
    """Put the pieces of a JSON string between `head` and `tail`.

    A large image is not copied as a whole: each copy takes new memory from the system, which costs
    more than the encoding. `size` may be wrong, because a file may grow or shrink.
    """
    request = bytearray(len(head) + size + len(tail))
    request[: len(head) + 1] = head + b'"'
    end = len(head) + 1
    for piece in pieces:
        request[end : end + len(piece)] = piece
        end += len(piece)
    request[end:] = b'"' + tail
    return request


def source_of(image: Image) -> Source:
    """Check an image without reading it.

    Raises:
        InputError: it is of another type than `Image`, or cannot be an image.
    """
    if isinstance(image, str):
        return _checked_text(image)
    if isinstance(image, Path):
        return _File(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return _Bytes(image)
    if isinstance(image, UUID):
        return _Name(str(image))
    if is_pillow_image(image) or is_array(image):
        return _PixelSource(image)
    return _OpenFile(_checked_file(image))


def _as_view(data: bytes | bytearray | memoryview) -> memoryview:
    """Return a flat view of the bytes. A memoryview may have gaps, or be released."""
    try:
        view = memoryview(data)
        return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    except ValueError as error:
        raise InputError("image", f"cannot be read: {error}", "pass the bytes of a file") from None


def _checked_file(image: Any) -> IO[bytes]:
    """Return a binary file, or raise InputError for anything else."""
    if isinstance(image, io.TextIOBase):
        raise InputError("image", "the file is open as text", "open it in binary mode ('rb')")
    if hasattr(image, "read"):
        return cast(IO[bytes], image)
    raise InputError("image", f"is of type {type(image).__name__}", _KINDS)


def _checked_text(text: str) -> Source:
    if is_url(text) or is_uuid(text):
        return _Name(text)
    if is_data_uri(text) or (len(text) >= _MIN_BASE64 and is_base64(text)):
        return _Base64(text)
    raise InputError("image", *_why_not(text))


def _why_not(text: str) -> tuple[str, str]:
    """Return the problem with a string, and the remedy."""
    if not text.strip():
        return "is an empty string", _KINDS
    if text[:5].lower() == "data:":
        return "is not a data URI of an image", "pass data:image/…;base64,…"
    if "://" in text[:32]:
        return "is not a URL that the service can fetch", "use http:// or https://"
    if len(text) > 300 and is_base64("".join(text.split())):
        return "is base64 with whitespace in it", "remove the whitespace"
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    return f"{shown} looks like a path; a string is never opened as a file", f"pass Path({shown})"


def _encoded_size(size: int) -> int:
    """Return the size of a file in a request, as base64 in quotes."""
    return (size + 2) // 3 * 4 + 2


def _rest_of(file: IO[bytes]) -> int:
    """Return the number of bytes from the current position to the end; 0 if unknown."""
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
        return max(0, end - here)
    except (OSError, ValueError, AttributeError, TypeError):
        return 0


def _not_a_file(path: Path) -> InputError:
    return InputError("image", f"{str(path)!r} is not a file", "pass the path of an image")


def _unreadable(path: Path, error: Exception) -> InputError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError("image", f"{str(path)!r} cannot be read: {why}", "pass a readable file")
