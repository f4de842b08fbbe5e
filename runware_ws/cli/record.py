"""The record of an output folder: the input, the options and the service of each result.

It is a file in the folder with one line of JSON for each result. The line of a result is written
before its image. So an image with the hash in its line is complete, and belongs to the input in the
line. Any other file at that path does not count as a result. A line that was cut off by a crash is
ignored, and so is a line of a later version.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from errno import EEXIST, ENOENT
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import Any, Literal

from ..protocol.request import MEMBERS, MODEL
from .errors import OPTIONS, UsageError, one_line

RECORD_NAME = ".runware-ws.jsonl"
_VERSION = 1
# The options that determine the result.
_RESULT_OPTIONS = ("upscale_factor", "output_format", "output_quality")
_DEFAULTS = {member.name: member.default for member in MEMBERS}


@dataclass(frozen=True, slots=True)
class ResultOrigin:
    """The input, options and service of a result. Equal origins have equal results.

    Attributes:
        content: SHA-256 of the input file, or of the URL if the input is one.
        options: the options of the task and the model.
        service: host of the service; "emulator" for the emulator of ``--emulator``.
    """

    content: str
    options: Mapping[str, Any]
    service: str


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """A result.

    Attributes:
        output: path in the output folder, with slashes.
        source: path or URL of the input, to be shown; a URL without its query.
        origin: its origin.
        task_uuid: UUID of its task.
        cost: cost in US dollars, or None.
        sha256, size: hash and bytes of the file; None and 0 if the result was never saved.
    """

    output: str
    source: str
    origin: ResultOrigin
    task_uuid: str | None = None
    cost: float | None = None
    sha256: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class PathState:
    """The state of the path of a result.

    Attributes:
        kind: ``free``: there is no file that could be lost. ``done``: the wanted result is there.
            ``outdated``: it is there, but its input has changed since. ``taken``: another file is
            there.
        reason: a description of the file that is there, to be shown.
    """

    kind: Literal["free", "done", "outdated", "taken"]
    reason: str = ""


class FolderRecord:
    """The record of one output folder, which need not exist yet. Its methods block.

    Args:
        folder: the output folder.

    Attributes:
        unsaved: results that were, or may have been, paid for and never saved, by taskUUID.

    Raises:
        UsageError: the record cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / RECORD_NAME
        self._entries: dict[str, RecordedResult] = {}
        self._identity: tuple[int, int] | None = None
        self._read_bytes = 0
        self.unsaved: dict[str, RecordedResult] = {}
        self._read()

    def state_of(
        self, output: PurePath, source: Path | str, wanted: Callable[[], ResultOrigin]
    ) -> PathState:
        """Return the state of the path of a result.

        Args:
            output: the path, relative to the folder.
            source: path or URL of the input.
            wanted: returns the origin of the wanted result; called only if it is needed.

        Raises:
            OSError: no file can be written there, or the existing one cannot be read.
        """
        path = self._folder / output
        try:
            status = path.stat()
        except FileNotFoundError:
            return PathState("free")
        if not S_ISREG(status.st_mode):
            raise FileExistsError(EEXIST, "something that is not a file is there", str(path))
        if not status.st_size:
            return PathState("free")
        entry = self._entries.get(output.as_posix()) or self._found_late(output)
        if entry is None:
            return PathState("taken", "not a result of runware-ws")
        if status.st_size != entry.size or sha256_of(path) != entry.sha256:
            return PathState("taken", "changed since runware-ws wrote it")
        return _compared(entry, source, wanted())

    def _found_late(self, output: PurePath) -> RecordedResult | None:
        """Look for a result again: another run may be writing into the folder."""
        self._read()
        return self._entries.get(output.as_posix())

    def price(self, options: Mapping[str, Any], service: str) -> float | None:
        """Return the cost of the last result with these options at a service, if it is known."""
        for entry in reversed(self._entries.values()):
            if (entry.origin.options, entry.origin.service) == (options, service):
                return entry.cost
        return None

    def open(self) -> None:
        """Remember the identity of the folder, so that `add` notices if it vanishes.

        Raises:
            OSError: it does not exist, or the record cannot be written.
        """
        self._identity = self._look()
        self._append("")

    def add(self, entry: RecordedResult) -> None:
        """Write the line of a result.

        Raises:
            OSError: it cannot be written, or the folder has vanished.
        """
        if self._look() != self._identity:  # for example, another disk is mounted there
            raise FileNotFoundError(ENOENT, "the output folder has vanished", str(self._folder))
        line = {"version": _VERSION, **asdict(entry)}
        self._append(json.dumps(line, separators=(",", ":")) + "\n")
        self._take(entry)

    def _look(self) -> tuple[int, int]:
        status = self._folder.stat()
        return status.st_dev, status.st_ino

    def _append(self, line: str) -> None:
        with self._path.open("ab") as file:
            cut_off = file.tell() and self._last_byte() != b"\n"
            # In one call, so that the lines of two processes do not mix.
            file.write((b"\n" if cut_off else b"") + line.encode())

    def _last_byte(self) -> bytes:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1)

    def _take(self, entry: RecordedResult) -> None:
        uuid = entry.task_uuid or ""
        if entry.sha256 is None:
            self.unsaved[uuid] = entry
        else:
            self._entries.pop(entry.output, None)  # the last one is at the end
            self._entries[entry.output] = entry
            self.unsaved.pop(uuid, None)

    def _read(self) -> None:
        """Read the lines that were added since the last call."""
        try:
            if not S_ISREG(self._path.stat().st_mode):
                raise FileExistsError(EEXIST, "it is not a file")
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                text = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise UsageError(
                f"--out: {one_line(self._path)} cannot be read: {error.strerror}; "
                "choose another folder"
            ) from None
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.split(b"\n"):
            if (entry := _entry_of(line)) is not None:
                self._take(entry)


