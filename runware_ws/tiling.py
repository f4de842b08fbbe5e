"""The plan and the result of `RunwareClient.upscale_large`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class LargePlan(NamedTuple):
    """The tiles of a picture and their estimated cost, known before anything is sent.

    Attributes:
        size: width and height of the upright picture in pixels.
        result_size: width and height of the result in pixels.
        tile_size: width and height of each tile in pixels.
        tiles: number of tiles.
        tasks: number of tasks: tiles with the same content are sent once.
        cost: estimated cost in US dollars.
    """

    size: tuple[int, int]
    result_size: tuple[int, int]
    tile_size: tuple[int, int]
    tiles: int
    tasks: int
    cost: float


class LargeResult(NamedTuple):
    """A picture that was upscaled in tiles.

    Attributes:
        path: path of the output.
        size: width and height of the output in pixels.
        tiles: number of tiles.
        tasks: number of tasks: tiles with the same content are sent once.
        cost: cost of the tasks in US dollars, including those that an earlier run has paid for.
    """

    path: Path
    size: tuple[int, int]
    tiles: int
    tasks: int
    cost: float
