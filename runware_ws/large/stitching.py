"""Putting tiles together: a row of tiles becomes a strip, and strips fade into each other.

The fade is separable: tiles fade from left to right within their strip, and then whole strips from
top to bottom. Only one strip and the last lines of the one before are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from .geometry import Grid, Span, raised_cosine

__all__ = ["Stitcher"]

_LINES = 128  # are given on at once, so that no second strip is in memory


class Stitcher:
    """Puts the results of tiles together, which come row by row, each from left to right.

    Args:
        grid: the tiles.
        mode: mode of the result in Pillow's words: ``L``, ``LA``, ``RGB`` or ``RGBA``.
    """

    def __init__(self, grid: Grid, mode: str) -> None:
        self._grid = grid
        self._mode = mode
        self._strip: Image.Image | None = None
        self._last: Image.Image | None = None  # the lines that fade into the next strip

    def add(self, column: int, row: int, tile: Image.Image) -> Iterator[Image.Image]:
        """Add the result of a tile. Yield the lines of the picture that are finished by it."""
        span, above = self._grid.columns.spans[column], self._grid.rows.spans[row]
        if self._strip is None:
            height = (above.fade_out - above.fade_in) * self._grid.factor
            self._strip = Image.new(self._mode, (self._grid.result_size[0], height))
        self._paste(self._strip, tile, span, above)
        if column == len(self._grid.columns.spans) - 1:
            strip, self._strip = self._strip, None
            yield from self._finished(strip, row)

    def _paste(self, strip: Image.Image, tile: Image.Image, span: Span, above: Span) -> None:
        factor = self._grid.factor
        box = (span.fade_in - span.start, above.fade_in - above.start)
        end = (span.fade_out - span.start, above.fade_out - above.start)
        left, top, right, bottom = (side * factor for side in (*box, *end))
        used = tile.crop((left, top, right, bottom))
        place = (span.fade_in * factor, 0)
        if span.fade_in == 0:
            strip.paste(used, place)
            return
        mask = Image.new("L", used.size, 255)
        fade = self._fade(self._grid.columns.fade)
        mask.paste(fade.resize((fade.width, used.height), Image.Resampling.NEAREST), (0, 0))
        strip.paste(used, place, mask)

    def _fade(self, pixels: int) -> Image.Image:
        weights = raised_cosine(pixels * self._grid.factor)
        return Image.frombytes("L", (len(weights), 1), weights)

    def _finished(self, strip: Image.Image, row: int) -> Iterator[Image.Image]:
        lines = self._grid.rows.fade * self._grid.factor
        if self._last is not None:
            fade = self._fade(self._grid.rows.fade).transpose(Image.Transpose.ROTATE_270)
            mask = fade.resize((strip.width, lines), Image.Resampling.NEAREST)
            self._last.paste(strip.crop((0, 0, strip.width, lines)), (0, 0), mask)
            yield self._last
        is_last = row == len(self._grid.rows.spans) - 1
        start = 0 if self._last is None else lines
        end = strip.height if is_last else strip.height - lines
        if not is_last:
            self._last = strip.crop((0, end, strip.width, strip.height))
        for top in range(start, end, _LINES):
            yield strip.crop((0, top, strip.width, min(top + _LINES, end)))
