"""Upscale a folder of any size, with many images in flight and constant memory.

python examples/folder.py [FOLDER]
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from runware_ws import RunwareClient
from runware_ws.emulator import Emulator

HERE = Path(__file__).parent


def images_in(folder: Path) -> Iterator[Path]:
    """Yield the images. The client takes the next one when it has room for it."""
    for path in folder.iterdir():
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
            yield path


async def main(folder: Path) -> None:
    failed = 0
    async with RunwareClient(max_in_flight=16) as client:
        async for outcome in client.upscale_many(
            images_in(folder), output_type="base64Data", output_format="PNG", include_cost=True
        ):
            if outcome.result is None:
                failed += 1
                print(f"{outcome.source.name}: {outcome.error}")
            else:
                saved = await outcome.result.save(Path("upscaled") / outcome.source.stem)
                print(f"{outcome.source.name} -> {saved}")
        stats = client.stats()
    print(f"{stats.succeeded} upscaled, {failed} failed, ${stats.cost:.4f}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    if "RUNWARE_API_KEY" in os.environ:
        asyncio.run(main(source))
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            asyncio.run(main(source))
