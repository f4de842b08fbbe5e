"""Join tiles: each one is painted at its position, and blended with its earlier neighbours.

The fade is separable: a tile is first blended with its left neighbour, and then with those above.
Pixels in a horizontal fade are held back until the right neighbour has come, so that each row on
the canvas is complete before the next row is blended with it. Besides the canvas, only one tile and
the last columns of its left neighbour are in memory.
"""

from __future__ import annotations

from typing import Protocol

from PIL import Image

from .geometry import Grid, raised_cosine

Box = tuple[int, int, int, int]  # left, top, right and bottom


class Canvas(Protocol):
    """A picture with random access for writing and reading. Its methods block."""

    def paint(self, image: Image.Image, box: Box, place: tuple[int, int]) -> None:
        """Write a part of an image.

        Args:
            image: the image, in the mode of the picture.
            box: the part.
            place: left and top of the part in the picture.

        Raises:
            SaveError: it cannot be written.
        """

    def painted(self, box: Box) -> Image.Image:
        """Return a part that was written.

        Raises:
            SaveError: it cannot be read.
        """


class Stitcher:
    """Joins the results of tiles, which come row by row, from left to right.

    Args:
        grid: the tiles.
        canvas: the picture to paint.
    """

    def __init__(self, grid: Grid, canvas: Canvas) -> None:
        self._grid = grid
        self._canvas = canvas
        self._held_back: Image.Image | None = None  # the right edge of the tile before
        self._across = _fade(grid.columns.fade * grid.factor)
        self._down = _fade(grid.rows.fade * grid.factor).transpose(Image.Transpose.ROTATE_270)

    def add(self, column: int, row: int, tile: Image.Image) -> None:
        """Add the result of a tile. The image is modified.

        Raises:
            SaveError: it cannot be written.
        """
        factor, across, down = self._grid.factor, self._across.width, self._down.height
        span, above = self._grid.columns.spans[column], self._grid.rows.spans[row]
        left, right = ((x - span.start) * factor for x in (span.fade_in, span.fade_out))
        top, bottom = ((y - above.start) * factor for y in (above.fade_in, above.fade_out))
        if self._held_back is not None:
            _fade_in(tile, self._held_back, self._across, (left, top))
            self._held_back = None
        if column < len(self._grid.columns.spans) - 1:
            self._held_back = tile.crop((right - across, top, right, bottom))
            right -= across
        x, y = span.fade_in * factor, above.fade_in * factor
        if row:
            before = self._canvas.painted((x, y, x + right - left, y + down))
            _fade_in(tile, before, self._down, (left, top))
        self._canvas.paint(tile, (left, top, right, bottom), (x, y))


def _fade(pixels: int) -> Image.Image:
    weights = raised_cosine(pixels)
    return Image.frombytes("L", (len(weights), 1), weights)


def _fade_in(
    tile: Image.Image, before: Image.Image, fade: Image.Image, at: tuple[int, int]
) -> None:
    """Blend a part of a tile with the pixels that are there already."""
    part = tile.crop((*at, at[0] + before.width, at[1] + before.height))
    before.paste(part, (0, 0), fade.resize(before.size, Image.Resampling.NEAREST))
    tile.paste(before, at)
