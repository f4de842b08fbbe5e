"""Upscale a folder with two factors in parallel on trio, over one connection.

python examples/on_trio.py [FOLDER]
"""

import os
import sys
from pathlib import Path

import trio

from runware_ws import RunwareClient
from runware_ws.emulator import Emulator
from runware_ws.options import UpscaleFactor

HERE = Path(__file__).parent


def images_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".png")]


async def upscale(client: RunwareClient, folder: Path, factor: UpscaleFactor) -> None:
    async for outcome in client.upscale_many(
        images_in(folder), upscale_factor=factor, output_type="base64Data"
    ):
        if outcome.result is None:
            print(f"{outcome.source.name}: {outcome.error}")
        else:
            saved = await outcome.result.save(Path("upscaled") / f"{outcome.source.stem}-{factor}x")
            print(f"{outcome.source.name} -> {saved}")


async def main(folder: Path) -> None:
    async with RunwareClient() as client, trio.open_nursery() as nursery:
        nursery.start_soon(upscale, client, folder, 2)
        nursery.start_soon(upscale, client, folder, 4)


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    if "RUNWARE_API_KEY" in os.environ:
        trio.run(main, source)
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            trio.run(main, source)
