"""Describe the input of a task, so that the journal can keep it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..inputs import Image
from ..options import RequestTemplate
from ..protocol.tasks import Task

if TYPE_CHECKING:
    from .store import Journal


@dataclass(slots=True)
class Origin:
    """The origin of a task, as the journal keeps it.

    Attributes:
        row: its row in the journal; see `Journal.new_row`.
        request: the task as a frame, without its image if there is a `digest`; b"" once it is
            recorded.
        source: path or URL of the image, or None.
        digest: hash of the file at `source`; "" if the image is in `request`.
        tag: the caller's tag as JSON, or None.
        recorded_as: the taskUUID with which it is recorded; "" before that.
    """

    row: int
    request: bytes | bytearray = field(repr=False)
    source: str | None
    digest: str = ""
    tag: bytes | None = None
    recorded_as: str = ""


class Origins:
    """Makes the origins of new tasks.

    Args:
        journal: the journal that is to keep them.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def make(
        self, task: Task, image: Image, template: RequestTemplate, tag: bytes | None
    ) -> Origin:
        """Return the origin of a task that is encoded: a file by its path and hash."""
        row = self._journal.new_row()
        if not isinstance(image, Path):
            is_url = isinstance(image, str) and "://" in image[:8]
            return Origin(row, task.payload, str(image) if is_url else None, tag=tag)
        start = len(template.before_image(task.uuid)) + 1  # without the quotes
        encoded = memoryview(task.payload)[start : -len(template.tail) - 1]
        request = template.without_image(task.uuid)
        return Origin(row, request, str(image.absolute()), digest(encoded), tag)


def digest(image: bytes | bytearray | memoryview) -> str:
    """Return the SHA-256 of an encoded image in hexadecimal."""
    return hashlib.sha256(image).hexdigest()
