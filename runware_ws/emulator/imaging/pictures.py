"""Process images: bytes in, bytes out.

Lanczos resampling replaces Real-ESRGAN: the result has the right size, format and colours, but not
the detail that the model would add.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from io import BytesIO
from typing import TypeAlias

from PIL import Image, ImageEnhance, ImageOps

from ...protocol.request import MAX_SIDE

UpscaleFunction: TypeAlias = Callable[[bytes, int, str, int], bytes]

MAX_UPLOAD_SIDE = 2048  # of an uploaded image, as the service documents
# A file of kilobytes may expand to gigabytes of pixels.
_MAX_PIXELS = 8192 * 8192
_PILLOW_NAMES = {"JPG": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}
# The exceptions that Pillow raises for damaged files, and for decompression bombs.
_DAMAGED = (
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
    """Decode base64, alone or in a data URI, with or without padding.

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
    """Return an image `factor` times as wide and high.

    If the result would be larger than 4096 px a side, the image is shrunk first, as in the service:
    the result of 2048² with factor 4 is made from 1024².

    Args:
        content: the file of the image, in any format that Pillow reads.
        factor: 2 or 4.
        output_format: ``JPG``, ``PNG`` or ``WEBP``.
        quality: 20 to 99; PNG ignores it.

    Raises:
        BadImageError: the file is not an image that can be read.
    """
    image = _resized(_opened(content), MAX_SIDE // factor)
    size = (image.width * factor, image.height * factor)
    return _encoded(image.resize(size, Image.Resampling.LANCZOS), output_format, quality)


def with_jitter(upscaler: UpscaleFunction, jitter: float) -> UpscaleFunction:
    """Return an upscaler whose results are a little brighter or darker, depending on the image.

    Args:
        upscaler: the original upscaler.
        jitter: the largest change: 0.02 for a brightness factor from 0.98 to 1.02.
    """

    def upscale_with_jitter(content: bytes, factor: int, output_format: str, quality: int) -> bytes:
        measure = int.from_bytes(hashlib.sha256(content).digest()[:4], "big") / 2**31 - 1
        with Image.open(BytesIO(upscaler(content, factor, "PNG", quality))) as result:
            changed = ImageEnhance.Brightness(result).enhance(1 + measure * jitter)
        return _encoded(changed, output_format, quality)

    return upscale_with_jitter


def shrink(content: bytes) -> bytes:
    """Return an image as an upload is stored: a PNG of at most 2048 px a side.

    Raises:
        BadImageError: the file is not an image that can be read.
    """
    return _encoded(_resized(_opened(content), MAX_UPLOAD_SIDE), "PNG", 0)


def _opened(content: bytes) -> Image.Image:
    """Return the first frame, upright, as RGB, or as RGBA if it has transparency."""
    try:
        with Image.open(BytesIO(content)) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise BadImageError(f"the image has more than {_MAX_PIXELS} pixels")
            opened.load()
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):
                image = image.convert("I").point(lambda value: value / 256).convert("L")
            return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except _DAMAGED as error:
        raise BadImageError(f"the image cannot be read ({type(error).__name__})") from None


def _resized(image: Image.Image, limit: int) -> Image.Image:
    """Return an image, made to fit into a square of `limit`."""
    longest = max(image.size)
    if longest <= limit:
        return image
    width, height = (max(1, round(side * limit / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, output_format: str, quality: int) -> bytes:
    if output_format == "JPG" and image.mode == "RGBA":
        # JPG has no transparency: transparent pixels become white.
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    output = BytesIO()
    options = {} if output_format == "PNG" else {"quality": quality}
    image.save(output, _PILLOW_NAMES[output_format], **options)
    return output.getvalue()
