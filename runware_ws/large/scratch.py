"""A temporary file for the pixels of a result until the output is written.

It is an uncompressed TIFF: all pixels are in one block after its header, line by line, so the
position of each pixel is known. libvips reads such a file in strips. A file of raw pixels would be
mapped into memory as a whole.
"""

from __future__ import annotations

import struct

_STRIP_BYTES = 1 << 20  # about as many are read at once
_SHORT, _LONG, _LONG8 = 3, 4, 16  # of TIFF's types
_CODES = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}
_ENTRIES_AT = 16  # behind the file's own header


def header(size: tuple[int, int], bands: int) -> bytes:
    """Return the header of a picture as a BigTIFF.

    Args:
        size: width and height in pixels.
        bands: bytes per pixel: 1 or 2 for grey, 3 or 4 for RGB; an even number has transparency.
    """
    width, height = size
    line = width * bands
    lines = max(1, min(height, _STRIP_BYTES // line))
    tops = range(0, height, lines)
    lengths = [min(lines, height - top) * line for top in tops]
    tags = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [8] * bands),  # bits of each band
        259: (_SHORT, [1]),  # no compression
        262: (_SHORT, [1 if bands < 3 else 2]),  # grey, where black is 0, or RGB
        273: (_LONG8, [0] * len(tops)),  # where each strip begins
        277: (_SHORT, [bands]),
        278: (_LONG, [lines]),
        279: (_LONG8, lengths),
        284: (_SHORT, [1]),  # the bands of a pixel side by side
    }
    if bands in (2, 4):
        tags[338] = (_SHORT, [2])  # the last band is transparency
    start = len(_packed(tags))
    tags[273] = (_LONG8, [start + top * line for top in tops])
    return _packed(tags)


def _packed(tags: dict[int, tuple[int, list[int]]]) -> bytes:
    entries, values = b"", b""
    values_at = _ENTRIES_AT + 8 + 20 * len(tags) + 8
    for tag, (kind, numbers) in tags.items():
        value = struct.pack(f"<{len(numbers)}{_CODES[kind]}", *numbers)
        if len(value) > 8:  # a longer one stands behind the entries
            place = struct.pack("<Q", values_at + len(values))
            values += value
            value = place
        entries += struct.pack("<HHQ8s", tag, kind, len(numbers), value)
    opening = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, _ENTRIES_AT, len(tags))
    return opening + entries + struct.pack("<Q", 0) + values
