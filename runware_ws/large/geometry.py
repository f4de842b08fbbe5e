"""The positions of the tiles of a picture, and of the fades between them.

All tiles of a picture have the same size, and are spread evenly. Neighbours share at least twice
the overlap. They are blended in the middle of the shared area, over the width of the overlap. So
half an overlap of each tile beside the fade is only context: pixels near the edge of a tile are
never used, except at the edges of the picture. There a tile ends with the picture, so that the
model gets the same pixels as with the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi

from ..errors import InputError
from ..protocol.request import MAX_SIDE
from ..settings import check_number


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one side of a picture, in pixels of the input.

    Attributes:
        start: its first pixel.
        end: the pixel after its last pixel.
        fade_in: its first pixel that is used, where the fade from the previous tile begins.
        fade_out: the pixel after its last pixel that is used.
    """

    start: int
    end: int
    fade_in: int
    fade_out: int


@dataclass(frozen=True, slots=True)
class Side:
    """The tiles along one side of a picture.

    Attributes:
        size: length of the side in pixels.
        fade: width of the fade between two tiles in pixels.
        spans: the tiles.
    """

    size: int
    fade: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of a picture.

    Attributes:
        factor: how many times larger the result is.
        columns: the tiles from left to right.
        rows: the tiles from top to bottom.
    """

    factor: int
    columns: Side
    rows: Side

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the input."""
        return self.columns.size, self.rows.size

    @property
    def result_size(self) -> tuple[int, int]:
        """Width and height of the result."""
        return self.columns.size * self.factor, self.rows.size * self.factor

    def __len__(self) -> int:
        return len(self.columns.spans) * len(self.rows.spans)


def check_tiles(factor: int, tile_size: int | None, overlap: int) -> int:
    """Return the side of a tile.

    Raises:
        InputError: the tiles are too large for the service, or too small for their overlap.
    """
    if factor not in (2, 4):
        raise InputError("factor", f"{factor!r} is not known", "pass 2 or 4")
    check_number("overlap", "int", overlap)
    if overlap < 8:
        raise InputError("overlap", f"{overlap!r} is too small to hide a seam", "pass at least 8")
    largest = MAX_SIDE // factor
    side = largest if tile_size is None else tile_size
    check_number("tile_size", "int", side)
    if not 8 * overlap <= side <= largest:
        problem = f"{side!r} is out of range with overlap={overlap} and factor={factor}"
        raise InputError("tile_size", problem, f"pass {8 * overlap} to {largest}, or less overlap")
    return side


def grid_of(size: tuple[int, int], factor: int, side: int, overlap: int) -> Grid:
    """Return the tiles of a picture.

    Args:
        size: width and height of the picture.
        factor: how many times larger the result is.
        side: the longest side of a tile.
        overlap: pixels of context on each side of a tile.
    """
    return Grid(factor, _line(size[0], side, overlap), _line(size[1], side, overlap))


def _line(size: int, side: int, overlap: int) -> Side:
    if size <= side:
        return Side(size, overlap, (Span(0, size, 0, size),))
    shared = 2 * overlap
    count = -(-(size - shared) // (side - shared))
    length = -(-(size + (count - 1) * shared) // count)
    starts = [number * (size - length) // (count - 1) for number in range(count)]
    middles = [(after + before + length) // 2 for before, after in pairwise(starts)]
    fades_in = [0, *(middle - overlap // 2 for middle in middles)]
    fades_out = [*(fade_in + overlap for fade_in in fades_in[1:]), size]
    spans = (
        Span(start, start + length, fade_in, fade_out)
        for start, fade_in, fade_out in zip(starts, fades_in, fades_out, strict=True)
    )
    return Side(size, overlap, tuple(spans))


def raised_cosine(count: int) -> bytes:
    """Return the weights (0 to 255) of a fade over `count` pixels, from nearly 0 to nearly 255."""
    return bytes(round(255 * (1 - cos(pi * (one + 0.5) / count)) / 2) for one in range(count))
