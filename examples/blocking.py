"""Upscale a folder without asyncio, and let several threads share one client.

python examples/blocking.py [FOLDER]
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runware_ws.emulator import Emulator
from runware_ws.sync import RunwareClient

HERE = Path(__file__).parent
OUT = Path("upscaled")


def main(folder: Path) -> None:
    images = [path for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".png")]
    with RunwareClient() as client:
        # A plain iterator; the next turn tells a journal, if there is one, that the result is safe.
        for outcome in client.upscale_many(images, output_type="base64Data", output_format="PNG"):
            if outcome.result is None:
                print(f"{outcome.source.name}: {outcome.error}")
            else:
                print(f"{outcome.source.name} -> {outcome.result.save(OUT / outcome.source.stem)}")

        # As in Flask, Django or Celery: each thread calls the client that all of them share.
        def handle(image: Path) -> str:
            return client.upscale(image, upscale_factor=2).image_url or ""

        with ThreadPoolExecutor(4) as threads:
            for image, url in zip(images, threads.map(handle, images), strict=True):
                print(f"{image.name}: {url}")


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    if "RUNWARE_API_KEY" in os.environ:
        main(source)
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            main(source)