def result_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a task that determine its result, and the model."""
    options = {name: options.get(name) or _DEFAULTS[name] for name in _RESULT_OPTIONS}
    return {**options, "model": MODEL}


def content_of(source: Path | str) -> str:
    """Return the hash of an input file, or of the URL if the input is one. It blocks.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(source, Path):
        return sha256_of(source)
    return hash_of(source.encode())


def redacted(source: Path | str) -> str:
    """Return an input as the record names it. The query of a URL may be a secret."""
    if isinstance(source, Path):
        return str(source)
    scheme, _, rest = source.partition("://")
    place = rest.split("?")[0].split("#")[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def sha256_of(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of(data: bytes) -> str:
    """Return the hash of a file's content."""
    return hashlib.sha256(data).hexdigest()


def _compared(entry: RecordedResult, source: Path | str, wanted: ResultOrigin) -> PathState:
    there = entry.origin
    if there == wanted:
        return PathState("done", "up to date")
    if there.service != wanted.service:
        return PathState("taken", f"made by {there.service}, not by {wanted.service}")
    if there.options != wanted.options:
        return PathState("taken", "made with other options: " + _difference(there, wanted))
    if entry.source == redacted(source):
        return PathState("outdated", "its input has changed")
    return PathState("taken", "the result of another input")


def _difference(there: ResultOrigin, wanted: ResultOrigin) -> str:
    return ", ".join(
        f"{OPTIONS.get(name, name).removeprefix('--')} {value}"
        for name, value in there.options.items()
        if value != wanted.options.get(name)
    )


def entry_from(members: object) -> RecordedResult | None:
    """Return the entry with the members of a JSON object; None if they are not those of one."""
    if not isinstance(members, Mapping):
        return None
    try:
        origin = ResultOrigin(**members["origin"])
        entry = RecordedResult(**{**members, "origin": origin})
        PurePath(entry.output, entry.source)
        return entry
    except (TypeError, KeyError):
        return None


def _entry_of(line: bytes) -> RecordedResult | None:
    """Return the entry of a line; None if it is not one."""
    try:
        members = json.loads(line)
        known = members.pop("version") == _VERSION
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return entry_from(members) if known else None
