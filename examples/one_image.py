"""Upscale one image and save the result.

python examples/one_image.py [IMAGE]
"""

import asyncio
import os
import sys
from pathlib import Path

from runware_ws import RunwareClient
from runware_ws.emulator import Emulator

HERE = Path(__file__).parent


async def main(image: Path) -> None:
    async with RunwareClient() as client:
        result = await client.upscale(
            image, upscale_factor=2, output_type="base64Data", include_cost=True
        )
        saved = await result.save(Path("upscaled") / image.stem)
        print(f"{image.name} -> {saved}, ${result.cost}, task {result.task_uuid}")


if __name__ == "__main__":
    photograph = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "coffee.jpg"
    if "RUNWARE_API_KEY" in os.environ:
        asyncio.run(main(photograph))
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            asyncio.run(main(photograph))
