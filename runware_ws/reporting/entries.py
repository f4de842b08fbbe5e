"""One image in a report, with its pictures, links and numbers."""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..batch import Outcome
from ..errors import ProtocolError, RunwareError
from ..pictures import is_array, is_pillow_image, png_of, thumbnail_of
from ..protocol.request import is_url
from ..results import UpscaleResult

ReportImage = Path | bytes | str | None
"""A file, its content, its URL, or nothing."""

_SIDE = 320
_QUALITY = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEntry:
    """An image in a report.

    Attributes:
        name: the name to show.
        before, after: the image: a path, the content of a file, a URL, or None.
        error: the reason why it failed; "" if it did not.
        seconds: the time that it took, or None.
        cost: its cost in US dollars, or None.
        attempts: number of times that its task was run.
        task_uuid: UUID of its task, or None.
    """

    name: str
    before: ReportImage = field(default=None, repr=False)
    after: ReportImage = field(default=None, repr=False)
    error: str = ""
    seconds: float | None = None
    cost: float | None = None
    attempts: int = 1
    task_uuid: str | None = None

    def described(self, folder: Path) -> dict[str, Any]:
        """Return the entry as JSON values, for a page in a folder. It reads the pictures."""
        return {
            "name": self.name,
            "before": _described(self.before, folder),
            "after": _described(self.after, folder),
            "error": self.error,
            "seconds": self.seconds,
            "cost": self.cost,
            "attempts": self.attempts,
            "task": self.task_uuid,
        }


def entry_of(outcome: Outcome[Any], number: int) -> ReportEntry:
    """Return the entry for an outcome. The number is used for an image without a name."""
    before = _picture_of(outcome.source)
    result = outcome.result
    if result is None:
        return ReportEntry(
            name=_name_of(outcome, number),
            before=before,
            error=str(outcome.error),
            attempts=getattr(outcome.error, "attempts", 1),
            task_uuid=getattr(outcome.error, "task_uuid", None),
        )
    return ReportEntry(
        name=_name_of(outcome, number),
        before=before,
        after=outcome.path or _result_of(result),
        seconds=result.seconds,
        cost=result.cost,
        attempts=result.attempts,
        task_uuid=result.task_uuid,
    )


def _name_of(outcome: Outcome[Any], number: int) -> str:
    source = outcome.source
    if isinstance(source, Path):
        return source.name
    if isinstance(source, str) and is_url(source):
        return source
    return outcome.tag if isinstance(outcome.tag, str) else f"image {number}"


def _picture_of(source: Any) -> ReportImage:
    if isinstance(source, Path):
        return source
    if isinstance(source, str):
        return source if is_url(source) else _data_of(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if is_pillow_image(source) or is_array(source):
        with suppress(RunwareError):
            return png_of(source)
    return None


def _data_of(text: str) -> bytes | None:
    """Return the content of a data URI or of base64; None for any other text."""
    with suppress(ValueError):
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    return None


def _result_of(result: UpscaleResult) -> ReportImage:
    if result.saved_to is not None:
        return result.saved_to
    if result.image_url is not None:
        return result.image_url if is_url(result.image_url) else None
    with suppress(ProtocolError):
        return result.data
    return None


def _described(picture: ReportImage, folder: Path) -> dict[str, Any] | None:
    if picture is None:
        return None
    if isinstance(picture, str):
        return {"link": picture}
    described: dict[str, Any] = {}
    if isinstance(picture, Path):
        with suppress(OSError):
            described = {"bytes": picture.stat().st_size, "link": _link_to(picture, folder)}
    else:
        described = {"bytes": len(picture)}
    small = thumbnail_of(picture, _SIDE, "WEBP", _QUALITY)
    if small is not None:
        data = base64.b64encode(small.data).decode()
        described |= {"width": small.width, "height": small.height}
        described["thumbnail"] = f"data:image/webp;base64,{data}"
    return described


def _link_to(path: Path, folder: Path) -> str:
    """Return a link that still works if the page and the images are moved together."""
    try:
        relative = Path(os.path.relpath(path, folder))
    except ValueError:  # on another drive
        return path.absolute().as_uri()
    return quote(os.fsencode(relative.as_posix()))
