"""Upscale a picture: send its tiles, join their results, and write the output."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from PIL import Image

from ..batch import Failure, Outcome, Success
from ..errors import (
    BudgetError,
    InputError,
    ProtocolError,
    ResultLostError,
    RunwareError,
    TaskError,
    TaskTimeoutError,
)
from ..results import UpscaleResult
from ..runtime.budget import Budget
from ..runtime.concurrency import run_in_thread
from ..tiling import LargePlan, LargeResult
from .planning import TiledPicture, key_of, tiled, tiles_of
from .reading import LargeInput
from .stitching import Stitcher
from .writing import Writer, check_output, writer_for

if TYPE_CHECKING:
    from ..client import RunwareClient

_RERUNS = 2  # of a tile that failed, after the retries of the client


class _Tile(bytes):
    """A tile as a PNG file, with its key."""

    key: str


async def upscale_large(
    client: RunwareClient,
    image: LargeInput,
    *,
    output: str | os.PathLike[str],
    factor: int,
    tile_size: int | None,
    overlap: int,
    quality: int,
    max_in_flight: int,
    max_cost: float | None,
    on_plan: Callable[[LargePlan], None] | None,
    on_progress: Callable[[int, int], None] | None,
    options: dict[str, Any],
) -> LargeResult:
    """Upscale a picture of any size; see `RunwareClient.upscale_large`."""
    path = Path(output)
    job = await run_in_thread(tiled, image, factor, tile_size, overlap)
    check_output(path, job.grid.result_size)
    plan = job.plan()
    if on_plan is not None:
        on_plan(plan)
    if max_cost is not None and plan.cost > max_cost:
        raise BudgetError(max_cost, 0.0)
    properties = job.picture.properties
    writer = await run_in_thread(writer_for, path, job.grid.result_size, properties, quality)
    try:
        budget = Budget(inf if max_cost is None else max_cost)
        run = _TileRun(client, job, writer, budget=budget, on_progress=on_progress, options=options)
        await run.run(max_in_flight)
        await run_in_thread(writer.finish)
    finally:
        with anyio.CancelScope(shield=True):
            await run_in_thread(writer.discard)
    return LargeResult(path, plan.result_size, plan.tiles, plan.tasks, run.cost)


class _TileRun:
    """The tasks of one picture.

    Attributes:
        cost: cost of the finished tiles in US dollars.
    """

    def __init__(
        self,
        client: RunwareClient,
        job: TiledPicture,
        writer: Writer,
        *,
        budget: Budget,
        on_progress: Callable[[int, int], None] | None,
        options: dict[str, Any],
    ) -> None:
        self.cost = 0.0
        self._client = client
        self._job = job
        self._writer = writer
        self._budget = budget
        self._on_progress = on_progress
        self._options = {
            **options,
            "upscale_factor": job.grid.factor,
            "output_type": "base64Data",
            "output_format": "PNG",
            "include_cost": True,
        }
        self._stitcher = Stitcher(job.grid, writer)
        self._uses = Counter(job.keys)  # of each content that are still to come

    async def run(self, max_in_flight: int) -> None:
        """Upscale all tiles, and write the picture."""
        outcomes = self._client.upscale_many(
            self._tiles(),
            max_in_flight=max_in_flight,
            ordered=True,
            idempotency=lambda tile: tile.key,
            **self._options,
        )
        try:
            columns = len(self._job.grid.columns.spans)
            sent: set[str] = set()
            for number, key in enumerate(self._job.keys):
                place = (number % columns, number // columns)
                files = None if key in sent else await self._files(await anext(outcomes))
                sent.add(key)
                await run_in_thread(self._add, place, key, files)
                files = None  # they are large, and the next ones are to come
                if self._on_progress is not None:
                    self._on_progress(number + 1, len(self._job.keys))
        finally:
            await outcomes.aclose()

    async def _tiles(self) -> AsyncIterator[_Tile]:
        """Yield the tiles in order, but each content only once."""
        tiles = _encoded_tiles(self._job)
        while (tile := await run_in_thread(next, tiles, None)) is not None:
            await self._budget.reserve()
            yield tile

    async def _files(self, outcome: Outcome[_Tile]) -> tuple[bytes, bytes]:
        """Return the files of a tile and of its result."""
        result = await self._result(outcome)
        files = (outcome.source, await result.read())
        result.ack()
        return files

    async def _result(self, outcome: Outcome[_Tile]) -> UpscaleResult:
        """Return the result of a tile. If it failed, it is retried alone, under the same key."""
        reruns = _RERUNS
        while isinstance(outcome, Failure):
            if not isinstance(outcome.error, TaskError):  # its end is not known
                self._budget.charge(None)
            self._budget.release()
            if not reruns or not _may_be_run_again(outcome.error):
                raise outcome.error
            reruns -= 1
            outcome = await self._run_again(outcome.source)
        self.cost += outcome.result.cost or 0.0
        self._budget.charge(outcome.result.cost)
        self._budget.release()
        return outcome.result

    async def _run_again(self, tile: _Tile) -> Outcome[_Tile]:
        await self._budget.reserve()
        try:
            result = await self._client.upscale(tile, idempotency_key=tile.key, **self._options)
            return Success(tile, result)
        except RunwareError as error:
            return Failure(tile, error)

    def _add(self, place: tuple[int, int], key: str, files: tuple[bytes, bytes] | None) -> None:
        """Add a tile to the picture, from its own files or from those of an equal tile."""
        self._uses[key] -= 1
        # In files, since they may be many.
        kept = [self._writer.folder / f"{key.removeprefix('tile:')}-{end}" for end in ("in", "out")]
        if files is None:
            files = (kept[0].read_bytes(), kept[1].read_bytes())
        elif self._uses[key]:
            for path, content in zip(kept, files, strict=True):
                path.write_bytes(content)
        self._stitcher.add(*place, _decoded(files[1], files[0], self._job))


def _encoded_tiles(job: TiledPicture) -> Iterator[_Tile]:
    """Yield the tiles in order, but each content only once. It blocks.

    Raises:
        InputError: the picture cannot be read any more, or has changed.
    """
    sent: set[str] = set()
    for tile, key in zip(tiles_of(job.picture, job.grid), job.keys, strict=True):
        if key in sent:
            continue
        if key_of(tile) != key:
            raise InputError("image", "changed while it was being read", "start again")
        sent.add(key)
        yield _encoded(tile, key)


def _may_be_run_again(error: RunwareError) -> bool:
    if isinstance(error, TaskError):
        return error.retryable
    return isinstance(error, TaskTimeoutError | ResultLostError)


def _encoded(tile: Image.Image, key: str) -> _Tile:
    file = BytesIO()
    tile.save(file, "PNG", compress_level=3)
    encoded = _Tile(file.getvalue())
    encoded.key = key
    return encoded


def _decoded(content: bytes, source: bytes, job: TiledPicture) -> Image.Image:
    """Return the result of a tile in the mode of the picture.

    Raises:
        ProtocolError: it is not an image of the expected size.
    """
    try:
        result: Image.Image = Image.open(BytesIO(content))
        result.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise ProtocolError(f"the result of a tile cannot be read: {error}") from None
    with Image.open(BytesIO(source)) as tile:
        size = (tile.width * job.grid.factor, tile.height * job.grid.factor)
        if result.size != size:
            raise ProtocolError(f"the size of a tile's result is {result.size}, not {size}")
        mode = job.picture.properties.mode
        if mode.endswith("A") and not result.has_transparency_data:  # the model knows none
            alpha = tile.getchannel("A").resize(size, Image.Resampling.LANCZOS)
            result = result.convert(mode)
            result.putalpha(alpha)
    return result if result.mode == mode else result.convert(mode)
