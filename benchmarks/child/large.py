"""``python -m benchmarks.child.large JOB``: one large picture, in tiles; its memory."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from runware_ws import RunwareClient

from ..job import KEY, Figures, SpecialJob
from .meter import watched_memory

_FACTOR: Final = 2
_TILE_SIZE = 512  # many tiles in each picture
_CHANNELS = 3


def _write_picture(path: Path, side: int) -> None:
    """Write slow waves with a little noise, so that no tile is like another."""
    image = import_module("pyvips").Image
    waves = image.zone(side, side) * 100 + 128
    noisy = waves + image.gaussnoise(side, side, sigma=3)
    noisy.cast("uchar").bandjoin([waves.cast("uchar")] * 2).write_to_file(str(path))


async def _upscale(job: SpecialJob, folder: Path) -> Figures:
    picture = folder / "picture.jpg"
    _write_picture(picture, job.side)
    figures: Figures = {}
    async with RunwareClient(KEY, url=job.url) as client:
        begun = time.perf_counter()
        with watched_memory(figures):
            result = await client.upscale_large(
                picture,
                output=folder / "large.tif",
                factor=_FACTOR,
                tile_size=_TILE_SIZE,
                max_in_flight=job.in_flight,
            )
        figures["wall_ms"] = (time.perf_counter() - begun) * 1e3
    width, height = result.size
    return figures | {"tiles": result.tiles, "pixels_mib": width * height * _CHANNELS / 2**20}


def main(job: SpecialJob) -> Figures:
    """Do the job."""
    with TemporaryDirectory() as name:
        return asyncio.run(_upscale(job, Path(name)))


if __name__ == "__main__":
    print(json.dumps(main(SpecialJob.from_json(sys.argv[1]))))
