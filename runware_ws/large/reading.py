"""Read a picture in strips from top to bottom, with pyvips if it is installed, else with Pillow.

Both return the same picture: upright (the EXIF orientation is applied, and the tag removed), with
8 bits a channel (16 are reduced to the upper 8, because the service makes 8), grey or RGB, each
with or without transparency. Palettes become RGB; CMYK becomes RGB, without its ICC profile. Any
other ICC profile and the resolution are kept. Other metadata are not kept.

Pillow holds the whole picture in memory. libvips decodes line by line, and frees the lines that
were read. But it decodes some pictures as a whole: those that EXIF turns or flips upside down (up
to 100 MB of pixels in memory, more in a temporary file), progressive JPEG, interlaced PNG, WebP,
HEIC and AVIF (all in memory).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Protocol

from PIL import Image, ImageOps

from ..errors import InputError

LargeInput = Path | bytes | bytearray | memoryview | IO[bytes]

_STEP = 16  # lines that are read at once; with more, libvips holds more of them
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by the number of channels
_MILLIMETRES = 25.4  # of an inch


@dataclass(frozen=True, slots=True)
class KeptProperties:
    """The properties of a picture that are kept in its result.

    Attributes:
        mode: mode as in Pillow: ``L``, ``LA``, ``RGB`` or ``RGBA``.
        profile: the ICC profile, or None.
        resolution: dots per inch, horizontally and vertically; or None.
    """

    mode: str
    profile: bytes | None = None
    resolution: tuple[float, float] | None = None


class OpenPicture(Protocol):
    """A picture that is open for reading.

    Attributes:
        size: width and height in pixels.
        properties: the properties that are kept in its result.
    """

    size: tuple[int, int]
    properties: KeptProperties

    def strips(self, rows: Sequence[tuple[int, int]]) -> Iterator[Image.Image]:
        """Read the picture from its beginning, and yield strips of its full width.

        Args:
            rows: the first line of each strip, and the line after its last. Strips may overlap.

        Raises:
            InputError: the picture cannot be read.
        """


def has_pyvips() -> bool:
    """Return whether pyvips and its library are installed."""
    try:
        import pyvips  # noqa: F401
    except (ImportError, OSError):  # the library itself is missing
        return False
    return True


def open_picture(source: LargeInput) -> OpenPicture:
    """Open a picture. It blocks.

    Raises:
        InputError: it cannot be read, or its kind is not supported.
    """
    content = _content_of(source)
    return _VipsPicture(content) if has_pyvips() else _PillowPicture(content)


def _content_of(source: Any) -> Path | bytes:
    if isinstance(source, Path):
        if not source.is_file():
            raise InputError("image", f"{str(source)!r} is not a file", "pass the path of an image")
        return source
    if hasattr(source, "read"):
        source = source.read()
    if not isinstance(source, bytes | bytearray | memoryview):
        problem = f"is of type {type(source).__name__}"
        raise InputError("image", problem, "pass a pathlib.Path, bytes or a binary file")
    return bytes(source)


class _PillowPicture:
    """A picture that is held in memory as a whole."""

    def __init__(self, source: Path | bytes) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as opened:
                    resolution = opened.info.get("dpi")
                    self._image, profile = _converted(ImageOps.exif_transpose(opened))
        except Image.DecompressionBombError as error:
            remedy = 'pip install "runware-ws[large]", which reads it in strips'
            raise InputError("image", f"is too large for Pillow ({error})", remedy) from None
        except (OSError, ValueError, SyntaxError) as error:
            raise _unreadable(error) from None
        self.size = self._image.size
        if resolution is not None:
            resolution = (float(resolution[0]), float(resolution[1]))
        self.properties = KeptProperties(self._image.mode, profile, resolution)

    def strips(self, rows: Sequence[tuple[int, int]]) -> Iterator[Image.Image]:
        for top, bottom in rows:
            yield self._image.crop((0, top, self.size[0], bottom))


def _converted(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    profile: bytes | None = image.info.get("icc_profile")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return image.convert("RGB"), None
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L"), profile
    if image.mode == "F":
        raise InputError("image", "has floating-point pixels", "convert it to 8 or 16 bits first")
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        mode += "A"
    return image.convert(mode), profile


class _VipsPicture:
    """A picture that is read in strips."""

    def __init__(self, source: Path | bytes) -> None:
        self._source = source
        image, self.properties = self._opened()
        self.size: tuple[int, int] = (image.width, image.height)

    def strips(self, rows: Sequence[tuple[int, int]]) -> Iterator[Image.Image]:
        import pyvips

        width = self.size[0]
        image, properties = self._opened()
        region = pyvips.Region.new(image)  # it reads in order; an operation's threads may not
        done = 0  # lines that were read; none of them can be read again
        kept = Image.new(properties.mode, (width, 0))  # the lines that the next strip shares
        for (top, bottom), following in zip(rows, [*rows[1:], rows[-1]], strict=True):
            strip = Image.new(properties.mode, (width, bottom - top))
            strip.paste(kept)
            try:
                for y in range(done, bottom, _STEP):
                    size = (width, min(_STEP, bottom - y))
                    pixels = bytes(region.fetch(0, y, *size))
                    strip.paste(Image.frombytes(properties.mode, size, pixels), (0, y - top))
            except pyvips.Error as error:
                raise _unreadable(error) from None
            done = bottom
            kept = strip.crop((0, following[0] - top, width, strip.height))
            yield strip
            del strip

    def _opened(self) -> tuple[Any, KeptProperties]:
        """Open the picture at its beginning."""
        import pyvips

        try:
            image = self._loaded(access="sequential")
            orientation = image.get("orientation") if "orientation" in image.get_fields() else 1
            if orientation not in (0, 1, 2):  # 0 is unknown, 2 mirrored from left to right
                image = self._loaded()
            return _converted_by_vips(image if orientation == 1 else image.autorot())
        except pyvips.Error as error:
            raise _unreadable(error) from None

    def _loaded(self, **options: str) -> Any:
        import pyvips

        if isinstance(self._source, bytes):
            return pyvips.Image.new_from_buffer(self._source, "", **options)
        # libvips caches the files that it has read by their names.
        return pyvips.Image.new_from_file(str(self._source), revalidate=True, **options)


def _converted_by_vips(image: Any) -> tuple[Any, KeptProperties]:
    if image.format not in ("uchar", "ushort"):
        raise InputError("image", f"has pixels of {image.format}", "convert it to 8 bits first")
    profile = image.get("icc-profile-data") if "icc-profile-data" in image.get_fields() else None
    resolution = None
    if (image.xres, image.yres) != (1.0, 1.0):  # which libvips has where none is known
        resolution = (image.xres * _MILLIMETRES, image.yres * _MILLIMETRES)
    if image.interpretation == "cmyk":
        profile = None
    is_grey = image.bands < 3
    if image.format == "ushort":
        image = image.cast("uchar", shift=True).copy(interpretation="b-w" if is_grey else "srgb")
    elif image.interpretation != ("b-w" if is_grey else "srgb"):
        image = image.colourspace("b-w" if is_grey else "srgb")
    return image, KeptProperties(_MODES[image.bands], profile, resolution)


def _unreadable(error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
    return InputError("image", f"cannot be read: {reason[0]}", "pass an image file")
