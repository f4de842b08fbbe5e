"""From the arguments of the command to images, and to the names of their results.

A result is named after its image: ``photo.png`` gives ``photo.jpg``, or whatever its content is.
Below a folder that was given, folders are kept: ``holiday/beach/sea.png`` gives ``beach/sea.jpg``.
A second image of the same name gets a number: ``photo-2``. So the names follow from the arguments
alone, never from what lies in the output folder: the same command makes the same files again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from .complaints import UsageError, in_one_line

__all__ = ["Picture", "Skipped", "Sources", "absolute"]

_Skip: TypeAlias = Callable[[Path | str, str], None]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})  # what the service reads [D]
_URL = re.compile(r"https?://", re.I)
_OTHER_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_EXAMPLES = 3
_MAX_NAME = 100  # characters of a name that a URL gives

NOT_AN_IMAGE = "not a JPG, PNG or WEBP"
A_FOLDER = "a folder; --recursive takes it in"
A_LINK = "a link to a folder"
GIVEN_TWICE = "given twice"
RESULTS = "the results lie there"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image to upscale.

    Attributes:
        image: a path or a URL; no two pictures have the same.
        name: where its result goes, below the output folder. Its ending is a stand-in, which
            `UpscaleResult.save` replaces by that of the content.
    """

    image: Path | str
    name: PurePath


@dataclass
class Skipped:
    """What was passed over, and why: a number and a few examples for each reason."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: Path | str, why: str) -> None:
        self.counts[why] = self.counts.get(why, 0) + 1
        examples = self.examples.setdefault(why, [])
        if len(examples) < _EXAMPLES:
            examples.append(in_one_line(what))

    def lines(self) -> list[str]:
        """One line for each reason."""
        return [f"skipped {self._named(why)} ({why})" for why in self.counts]

    def _named(self, why: str) -> str:
        more = self.counts[why] - len(self.examples[why])
        return ", ".join(self.examples[why]) + (f" and {more} more" if more else "")


class Sources:
    """The images that the arguments mean, found anew each time they are asked for.

    Args:
        arguments: files, folders and URLs.
        out: the output folder; nothing in it is an image to upscale.
        recursive: whether folders in folders are looked into.

    Raises:
        UsageError: an argument does not exist, or lies in the output folder.
    """

    def __init__(self, arguments: Iterable[str], out: Path, recursive: bool) -> None:
        self._recursive = recursive
        self._out = out.resolve()
        self._doubles: list[str] = []
        self._arguments = list(self._distinct(arguments))

    def pictures(self, skip: _Skip | None = None) -> Iterator[Picture]:
        """Every image, in the order of the arguments and of their names; `skip` hears of what is
        passed over, and why."""
        # The names, not the images: about 100 bytes for each.
        taken: set[str] = set()
        skip = skip or (lambda what, why: None)
        for double in self._doubles:
            skip(double, GIVEN_TWICE)
        for argument in self._arguments:
            for image, name in self._meant(argument, skip):
                yield Picture(image, _free(name, taken))

    def survey(self) -> tuple[int, Skipped]:
        """How many images there are, and what is passed over."""
        skipped = Skipped()
        return sum(1 for _ in self.pictures(skipped.add)), skipped

    # Arguments.

    def _distinct(self, arguments: Iterable[str]) -> Iterator[Path | str]:
        """The arguments, without those that would have an image upscaled, and paid for, twice."""
        given = [one if _URL.match(one) else self._existing(one) for one in arguments]
        folders = {absolute(one) for one in given if isinstance(one, Path) and one.is_dir()}
        seen: set[Path | str] = set()
        for one in given:
            key = absolute(one) if isinstance(one, Path) else one
            if key in seen or (isinstance(key, Path) and self._in_one_of(folders, key)):
                self._doubles.append(str(one))
            else:
                seen.add(key)
                yield one

    def _existing(self, argument: str) -> Path:
        if not argument:  # as a path, it would be the current folder with all that is in it
            raise UsageError("an image is given as an empty text; give a file, a folder or a URL")
        path = Path(argument)
        try:
            path.stat()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            if _OTHER_URL.match(argument):
                why = "the service fetches http:// and https:// URLs only"
            raise UsageError(f"{in_one_line(argument)[:_MAX_NAME]}: {why}") from None
        if path.resolve().is_relative_to(self._out):
            raise UsageError(
                f"{in_one_line(path)} lies in the output folder, where its result could "
                "overwrite it; choose another one with --out"
            )
        return path

    def _in_one_of(self, folders: set[Path], path: Path) -> bool:
        """Whether the search through the folders finds `path` as well."""
        if not path.is_dir() and path.suffix.lower() not in SUFFIXES:
            return False
        for parent in path.parents if not path.name.startswith(".") else ():
            if parent in folders:
                return self._recursive or (parent == path.parent and not path.is_dir())
            if parent.name.startswith("."):
                break
        return False

    def _meant(self, argument: Path | str, skip: _Skip) -> Iterator[tuple[Path | str, PurePath]]:
        if isinstance(argument, str):
            yield argument, PurePath(_name_in(argument))
        elif argument.is_dir():
            for path in self._in_folder(argument, skip):
                yield path, path.relative_to(argument).with_suffix("")
        else:
            yield argument, PurePath(argument.stem)

    # Folders.

    def _in_folder(self, folder: Path, skip: _Skip) -> Iterator[Path]:
        """The images of a folder, then those of the folders in it. Hidden ones are left alone."""
        try:
            with os.scandir(folder) as entries:
                visible = sorted((one for one in entries if one.name[0] != "."), key=_by_name)
        except OSError as error:
            skip(folder, f"cannot be read: {error.strerror}")
            return
        folders: list[Path] = []
        for entry in visible:
            path = folder / entry.name
            if entry.is_dir():
                folders.append(path)
            elif path.suffix.lower() in SUFFIXES and entry.is_file():
                yield path
            else:
                skip(path, NOT_AN_IMAGE)
        for path in folders:
            if why := self._why_not_into(path):
                skip(path, why)
            else:
                yield from self._in_folder(path, skip)

    def _why_not_into(self, folder: Path) -> str:
        if folder.resolve() == self._out:
            return RESULTS
        if not self._recursive:
            return A_FOLDER
        return A_LINK if folder.is_symlink() else ""  # it may lead in a circle


def _by_name(entry: os.DirEntry[str]) -> str:
    return entry.name


def absolute(path: Path) -> Path:
    """The path as it is written, so that links stay what they are in the folder that has them."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow links


def _name_in(url: str) -> str:
    """A file name for what a URL leads to: never a path, and nothing that a system refuses."""
    last = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    plain = re.sub(r"[^\w.,+@=() -]", "_", PurePath(last).stem)
    return plain.strip(" .")[:_MAX_NAME] or "image"


def _free(name: PurePath, taken: set[str]) -> PurePath:
    """`name`, with a number if need be, and with an ending. Some systems ignore upper case."""
    number, free = 1, name
    while (key := str(free).casefold()) in taken:
        number += 1
        free = name.with_name(f"{name.name}-{number}")
    taken.add(key)
    return free.with_name(free.name + ".jpg")
