"""The plan of a run: the images to upscale, those done already, and problems and warnings.

It is made before anything is sent, so that mistakes which can be found beforehand cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import anyio.to_thread

from ..errors import InputError
from ..pictures import Picture, picture_of
from ..protocol.request import DOCUMENTED_PRICE, MAX_SIDE
from .errors import UsageError
from .inputs import ImageFinder, InputImage, Tally
from .record import FolderRecord, PathState, ResultOrigin, content_of, result_options

_BATCH_SIZE = 16  # a file of 10 MB takes about 10 ms
_HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Planned:
    """An image in a plan.

    Attributes:
        image: the image.
        picture: its properties, or None.
        state: the state of the path of its result.
    """

    image: InputImage
    picture: Picture | None = None
    state: PathState = field(default_factory=partial(PathState, "free"))

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self.picture is None else self.picture.size

    def is_in_conflict(self, redo_outdated: bool) -> bool:
        """Return True if its result would overwrite a file that may be wanted."""
        harmless = ("free", "outdated") if redo_outdated else ("free",)
        return self.state.kind not in harmless


@dataclass(slots=True)
class Plan:
    """The plan of a run.

    Attributes:
        factor: the factor that is asked for.
        todo: the images to upscale.
        kept: number of images whose results are there.
        declined: number of images that the user skips because of other files.
        unusable: inputs that cannot be images, or whose results cannot be written, each with the
            error.
        skipped: files that the search skipped.
        price: estimated cost of an image in US dollars.
        price_known: whether the price is that of an earlier result, not of the documentation.
    """

    factor: int
    todo: list[Planned] = field(default_factory=list)
    kept: int = 0
    declined: int = 0
    unusable: list[tuple[InputImage, InputError]] = field(default_factory=list)
    skipped: Tally = field(default_factory=Tally)
    price: float = DOCUMENTED_PRICE
    price_known: bool = False

    @property
    def total(self) -> int:
        return len(self.todo) + self.kept + self.declined + len(self.unusable)

    @property
    def cost(self) -> float:
        """Estimated cost in US dollars."""
        return len(self.todo) * self.price

    def keep_done(self) -> None:
        """Leave out the images whose results are there."""
        rest = [one for one in self.todo if one.state.kind != "done"]
        self.kept += len(self.todo) - len(rest)
        self.todo = rest

    def keep_all(self, *, redo_outdated: bool) -> None:
        """Leave out the images whose results are there, and those in `conflicts`."""
        self.keep_done()
        rest = [one for one in self.todo if not one.is_in_conflict(redo_outdated)]
        self.declined += len(self.todo) - len(rest)
        self.todo = rest

    def conflicts(self, *, redo_outdated: bool) -> Tally:
        """Return the files that would be overwritten, each with a description of it.

        Args:
            redo_outdated: leave out results whose inputs have changed.
        """
        tally = Tally()
        for one in self.todo:
            if one.is_in_conflict(redo_outdated):
                tally.add(one.image.output, one.state.reason)
        return tally

    def warnings(self) -> Iterator[str]:
        """Yield one line for each property of the results that a user may not expect."""
        tally = Tally()
        for one in self.todo:
            for text in _warnings(one, self.factor):
                tally.add(one.image.source, text)
        yield from tally.lines("warning: {number}: {reason}: {names}")


async def make_plan(
    finder: ImageFinder, record: FolderRecord, options: Mapping[str, Any], service: str
) -> Plan:
    """Return the plan of a run.

    Raises:
        UsageError: there is no image, or two results would have one name.
    """
    plan = Plan(options["upscale_factor"])
    images = finder.find(plan.skipped)
    add_some = partial(_add, plan, record, options, service)
    # In a thread, because a folder may be large or on another machine.
    while await anyio.to_thread.run_sync(add_some, images):
        pass
    if not plan.total:
        raise UsageError(
            "IMAGES: no image found; give JPG, PNG or WEBP files, folders with some, or URLs"
        )
    if plan.todo:
        options = result_options(task_options(options, plan.todo[0].image))
        price = record.price(options, service)
        if price is not None:
            plan.price, plan.price_known = price, True
    return plan


def task_options(options: Mapping[str, Any], image: InputImage) -> dict[str, Any]:
    """Return the options of the task of an image."""
    return {**options, "output_format": image.format}


def origin_of(image: InputImage, options: Mapping[str, Any], service: str) -> ResultOrigin:
    """Return the origin of the result of an image. It blocks: the file is read.

    Raises:
        OSError: the file cannot be read.
    """
    return ResultOrigin(
        content_of(image.source), result_options(task_options(options, image)), service
    )


def _add(
    plan: Plan,
    record: FolderRecord,
    options: Mapping[str, Any],
    service: str,
    images: Iterator[InputImage],
) -> bool:
    """Add the next images to a plan. Return False at the end."""
    some = list(islice(images, _BATCH_SIZE))
    for image in some:
        try:
            _check(image)
            origin = partial(origin_of, image, options, service)
            state = _state_of(record, image, origin)
        except InputError as error:
            plan.unusable.append((image, error))
        else:
            picture = None if isinstance(image.source, str) else picture_of(image.source)
            plan.todo.append(Planned(image, picture, state))
    return bool(some)


def _check(image: InputImage) -> None:
    """Raise InputError if a file cannot be an image."""
    if isinstance(image.source, str):
        return
    try:
        problem = file_problem(image.source)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    if problem:
        raise InputError("image", problem, "give an image file")


def file_problem(path: Path) -> str:
    """Return the reason why a file cannot be an image; "" if it may be one.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "is empty"
    if b"\0" not in head and _is_text(head):
        return "is a text file, not an image"
    return ""


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and len(head) == _HEAD_BYTES  # cut in a character
    return True


def _state_of(
    record: FolderRecord, image: InputImage, origin: Callable[[], ResultOrigin]
) -> PathState:
    try:
        return record.state_of(image.output, image.source, origin)
    except OSError as error:
        problem = f"its result {image.output} cannot be written: {error.strerror}"
        raise InputError("image", problem, "choose another --out or --name") from None


def _warnings(one: Planned, factor: int) -> Iterator[str]:
    picture = one.picture
    if picture is None:
        return
    if max(picture.size) * factor > MAX_SIDE:
        yield (
            f"the result is smaller than asked, as Runware makes at most {MAX_SIDE} pixels a side "
            "(runware-ws large makes any size)"
        )
    if picture.has_alpha and one.image.format == "JPG":
        yield "transparency is lost in JPG (--format same keeps it)"
    if picture.is_animated:
        yield "of an animation only the first frame is upscaled"
    if picture.is_turned:
        yield "the EXIF orientation is applied, so the result is upright without it"
