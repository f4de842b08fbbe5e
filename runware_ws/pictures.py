"""Convert Pillow images, numpy arrays and image files.

Neither library is imported to check the type of an object: before a library is imported, there are
no objects of its types. Files are written and read with Pillow, from the extra ``images``.
"""

from __future__ import annotations

import io
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .errors import InputError, MissingExtraError
from .protocol.request import MAX_SIDE

if TYPE_CHECKING:
    import PIL.Image


class PillowImage(Protocol):
    """A `PIL.Image.Image`."""

    @property
    def mode(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def getbands(self) -> tuple[str, ...]: ...


class Array(Protocol):
    """A `numpy.ndarray`."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


_CHANNELS = "pass rows x columns (grey) or rows x columns x 3 or 4 (RGB or RGBA)"
_WRITABLE = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
# The fastest level: the file is a tenth larger, and encoded in a third of the time.
_COMPRESSION = 1
_ORIENTATION = 0x0112  # in EXIF: 1 is upright, 2 to 8 are not; from 5 on, the sides are swapped


def is_pillow_image(value: object) -> bool:
    """Return whether a value is a Pillow image."""
    return _is_a(value, "PIL.Image", "Image")


def is_array(value: object) -> bool:
    """Return whether a value is a numpy array."""
    return _is_a(value, "numpy", "ndarray")


def _is_a(value: object, module: str, name: str) -> bool:
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(value, cls)


def check_pillow(need: str) -> None:
    """Raise MissingExtraError for this need unless Pillow is installed."""
    if find_spec("PIL") is None:
        raise MissingExtraError(need, "images")


def check_picture(picture: Any) -> int:
    """Check a Pillow image or a numpy array, and return the number of bytes of its pixels.

    Raises:
        InputError: it has no pixels, or the shape or type of the array is wrong.
        MissingExtraError: Pillow is not installed.
    """
    check_pillow("an array as an image")
    if is_pillow_image(picture):
        width, height = picture.size
        size = width * height * len(picture.getbands())
    else:
        _check_array(picture)
        size = picture.size
    if not size:
        raise InputError("image", "has no pixels", "pass an image of at least 1 x 1")
    return int(size)


def _check_array(array: Any) -> None:
    shape = "x".join(map(str, array.shape))
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError("image", f"is an array of shape {shape}", _CHANNELS)
    if array.dtype.name != "uint8":
        remedy = "pass one of uint8, with values from 0 to 255"
        raise InputError("image", f"is an array of {array.dtype.name}", remedy)


def png_of(picture: Any) -> bytes:
    """Return a checked Pillow image (upright by its EXIF data) or array as a PNG file. It blocks.

    Raises:
        InputError: its pixels cannot be read.
    """
    from PIL import Image, ImageOps

    output = io.BytesIO()
    try:
        image = Image.fromarray(picture) if is_array(picture) else ImageOps.exif_transpose(picture)
        if image.mode not in _WRITABLE:
            image = image.convert("RGBA" if "a" in image.mode.lower() else "RGB")
        image.save(output, "PNG", compress_level=_COMPRESSION)
    except (OSError, ValueError, SyntaxError) as error:  # for example, its file is cut off
        raise InputError("image", f"cannot be read: {error}", "pass an intact image") from None
    return output.getvalue()


def image_of(data: bytes) -> PIL.Image.Image:
    """Return the content of an image file as a Pillow image, decoded. It blocks.

    Raises:
        MissingExtraError: Pillow is not installed.
        OSError: it is not an image.
    """
    check_pillow("a result as a Pillow image")
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    image.load()
    return image


class Thumbnail(NamedTuple):
    """A small picture of an image.

    Attributes:
        width, height: size of the upright image in pixels.
        data: the small picture as an image file.
    """

    width: int
    height: int
    data: bytes


def thumbnail_of(file: bytes | Path, side: int, form: str, quality: int = 75) -> Thumbnail | None:
    """Return a small picture of an image file. It blocks.

    Args:
        file: the file, or its content.
        side: largest width and height of the small picture.
        form: its format, by the name in Pillow.
        quality: its compression quality, for formats that have one.

    Returns:
        None if Pillow is not installed or cannot read the file.
    """
    if find_spec("PIL") is None:
        return None
    from PIL import Image

    output = io.BytesIO()
    try:
        with Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
            width, height = _upright_size(image)
            small = _shrunk(image, side)
            small.save(output, form, quality=quality)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Thumbnail(width, height, output.getvalue())


class Picture(NamedTuple):
    """The properties of an image.

    Attributes:
        size: width and height of the upright image in pixels.
        has_alpha: whether it can be transparent.
        is_animated: whether it has several frames.
        is_turned: whether its EXIF orientation says that it is stored turned or mirrored.
    """

    size: tuple[int, int]
    has_alpha: bool = False
    is_animated: bool = False
    is_turned: bool = False


def picture_of(file: Path | bytes | bytearray | memoryview) -> Picture | None:
    """Return the properties of an image, from the header of its file. It blocks.

    Args:
        file: the path of the file, or its content.

    Returns:
        None if Pillow is not installed or cannot read the file.
    """
    if find_spec("PIL") is None:
        return None
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its size, for one
        try:
            with Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
                return Picture(
                    _upright_size(image),
                    has_alpha=image.has_transparency_data,
                    is_animated=getattr(image, "is_animated", False),
                    is_turned=_orientation(image) in range(2, 9),
                )
        except Exception:  # noqa: BLE001  # a broken file raises almost anything
            return None


def size_of(image: Any) -> tuple[int, int] | None:
    """Return width and height of an upright image in pixels. It blocks if the image is a file.

    Args:
        image: the path or the content of a file, a Pillow image or an array.

    Returns:
        None if the image is of another type; for files see also `picture_of`.
    """
    if is_array(image):
        return int(image.shape[1]), int(image.shape[0])
    if is_pillow_image(image):
        return _upright_size(image)
    if not isinstance(image, Path | bytes | bytearray | memoryview):
        return None
    picture = picture_of(image)
    return None if picture is None else picture.size


def result_size(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return the size of a result. The service shrinks an input whose result would be too large."""
    scale = factor * min(1.0, MAX_SIDE / (max(size) * factor))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def effective_scale(size: tuple[int, int], result: tuple[int, int]) -> float:
    """Return how many times wider and higher a result is than its image."""
    return round(max(result) / max(size), 4)


def _orientation(image: PIL.Image.Image) -> int:
    orientation: int = image.getexif().get(_ORIENTATION, 1)
    return orientation


def _upright_size(image: PIL.Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in range(5, 9) else (width, height)


def _shrunk(image: PIL.Image.Image, side: int) -> PIL.Image.Image:
    from PIL import ImageOps

    image.draft("RGB", (side, side))  # decodes a JPEG at a fraction of its size
    image.thumbnail((side, side))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return ImageOps.exif_transpose(image).convert(mode)
