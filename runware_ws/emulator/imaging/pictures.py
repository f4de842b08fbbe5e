"""The image work itself: bytes in, bytes out.

Lanczos resampling stands in for Real-ESRGAN: the result has the right size, format and colours,
but none of the detail that the model would add.
"""

from __future__ import annotations

import base64
import binascii
from io import BytesIO

from PIL import Image, ImageOps

__all__ = ["MAX_SIDE", "MAX_UPLOAD_SIDE", "BadImageError", "from_base64", "shrink", "upscale"]

MAX_SIDE = 4096  # of a result [D]
MAX_UPLOAD_SIDE = 2048  # of an uploaded image [D]
_PILLOW_NAMES = {"JPG": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}
# What Pillow is known to raise on files that are broken, or made to exhaust the reader.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    OverflowError,
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class BadImageError(Exception):
    """The bytes are not an image that can be read."""


def from_base64(text: str) -> bytes:
    """Decode base64, alone or as a data URI, with or without padding.

    Raises:
        BadImageError: it is not base64.
    """
    body = text.partition(",")[2] if text.startswith("data:") else text
    body += "=" * (-len(body) % 4)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImageError(f"the image is not base64 ({error})") from None


def upscale(content: bytes, factor: int, output_format: str, quality: int) -> bytes:
    """Make an image `factor` times wider and higher.

    If that would go beyond 4096 px on a side, the image is made smaller first, without a word
    [D]: 2048² by 4 is made from 1024².

    Args:
        content: the image's file, in any format that Pillow reads.
        factor: 2 or 4.
        output_format: ``JPG``, ``PNG`` or ``WEBP``.
        quality: 20 to 99; PNG has none.

    Raises:
        BadImageError: the file is not an image that can be read.
    """
    image = _opened(content)
    limit = MAX_SIDE // factor
    width, height = _fitted(image.size, limit)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    image = image.resize((width * factor, height * factor), Image.Resampling.LANCZOS)
    return _encoded(image, output_format, quality)


def shrink(content: bytes) -> tuple[bytes, str]:
    """An uploaded image as it is stored: at most 2048 px a side [D], and its media type.

    Raises:
        BadImageError: the file is not an image that can be read.
    """
    image = _opened(content)
    size = _fitted(image.size, MAX_UPLOAD_SIDE)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return _encoded(image, "PNG", 0), "image/png"


def _opened(content: bytes) -> Image.Image:
    """The first frame, upright, as RGB or, where there is transparency, RGBA."""
    try:
        with Image.open(BytesIO(content)) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):
                image = image.convert("I").point(lambda value: value / 256).convert("L")
            return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except _BROKEN as error:
        raise BadImageError(f"the image cannot be read ({type(error).__name__})") from None


def _fitted(size: tuple[int, int], limit: int) -> tuple[int, int]:
    """`size` made to fit into a square of `limit`, with its proportions."""
    longest = max(size)
    if longest <= limit:
        return size
    width, height = (max(1, round(side * limit / longest)) for side in size)
    return width, height


def _encoded(image: Image.Image, output_format: str, quality: int) -> bytes:
    if output_format == "JPG" and image.mode == "RGBA":
        # JPG has no transparency [O]; what was clear becomes white.
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    output = BytesIO()
    options = {} if output_format == "PNG" else {"quality": quality}
    image.save(output, _PILLOW_NAMES[output_format], **options)
    return output.getvalue()
