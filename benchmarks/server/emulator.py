"""``python -m benchmarks.server.emulator LATENCY``: the package's emulator.

Each task takes LATENCY seconds, however many there are. Pixels are only doubled, which is quick.
See also `benchmarks.server.host`.
"""

from __future__ import annotations

import sys
from io import BytesIO

from PIL import Image

from runware_ws.emulator import Emulator

from ..job import KEY
from .host import host, run


def _enlarge(content: bytes, factor: int, output_format: str, quality: int) -> bytes:
    file = BytesIO()
    with Image.open(BytesIO(content)) as image:
        size = (image.width * factor, image.height * factor)
        result = image.resize(size, Image.Resampling.NEAREST)
    result.save(file, "PNG" if output_format == "PNG" else "JPEG", compress_level=1)
    return file.getvalue()


async def _main() -> None:
    async with Emulator(api_key=KEY, latency=float(sys.argv[1]), upscaler=_enlarge) as emulator:
        port = int(emulator.http_url.rpartition(":")[2])
        await host(port, lambda _: {"runs": emulator.executions.total()})


if __name__ == "__main__":
    run(_main)
