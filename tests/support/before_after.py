"""Make the README's picture: a part of a photograph before and after `runware-ws upscale`.

python -m tests.support.before_after
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PHOTOGRAPH = ROOT / "examples" / "cat.png"
PICTURE = ROOT / ".github" / "before-after.jpg"
PART = (88, 50, 144, 92)  # of the photograph: left, top, right, bottom
FACTOR = 4
SHOWN = (448, 336)
GAP = 8


def before_after(before: Image.Image, after: Image.Image) -> Image.Image:
    """Return a part of both side by side, with each pixel as a square."""
    picture = Image.new("RGB", (2 * SHOWN[0] + GAP, SHOWN[1]), "white")
    for image, factor, place in ((before, 1, 0), (after, FACTOR, SHOWN[0] + GAP)):
        left, top, right, bottom = (factor * side for side in PART)
        part = image.convert("RGB").crop((left, top, right, bottom))
        picture.paste(part.resize(SHOWN, Image.Resampling.NEAREST), (place, 0))
    return picture


def main() -> None:
    command = [sys.executable, "-m", "runware_ws", "upscale", str(PHOTOGRAPH), "--emulator"]
    with TemporaryDirectory() as folder:
        subprocess.run([*command, "--format", "PNG", "--out", folder], check=True)
        with Image.open(PHOTOGRAPH) as before, Image.open(Path(folder, "cat.png")) as after:
            before_after(before, after).save(PICTURE, quality=85)


if __name__ == "__main__":
    main()
