"""The images that the arguments of ``upscale`` name, and the names of their results.

A result is named after its image: ``photo.png`` gives ``photo.jpg``, or another suffix that fits
its content. Subfolders of a folder argument are kept: with ``holiday``, the image
``holiday/beach/sea.png`` gives ``beach/sea.jpg``. A second image of the same name gets a number:
``photo-2``. Names depend on the arguments only, never on the output folder, so the same command
writes the same files again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import unquote

from .errors import UsageError, one_line

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_URL = re.compile(r"https?://[^/?#]*(?P<path>[^?#]*)", re.I)
_OTHER_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_MAX_EXAMPLES = 3
_MAX_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image to upscale.

    Attributes:
        source: path or URL.
        output: path of the result, relative to the output folder. `UpscaleResult.save` replaces
            the suffix by the one that fits the content.
    """

    source: Path | str
    output: PurePath


@dataclass
class Skipped:
    """The files that a search skipped: for each reason their number and a few examples."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, source: Path | str, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _MAX_EXAMPLES:
            examples.append(one_line(source))

    def messages(self) -> Iterator[str]:
        """Yield one line for each reason."""
        for reason, count in self.counts.items():
            examples = self.examples[reason]
            more = f" and {count - len(examples)} more" if count > len(examples) else ""
            yield f"skipped {', '.join(examples)}{more} ({reason})"


class ImageFinder:
    """Find the images that the arguments name.

    Every search reads the folders again, instead of keeping a list of all images in memory.

    Args:
        arguments: files, folders and URLs.
        out: the output folder. Images in it are skipped.
        recursive: search subfolders, too.

    Raises:
        UsageError: an argument does not exist, or is inside the output folder.
    """

    def __init__(self, arguments: Iterable[str], out: Path, recursive: bool) -> None:
        self._out = out.resolve()
        self._recursive = recursive
        self._arguments = [one if _URL.match(one) else self._path(one) for one in arguments]

    def find(self, skipped: Skipped | None = None) -> Iterator[InputImage]:
        """Yield each image once, in the order of the arguments and, in a folder, of the names."""
        search = _Search(self._out, self._recursive, skipped or Skipped())
        names: set[str] = set()
        for argument in self._arguments:
            for source, name in search.images(argument):
                yield InputImage(source, _unique(name, names))

    def survey(self) -> tuple[int, Skipped]:
        """Return the number of images, and the files that are skipped."""
        skipped = Skipped()
        return sum(1 for _ in self.find(skipped)), skipped

    def _path(self, argument: str) -> Path:
        if not argument:  # Path("") would be the current folder
            raise UsageError("IMAGES: an argument is empty; give a file, a folder or a URL")
        path = Path(argument)
        try:
            path.stat()
        except (OSError, ValueError) as error:
            raise UsageError(_unusable(argument, error)) from None
        if path.resolve().is_relative_to(self._out):
            raise UsageError(
                f"{one_line(path)} is inside the output folder, where its result could overwrite "
                "it; choose another folder with --out"
            )
        return path


@dataclass
class _Search:
    """One search. It finds each image once, though several arguments may lead to it."""

    out: Path
    recursive: bool
    skipped: Skipped
    visited: set[str] = field(default_factory=set)

    def images(self, argument: Path | str) -> Iterator[tuple[Path | str, PurePath]]:
        """Yield the images of an argument, each with the name of its result without a suffix."""
        if isinstance(argument, Path) and argument.is_dir():
            for path in self._in_folder(argument):
                yield path, path.relative_to(argument).with_suffix("")
        elif self._is_new(argument):
            yield argument, PurePath(_name_of(argument))

    def _in_folder(self, folder: Path) -> Iterator[Path]:
        """Yield the images of a folder, then those of its subfolders. Hidden files are ignored."""
        if not self._is_new(folder):
            return
        try:
            with os.scandir(folder) as entries:
                visible = sorted((one for one in entries if one.name[0] != "."), key=_name)
        except OSError as error:
            self.skipped.add(folder, f"cannot be read: {error.strerror}")
            return
        subfolders: list[Path] = []
        for entry in visible:
            path = folder / entry.name
            if _holds(entry.is_dir):
                subfolders.append(path)
            elif path.suffix.lower() not in SUFFIXES or not _holds(entry.is_file):
                self.skipped.add(path, "not a JPG, PNG or WEBP file")
            elif self._is_new(path):
                yield path
        for path in filter(self._is_searched, subfolders):
            yield from self._in_folder(path)

    def _is_searched(self, folder: Path) -> bool:
        if folder.resolve() == self.out:
            self.skipped.add(folder, "the output folder")
        elif not self.recursive:
            self.skipped.add(folder, "a subfolder; --recursive includes it")
        elif folder.is_symlink():
            self.skipped.add(folder, "a link to a folder")  # it may lead back here
        else:
            return True
        return False

    def _is_new(self, source: Path | str) -> bool:
        key = source if isinstance(source, str) else absolute_path(source)
        if key in self.visited:
            self.skipped.add(source, "given twice")
            return False
        self.visited.add(key)
        return True


def absolute_path(path: Path) -> str:
    """Return the absolute path without following links."""
    return os.path.abspath(path)  # noqa: PTH100  # resolve() would follow links


def _unusable(argument: str, error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    remedy = "give an existing file, a folder or a URL"
    if _OTHER_URL.match(argument):
        reason, remedy = "not an http:// or https:// URL", "the service fetches no others"
    return f"{one_line(argument)[:_MAX_NAME_LENGTH]}: {reason}; {remedy}"


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except OSError:  # for example, a link to itself
        return False


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _name_of(source: Path | str) -> str:
    """Return the name of an image without its suffix. For a URL it is valid on every system."""
    if isinstance(source, Path):
        return source.stem
    match = _URL.match(source)
    path = unquote(match["path"]) if match else ""
    plain = re.sub(r"[^\w.,+@=() -]", "_", PurePath(path.rstrip("/").rpartition("/")[2]).stem)
    return plain.strip(" .")[:_MAX_NAME_LENGTH] or "image"


def _unique(name: PurePath, taken: set[str]) -> PurePath:
    """Return `name` with the suffix .jpg, and with a number if another image has the name."""
    number, unique = 1, name
    while (key := str(unique).casefold()) in taken:  # some file systems ignore case
        number += 1
        unique = name.with_name(f"{name.name}-{number}")
    taken.add(key)
    return unique.with_name(unique.name + ".jpg")
