"""Find the images that the arguments of ``upscale`` name.

The tree of a folder argument is kept: with ``holiday``, the result of ``holiday/beach/sea.jpg`` is
``beach/sea.jpg``. The names themselves are made in `runware_ws.cli.names`.
"""

from __future__ import annotations

import glob
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path, PurePath
from typing import TypeAlias

from ..runtime.files import NameTemplate
from .errors import UsageError, one_line
from .names import DEFAULT_NAME, FIELDS, FORMATS, absolute_path, format_of, is_url, result_name
from .summary import images

_OTHER_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_MAX_EXAMPLES = 3
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image to upscale.

    Attributes:
        source: path or URL.
        output: path of the result, relative to the output folder.
        format: format of the result.
    """

    source: Path | str
    output: PurePath
    format: str = "JPG"


@dataclass
class Tally:
    """Counts of inputs by the message about them, with a few examples of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[str]] = field(default_factory=partial(defaultdict, list))

    def add(self, source: Path | PurePath | str, reason: str) -> None:
        self.counts[reason] += 1
        if len(self.examples[reason]) < _MAX_EXAMPLES:
            self.examples[reason].append(one_line(source))

    def lines(self, form: str = "{names} ({reason})") -> Iterator[str]:
        """Yield one line for each reason, in a `form` of reason, number and names."""
        for reason, count in self.counts.items():
            examples = self.examples[reason]
            more = f" and {count - len(examples)} more" if count > len(examples) else ""
            names = ", ".join(examples) + more
            yield form.format(names=names, number=images(count), reason=reason)


@dataclass(frozen=True)
class _Pattern:
    """A pattern such as ``photos/*.png``, which the shell did not expand."""

    text: str

    def root(self) -> Path:
        """Return the folder before the first wildcard, from which the tree is kept."""
        parts = Path(self.text).parts
        plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
        return Path(*parts[:plain])


_Argument: TypeAlias = Path | _Pattern | str


class ImageFinder:
    """Find the images that the arguments name.

    Args:
        arguments: files, folders, patterns and URLs.
        out: the output folder. Images in it are skipped.
        recursive: also search subfolders.
        template: makes the names of results; see `runware_ws.cli.names`.
        factor: goes into the names.
        output_format: format of the results, in upper case; None for the service's default,
            ``SAME`` for that of each input.

    Raises:
        InputError: the template is not valid.
        UsageError: an argument does not exist, or is inside the output folder.
    """

    def __init__(
        self,
        arguments: Iterable[str],
        out: Path,
        recursive: bool = False,
        *,
        template: str = DEFAULT_NAME,
        factor: int = 4,
        output_format: str | None = None,
    ) -> None:
        self._out = out.resolve()
        self._recursive = recursive
        self._template = NameTemplate(template, FIELDS)
        self._factor = factor
        self._format = output_format
        self._arguments = [self._argument(one) for one in arguments]

    def find(self, skipped: Tally | None = None) -> Iterator[InputImage]:
        """Yield each image once, in the order of the arguments and, in a folder, of the names.

        Raises:
            UsageError: two results would have the same name.
        """
        search = _Search(self._out, self._recursive, Tally() if skipped is None else skipped)
        taken: dict[str, Path | str] = {}
        for argument in self._arguments:
            for source, folder in search.images(argument):
                image = self._image(source, folder)
                key = image.output.as_posix().casefold()  # some file systems ignore case
                if (other := taken.setdefault(key, source)) is not source:
                    raise UsageError(_collision(other, image))
                yield image

    def _image(self, source: Path | str, folder: PurePath) -> InputImage:
        output_format = format_of(source, self._format)
        name = result_name(source, self._template, self._factor, output_format)
        return InputImage(source, folder / name, output_format)

    def _argument(self, argument: str) -> _Argument:
        if is_url(argument):
            return argument
        if not argument:  # Path("") would be the current folder
            raise UsageError("IMAGES: an argument is empty; give a file, a folder or a URL")
        path = Path(argument)
        try:
            path.stat()
        except (OSError, ValueError) as error:
            if glob.has_magic(argument) and not _OTHER_URL.match(argument):
                return _Pattern(argument)
            raise UsageError(_unusable(argument, error)) from None
        if path.resolve().is_relative_to(self._out):
            raise UsageError(
                f"{one_line(path)} is inside the output folder, where its result could overwrite "
                "it; choose another folder with --out"
            )
        return path


