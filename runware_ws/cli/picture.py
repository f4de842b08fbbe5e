"""Properties of image files, read from their headers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

MAX_SIDE = 4096  # pixels of a result, as Runware documents
_ORIENTATION = 0x0112
_HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Picture:
    """Properties of an image.

    Attributes:
        size: width and height in pixels, with the EXIF orientation applied.
        has_alpha: whether it can be transparent.
        is_animated: whether it has several frames.
        is_turned: whether its EXIF orientation says that it is stored turned or mirrored.
    """

    size: tuple[int, int]
    has_alpha: bool = False
    is_animated: bool = False
    is_turned: bool = False


def picture_of(source: Path | bytes) -> Picture | None:
    """Return the properties of an image, or None if Pillow is not installed or cannot read it."""
    try:
        from PIL import Image
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its size, for one
        try:
            with Image.open(source if isinstance(source, Path) else BytesIO(source)) as image:
                orientation = image.getexif().get(_ORIENTATION, 1)
                width, height = image.size
                return Picture(
                    size=(height, width) if orientation in (5, 6, 7, 8) else (width, height),
                    has_alpha=image.has_transparency_data,
                    is_animated=getattr(image, "is_animated", False),
                    is_turned=orientation in range(2, 9),
                )
        except Exception:  # noqa: BLE001  # a broken file raises almost anything
            return None


def result_size(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return the size of a result. The service shrinks an input whose result would be too large."""
    longest = max(size) * factor
    scale = factor * min(1.0, MAX_SIDE / longest)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def effective_scale(size: tuple[int, int], result: tuple[int, int]) -> float:
    """Return how many times larger a result is than its image."""
    return round(max(result) / max(size), 4)


def problem_with(path: Path) -> str:
    """Return the reason why a file cannot be an image; "" if it may be one.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "is empty"
    if b"\0" not in head and _is_text(head):
        return "is a text file, not an image"
    return ""


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and len(head) == _HEAD_BYTES  # cut in a character
    return True
