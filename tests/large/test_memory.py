"""The memory of a process that upscales a large picture, as the system counts it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from runware_ws.emulator import Emulator

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it is Linux that counts"),
]

# VmHWM counts all that was resident at once, files that are mapped into memory as well.
PROGRAM = """
import asyncio, re, sys
from pathlib import Path
from runware_ws import RunwareClient

async def main(key, url, image, output):
    async with RunwareClient(key, url=url) as client:
        await client.upscale_large(Path(image), output=output, tile_size=256, max_in_flight=4)
    print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])

asyncio.run(main(*sys.argv[1:]))
"""


def fast_upscaler(content: bytes, factor: int, output_format: str, quality: int) -> bytes:
    """Upscale in the cheapest way: the emulator's own would take most of the time."""
    with Image.open(io.BytesIO(content)) as image:
        size = (image.width * factor, image.height * factor)
        enlarged = image.resize(size, Image.Resampling.BOX)
    file = io.BytesIO()
    enlarged.save(file, output_format, compress_level=1)
    return file.getvalue()


def peak(emulator: Emulator, side: int, output: Path) -> int:
    """Upscale a square picture in a process of its own. Return its largest memory in bytes."""
    path = output.with_name(f"{side}.png")
    Image.radial_gradient("L").resize((side, side)).convert("RGB").save(path)
    arguments = [emulator.api_key, emulator.url, str(path), str(output)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], check=True, capture_output=True, text=True
    )
    return int(done.stdout) * 1024


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".dzi"])
def test_memory_does_not_grow_with_the_picture(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("pyvips", reason="the extra `large` is not installed")
    with Emulator(upscaler=fast_upscaler) as emulator:
        small = peak(emulator, 600, tmp_path / f"small{suffix}")
        large = peak(emulator, 2400, tmp_path / f"large{suffix}")
    pixels = (2400 * 4) ** 2 * 3
    assert large - small < pixels / 2
