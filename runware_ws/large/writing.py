"""Write a picture part by part, with pyvips if it is installed, else with Pillow.

Pillow holds the whole picture in memory. With pyvips, the pixels are written to a temporary file
in the folder of the output. At the end, libvips reads that file from top to bottom and writes the
output, with only some lines of the picture in memory; but WebP is encoded as a whole. In both cases
the output is written atomically.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol
from uuid import uuid4

from PIL import Image

from ..errors import InputError, SaveError
from .reading import KeptProperties, has_pyvips
from .scratch import header
from .stitching import Box, Canvas

_FORMATS = {
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".dzi": "DZI",
}
_LONGEST = {"JPEG": 65_535, "WEBP": 16_383}  # pixels a side
_LINES = 128  # are packed for the file at once
_NEEDS_VIPS = 'pip install "runware-ws[large]"'


def check_output(output: Path, size: tuple[int, int]) -> None:
    """Check that a picture can be written.

    Raises:
        InputError: the format is unknown, or does not support a picture of this size.
    """
    form = _FORMATS.get(output.suffix.lower())
    if form is None:
        remedy = f"use one of {', '.join(_FORMATS)}"
        raise InputError("output", f"the suffix {output.suffix!r} is not known", remedy)
    if form == "DZI" and not has_pyvips():
        raise InputError("output", "DeepZoom needs pyvips", _NEEDS_VIPS)
    if max(size) > _LONGEST.get(form, max(size)):
        problem = f"{form} has at most {_LONGEST[form]} pixels a side, not {max(size)}"
        raise InputError("output", problem, "write .tif, .png or .dzi")


class Writer(Canvas, Protocol):
    """A picture that is being written. Its methods block.

    Attributes:
        folder: folder for temporary files.
    """

    folder: Path

    def finish(self) -> None:
        """Write the output. An existing file is replaced.

        Raises:
            SaveError: it cannot be written.
        """

    def discard(self) -> None:
        """Remove the temporary files."""


def writer_for(
    output: Path, size: tuple[int, int], properties: KeptProperties, quality: int
) -> Writer:
    """Return a writer for a picture.

    Args:
        output: the file; its suffix sets the format. A ``.dzi`` file comes with a folder.
        size: width and height in pixels.
        properties: the properties of the picture.
        quality: quality of JPEG and WebP, 1 to 100.

    Raises:
        SaveError: the folder of the output cannot be created or written to.
    """
    kind = _VipsWriter if has_pyvips() else _PillowWriter
    try:
        return kind(output, size, properties, quality)
    except OSError as error:
        raise SaveError(str(output), str(error)) from None


class _Base:
    def __init__(
        self, output: Path, size: tuple[int, int], properties: KeptProperties, quality: int
    ) -> None:
        self._output = output
        self._size = size
        self._properties = properties
        self._quality = quality
        self._form = _FORMATS[output.suffix.lower()]
        output.parent.mkdir(parents=True, exist_ok=True)
        # Always with the same name, so that the next run removes the files of a killed one.
        self.folder = output.with_name(f".{output.name}.unfinished")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _put_in_place(self) -> None:
        made = self.folder / self._output.name
        if self._form == "DZI":
            tiles = self._output.with_name(f"{self._output.stem}_files")
            if tiles.exists():
                shutil.rmtree(tiles)
            (self.folder / tiles.name).replace(tiles)
        made.replace(self._output)


class _PillowWriter(_Base):
    def __init__(
        self, output: Path, size: tuple[int, int], properties: KeptProperties, quality: int
    ) -> None:
        super().__init__(output, size, properties, quality)
        self._image = Image.new(properties.mode, size)

    def paint(self, image: Image.Image, box: Box, place: tuple[int, int]) -> None:
        self._image.paste(image.crop(box), place)

    def painted(self, box: Box) -> Image.Image:
        return self._image.crop(box)

    def finish(self) -> None:
        image = self._image
        if self._form == "JPEG" and image.mode.endswith("A"):
            image = _on_white(image)
        if self._form == "WEBP" and image.mode.startswith("L"):
            image = image.convert(image.mode.replace("L", "RGB"))
        options: dict[str, Any] = {"icc_profile": self._properties.profile}
        if self._properties.resolution is not None:
            options["dpi"] = self._properties.resolution
        if self._form in ("JPEG", "WEBP"):
            options["quality"] = self._quality
        if self._form == "TIFF":
            options.update(compression="tiff_adobe_deflate", big_tiff=True)
        try:
            image.save(self.folder / self._output.name, self._form, **options)
            self._put_in_place()
        except OSError as error:
            raise SaveError(str(self._output), str(error)) from None


def _on_white(image: Image.Image) -> Image.Image:
    ground = Image.new(image.mode.removesuffix("A"), image.size, "white")
    ground.paste(image.convert(ground.mode), mask=image.getchannel("A"))
    return ground


class _VipsWriter(_Base):
    def __init__(
        self, output: Path, size: tuple[int, int], properties: KeptProperties, quality: int
    ) -> None:
        super().__init__(output, size, properties, quality)
        # libvips caches the files that it has read by their names.
        self._pixels = self.folder / f"pixels-{uuid4().hex}.tif"
        self._file: IO[bytes] = self._pixels.open("x+b", buffering=0)
        self._bands = len(properties.mode)
        self._start = self._file.write(header(size, self._bands))

    def paint(self, image: Image.Image, box: Box, place: tuple[int, int]) -> None:
        left, top, right, bottom = box
        length = (right - left) * self._bands
        with self._save_errors():
            for begin in range(top, bottom, _LINES):
                lines = image.crop((left, begin, right, min(begin + _LINES, bottom)))
                pixels = memoryview(lines.tobytes())
                for line in range(lines.height):
                    self._seek(place[0], place[1] + begin - top + line)
                    _write(self._file, pixels[line * length : (line + 1) * length])

    def painted(self, box: Box) -> Image.Image:
        left, top, right, bottom = box
        pixels = bytearray()
        with self._save_errors():
            for line in range(top, bottom):
                self._seek(left, line)
                pixels += self._file.read((right - left) * self._bands)
        return Image.frombytes(self._properties.mode, (right - left, bottom - top), bytes(pixels))

    def _seek(self, x: int, y: int) -> None:
        self._file.seek(self._start + (y * self._size[0] + x) * self._bands)

    def finish(self) -> None:
        with self._save_errors():
            self._file.close()
            self._save(self._picture())
            self._put_in_place()

    @contextmanager
    def _save_errors(self) -> Iterator[None]:
        import pyvips

        try:
            yield
        except (OSError, ValueError, pyvips.Error) as error:
            raise SaveError(str(self._output), str(error).strip()) from None

    def discard(self) -> None:
        self._file.close()
        super().discard()

    def _picture(self) -> Any:
        import pyvips

        picture = pyvips.Image.tiffload(str(self._pixels), access="sequential")
        if self._properties.resolution is not None:
            across, down = (dots / 25.4 for dots in self._properties.resolution)
            picture = picture.copy(xres=across, yres=down)
        if self._properties.profile is not None:
            picture.set_type(pyvips.GValue.blob_type, "icc-profile-data", self._properties.profile)
        return picture

    def _save(self, picture: Any) -> None:
        made = str(self.folder / self._output.name)
        if self._form == "TIFF":
            picture.tiffsave(
                made,
                tile=True,
                bigtiff=True,
                compression="deflate",
                predictor="horizontal",
                resunit="inch",
            )
        elif self._form == "JPEG":
            picture.jpegsave(made, Q=self._quality, background=[255])
        elif self._form == "WEBP":
            picture.webpsave(made, Q=self._quality)
        elif self._form == "DZI":
            picture.dzsave(made.removesuffix(self._output.suffix))
        else:
            picture.pngsave(made)


def _write(file: IO[bytes], content: memoryview) -> None:
    while content:
        content = content[file.write(content) :]
