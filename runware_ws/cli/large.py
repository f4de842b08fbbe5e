"""The command ``large``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..client import RunwareClient
from ..errors import BudgetError, InputError, RunwareError
from .connection import connect
from .errors import UsageError
from .exit_status import FAILED, SUCCESS
from .options import (
    LIMITS,
    RECONNECT_TIME,
    RESULTS,
    ConnectionArguments,
    ReconnectTime,
    default_of,
    option,
)
from .output import Output
from .summary import dollars

if TYPE_CHECKING:
    from ..tiling import LargePlan


@dataclass(frozen=True, kw_only=True)
class LargeArguments:
    """The arguments and options of ``large``."""

    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file of any size.")]
    out: Annotated[
        Path,
        option(
            "File for the result. Its suffix sets the format: .tif, .png, .jpg, .webp, or .dzi for "
            "DeepZoom.",
            "--out",
            "-o",
            value="FILE",
            panel=RESULTS,
        ),
    ]
    factor: Annotated[
        int, option("Factor by which to upscale the image.", "--factor", "-f", value="2|4")
    ] = default_of(RunwareClient.upscale_large, "factor")
    quality: Annotated[
        int, option("Quality of JPEG and WebP.", value="1-100", panel=RESULTS, min=1, max=100)
    ] = default_of(RunwareClient.upscale_large, "quality")
    overwrite: Annotated[
        bool, option("Overwrite an existing file.", "--overwrite", panel=RESULTS)
    ] = False
    dry_run: Annotated[
        bool,
        option("Send nothing. Show the tiles and the estimated cost.", "--dry-run", "-n"),
    ] = False
    tile_size: Annotated[
        int | None,
        option(
            "Longest side of a tile. Default: 4096 / factor. A smaller one takes less memory, and "
            "costs more.",
            value="PIXELS",
            panel=LIMITS,
        ),
    ] = None
    overlap: Annotated[
        int, option("Context on each side of a tile.", value="PIXELS", panel=LIMITS)
    ] = default_of(RunwareClient.upscale_large, "overlap")
    max_cost: Annotated[
        float | None,
        option("Send nothing if the estimated cost is higher.", value="DOLLARS", panel=LIMITS),
    ] = None
    max_in_flight: Annotated[
        int, option("Maximum number of tiles in flight.", value="NUMBER", panel=LIMITS)
    ] = default_of(RunwareClient.upscale_large, "max_in_flight")
    timeout: Annotated[
        float, option("Time limit of one tile, with its retries.", value="SECONDS", panel=LIMITS)
    ] = default_of(RunwareClient, "timeout")
    max_reconnect_time: ReconnectTime = RECONNECT_TIME


async def large(arguments: LargeArguments, connection: ConnectionArguments) -> int:
    """Upscale an image of any size in tiles.

    Runware makes images of at most 4096 x 4096 pixels, and shrinks larger inputs
    first. This command cuts the image into tiles, and joins their results without
    seams. If it is killed and run again, it pays only for the missing tiles.

    \b
    Examples:
      runware-ws large map.tif --out map-large.tif --dry-run
      runware-ws large map.tif --out map-large.dzi --max-cost 2

    \b
    Exit status:
      0         the result is written
      1         a tile failed, or the result could not be written
      2         nothing was sent: wrong arguments, no key, --max-cost too low
      130, 143  stopped by Ctrl-C or SIGTERM
    """
    from ..large import plan

    output = Output()
    if not arguments.image.is_file():
        raise UsageError(f"IMAGE: {arguments.image} is not a file")
    if arguments.dry_run:
        tiles = {"tile_size": arguments.tile_size, "overlap": arguments.overlap}
        output.result(_described(plan(arguments.image, arguments.factor, **tiles)))  # type: ignore[arg-type]  # each is of its own type
        return SUCCESS
    if arguments.out.exists() and not arguments.overwrite:
        raise UsageError(f"{arguments.out} exists; give --overwrite to replace it")
    async with connect(
        connection,
        output.note,
        timeout=arguments.timeout,
        max_reconnect_time=arguments.max_reconnect_time,
    ) as client:
        try:
            result = await client.upscale_large(
                arguments.image,
                output=arguments.out,
                factor=arguments.factor,  # type: ignore[arg-type]  # it is checked there
                tile_size=arguments.tile_size,
                overlap=arguments.overlap,
                quality=arguments.quality,
                max_in_flight=arguments.max_in_flight,
                max_cost=arguments.max_cost,
                on_plan=lambda plan: output.note(_described(plan)),
            )
        except InputError:
            raise
        except RunwareError as error:
            if isinstance(error, BudgetError) and not error.spent:
                raise UsageError(
                    f"--max-cost: {dollars(error.budget)} is less than the estimate"
                ) from None
            output.message(f"{arguments.image}: {error}")
            return FAILED
    width, height = result.size
    output.result(f"{result.path} ({width} x {height}, {dollars(result.cost)})")
    return SUCCESS


def _described(plan: LargePlan) -> str:
    width, height = plan.result_size
    same = plan.tiles - plan.tasks
    repeated = f" ({same} with the same content as another)" if same else ""
    return (
        f"{plan.size[0]} x {plan.size[1]} to {width} x {height} pixels: "
        f"{plan.tiles} tile{'' if plan.tiles == 1 else 's'}{repeated}, about {dollars(plan.cost)}"
    )
