"""Plan the tiles of a picture and their cost before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from ..protocol.request import DOCUMENTED_PRICE
from ..tiling import LargePlan
from .geometry import Grid, check_tiles, grid_of
from .reading import LargeInput, OpenPicture, open_picture


@dataclass(frozen=True, slots=True)
class TiledPicture:
    """A picture and its tiles.

    Attributes:
        picture: the picture.
        grid: the tiles.
        keys: a hash of the content of each tile, row by row.
    """

    picture: OpenPicture
    grid: Grid
    keys: tuple[str, ...]

    def plan(self) -> LargePlan:
        """Return the plan, with the cost that follows from the documented price."""
        tasks = len(set(self.keys))
        column, row = self.grid.columns.spans[0], self.grid.rows.spans[0]
        return LargePlan(
            size=self.grid.size,
            result_size=self.grid.result_size,
            tile_size=(column.end - column.start, row.end - row.start),
            tiles=len(self.grid),
            tasks=tasks,
            cost=tasks * DOCUMENTED_PRICE,
        )


def plan(
    image: LargeInput,
    factor: int = 4,
    *,
    tile_size: int | None = None,
    overlap: int = 32,
) -> LargePlan:
    """Return the number of tiles of a picture, and their cost. It reads the picture, and blocks.

    Args:
        image: the picture; see `RunwareClient.upscale_large`.
        factor: 2 or 4.
        tile_size: the longest side of a tile.
        overlap: pixels of context on each side of a tile.

    Raises:
        InputError: an argument is wrong, or the picture cannot be read.
    """
    return tiled(image, factor, tile_size, overlap).plan()


def tiled(image: LargeInput, factor: int, tile_size: int | None, overlap: int) -> TiledPicture:
    """Open a picture and find its tiles. It blocks.

    Raises:
        InputError: an argument is wrong, or the picture cannot be read.
    """
    side = check_tiles(factor, tile_size, overlap)
    picture = open_picture(image)
    grid = grid_of(picture.size, factor, side, overlap)
    return TiledPicture(picture, grid, tuple(key_of(tile) for tile in tiles_of(picture, grid)))


def tiles_of(picture: OpenPicture, grid: Grid) -> Iterator[Image.Image]:
    """Read a picture, and yield its tiles row by row. It blocks.

    Raises:
        InputError: the picture cannot be read.
    """
    rows = [(span.start, span.end) for span in grid.rows.spans]
    for strip in picture.strips(rows):
        for span in grid.columns.spans:
            yield strip.crop((span.start, 0, span.end, strip.height))
        del strip  # before the next one is read


def key_of(tile: Image.Image) -> str:
    """Return a hash of the content of a tile."""
    digest = hashlib.sha256(f"{tile.mode} {tile.width}x{tile.height} ".encode())
    digest.update(tile.tobytes())
    return f"tile:{digest.hexdigest()}"
