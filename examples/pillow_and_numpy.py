"""Upscale parts of a photograph that are in memory, as a Pillow image and as a numpy array.

python examples/pillow_and_numpy.py [IMAGE]
"""

import asyncio
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from runware_ws import RunwareClient
from runware_ws.emulator import Emulator

HERE = Path(__file__).parent
OUT = Path("upscaled")


def save_side_by_side(left: Image.Image, right: Image.Image) -> Path:
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    OUT.mkdir(exist_ok=True)
    both.save(OUT / "mirrored.png")
    return OUT / "mirrored.png"


async def main(photograph: Path) -> None:
    whole = Image.open(photograph).convert("RGB")
    part = ImageOps.fit(whole, (160, 160))
    mirrored = np.asarray(part)[:, ::-1]  # rows x columns x RGB; OpenCV's BGR is array[..., ::-1]
    async with RunwareClient() as client:
        result = await client.upscale(part, output_type="base64Data", output_format="PNG")
        other = await client.upscale(mirrored, output_type="base64Data", output_format="PNG")
        left, right = await result.image(), await other.image()
    print(f"{part.size} -> {left.size}, twice in {save_side_by_side(left, right)}")


if __name__ == "__main__":
    photograph = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "coffee.jpg"
    if "RUNWARE_API_KEY" in os.environ:
        asyncio.run(main(photograph))
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            asyncio.run(main(photograph))
