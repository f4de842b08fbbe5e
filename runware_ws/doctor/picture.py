"""Images for the probes, made with only the standard library."""

from __future__ import annotations

import base64
import random
import struct
import zlib

_PRIVATE_CHUNK = b"ruNw"  # decoders skip it


def noise(side: int, padding: int = 0) -> str:
    """Return a square PNG of noise in base64, which is not compressible.

    Args:
        side: its width and height in pixels.
        padding: bytes of a chunk that decoders skip, for a file of a certain size.
    """
    pixels = random.Random(side)  # noqa: S311  # not a secret, and the same each time
    return _png(side, b"".join(b"\0" + pixels.randbytes(3 * side) for _ in range(side)), padding)


def flat(side: int) -> str:
    """Return a square PNG of one colour in base64. It is small, but takes as long to upscale."""
    return _png(side, (b"\0" + bytes(3 * side)) * side)


def _png(side: int, rows: bytes, padding: int = 0) -> str:
    header = struct.pack("!IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    if padding:
        chunks.insert(1, (_PRIVATE_CHUNK, bytes(padding)))
    file = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in chunks)
    return base64.b64encode(file).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
