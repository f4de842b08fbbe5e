"""Save results of `RunwareClient.upscale_many` into a folder while other tasks are in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path, PurePath
from tempfile import TemporaryFile
from typing import Generic, TypeVar
from uuid import UUID

from .errors import InputError, RunwareError, SaveError
from .protocol.request import is_uuid4
from .results import UpscaleResult
from .runtime.concurrency import Background, run_in_thread
from .runtime.content import without_image_suffix
from .runtime.files import (
    MAX_NAME_BYTES,
    NameTemplate,
    check_file_name,
    name_in_url,
    valid_name,
)

T = TypeVar("T")
Done = Callable[[Path | RunwareError], None]

_DEFAULT_NAME = "{stem}"
_FIELDS = {"stem": "photo", "factor": 4, "number": 1}
_REMEDY = 'pass a template such as "{stem}-{number}", or a function that returns a name'
_MAX_WORKERS = 32


def saver_for(
    folder: object, name: str | Callable[[T], str] | None, factor: int | None
) -> Saver[T] | None:
    """Return an object that saves results into a folder, or None if there is no folder.

    Raises:
        InputError: an argument is wrong.
    """
    if folder is None:
        if name is not None:
            raise InputError("name", "is given without save_to", "pass save_to=… too")
        return None
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise InputError("save_to", "is not the path of a folder", "pass a path")
    return Saver(Path(folder), Names(_DEFAULT_NAME if name is None else name, factor))


class Names(Generic[T]):
    """Names for the files of results. Each name is used once.

    Args:
        name: a template with the fields ``stem``, ``factor`` and ``number``, or a function that
            returns the name for an image.
        factor: the value of ``factor``.

    Raises:
        InputError: the name is neither a valid template nor a function.
    """

    def __init__(self, name: str | Callable[[T], str], factor: int | None) -> None:
        if isinstance(name, str):
            template = NameTemplate(name, _FIELDS)
            if "factor" in template.fields and factor is None:
                raise _wrong("has {factor}, and upscale_factor is None")
            self._make: Callable[[T, int], str] = lambda source, number: template.fill(
                stem=_stem(source) or f"image-{number}", factor=factor, number=number
            )
        elif callable(name):
            self._make = lambda source, _: name(source)
        else:
            raise _wrong(f"is of type {type(name).__name__}")
        self._numbers = count(1)
        self._given: set[str] = set()

    def name_of(self, source: T) -> str:
        """Return the name for an image. It may lack a suffix, and may contain folders.

        Raises:
            InputError: it leads out of the folder, cannot be the name of a file, or is used for
                another image.
        """
        name = self._make(source, next(self._numbers))
        check_file_name(name, _REMEDY)
        # Some file systems ignore case, and would take both names for the same file.
        key = str(without_image_suffix(PurePath(name))).casefold()
        if key in self._given:
            raise _wrong(f"{name!r} is already the name of another image")
        self._given.add(key)
        return name


def _wrong(problem: str) -> InputError:
    return InputError("name", problem, _REMEDY)


def _stem(source: object) -> str:
    """Return the stem of an image's name as a valid file name; "" if it has no name."""
    text = ""
    if isinstance(source, PurePath):
        text = source.stem
    elif isinstance(source, UUID) or (isinstance(source, str) and is_uuid4(source)):
        text = str(source)
    elif isinstance(source, str):
        text = PurePath(name_in_url(source)).stem
    elif isinstance(name := getattr(source, "name", None), str):  # an open file
        text = PurePath(name).stem
    stem = valid_name(text).encode(errors="replace")
    return stem[: MAX_NAME_BYTES // 2].decode(errors="ignore")


class Saver(Generic[T]):
    """Saves results into a folder, up to a fixed number at once.

    Args:
        folder: the folder.
        names: the names of the files.
    """

    def __init__(self, folder: Path, names: Names[T]) -> None:
        self.names = names
        self._folder = folder
        self._queue: deque[tuple[UpscaleResult, str, Done]] = deque()
        self._workers: set[Background] = set()

    async def prepare(self) -> None:
        """Create the folder if it is missing, and check that it can be written to.

        Raises:
            InputError: it cannot be created or written to.
        """
        await run_in_thread(_try_folder, self._folder)

    def start(self, result: UpscaleResult, name: str, done: Done) -> None:
        """Queue a result for saving. `done` is called with its path or with the error."""
        self._queue.append((result, name, done))
        if len(self._workers) < _MAX_WORKERS:
            worker = Background(lambda: self._work(worker), "runware_ws save")
            self._workers.add(worker)

    def cancel(self) -> None:
        """Stop saving. Results that are not saved yet are not acknowledged."""
        self._queue.clear()
        for worker in self._workers:
            worker.cancel()

    async def _work(self, worker: Background) -> None:
        try:
            while self._queue:
                result, name, done = self._queue.popleft()
                done(await self._save(result, name))
        finally:
            self._workers.discard(worker)

    async def _save(self, result: UpscaleResult, name: str) -> Path | RunwareError:
        path = self._folder / name
        try:
            return await result.save(path)
        except RunwareError as error:
            return error
        except OSError as error:
            return SaveError(str(path), error.strerror or str(error))


def _try_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "save_to", f"{folder} cannot be written to: {reason}", "pass another folder"
        ) from None