@dataclass
class _Search:
    """One search. It finds each image once, even if several arguments lead to it."""

    out: Path
    recursive: bool
    skipped: Tally
    visited: set[str] = field(default_factory=set)

    def images(self, argument: _Argument) -> Iterator[tuple[Path | str, PurePath]]:
        """Yield the images of an argument, each with the folder of its result."""
        if isinstance(argument, _Pattern):
            for path in self._matching(argument):
                yield path, path.relative_to(argument.root()).parent
        elif isinstance(argument, Path) and argument.is_dir():
            for path in self._in_folder(argument):
                yield path, path.relative_to(argument).parent
        elif self._is_new(argument):
            yield argument, PurePath()

    def _matching(self, pattern: _Pattern) -> Iterator[Path]:
        """Yield the images that match a pattern, sorted by name."""
        files = [Path(one) for one in glob.glob(pattern.text, recursive=True)]  # noqa: PTH207
        files = [one for one in files if _holds(one.is_file)]
        if not files:
            raise UsageError(
                f"{one_line(pattern.text)}: no file matches; give files, folders or URLs"
            )
        for path in sorted(files):
            if path.resolve().is_relative_to(self.out):
                self.skipped.add(path, "in the output folder")
            elif self._is_image(path) and self._is_new(path):
                yield path

    def _in_folder(self, folder: Path) -> Iterator[Path]:
        """Yield the images of a folder, then those of its subfolders. Hidden files are ignored."""
        if not self._is_new(folder):
            return
        try:
            with os.scandir(folder) as entries:
                visible = sorted(
                    (one for one in entries if one.name[0] != "."), key=attrgetter("name")
                )
        except OSError as error:
            self.skipped.add(folder, f"cannot be read: {error.strerror}")
            return
        subfolders: list[Path] = []
        for entry in visible:
            path = folder / entry.name
            if _holds(entry.is_dir):
                subfolders.append(path)
            elif self._is_image(path) and self._is_new(path):
                yield path
        for path in filter(self._is_searched, subfolders):
            yield from self._in_folder(path)

    def _is_image(self, path: Path) -> bool:
        if path.suffix[1:].lower() in FORMATS and _holds(path.is_file):
            return True
        self.skipped.add(path, "not a JPG, PNG or WEBP file")
        return False

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


def listed(path: str) -> list[str]:
    """Return the arguments in a file, one per line or each followed by NUL; ``-`` is stdin.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"--files-from: {one_line(path)}: {error.strerror}; give a file, or - for stdin"
        ) from None
    text = os.fsdecode(content)
    lines = text.split("\0") if "\0" in text else text.replace("\r\n", "\n").split("\n")
    return [line for line in lines if line]


def _collision(other: Path | str, image: InputImage) -> str:
    remedy = "start the command for each with its own --out"
    if isinstance(image.source, Path):
        remedy = "use a --name such as '{parent}-{name}'"
    first, second = one_line(other), one_line(image.source)
    return f"{first} and {second} would both become {one_line(image.output)}; {remedy}"


def _unusable(argument: str, error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    remedy = "give an existing file, a folder or a URL"
    if _OTHER_URL.match(argument):
        reason, remedy = "not an http:// or https:// URL", "the service fetches no others"
    return f"{one_line(argument)[:_MAX_SHOWN]}: {reason}; {remedy}"


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except OSError:  # for example, a link to itself
        return False
