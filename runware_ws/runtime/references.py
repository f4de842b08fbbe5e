"""Inputs that the service has already, so that they can be sent by reference."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..errors import TaskError
from ..journal.origin import digest
from ..protocol.request import is_uuid
from ..protocol.wire import encode_text
from ..results import UpscaleResult
from .concurrency import run_off_loop

if TYPE_CHECKING:
    from .submission import Submission

Payload = bytes | bytearray
_MAX_REFERENCES = 256


class Reuse(NamedTuple):
    """The input of a task that may be reused.

    Attributes:
        content: hash of the image.
        inline: see `Task`.
    """

    content: str
    inline: Callable[[], Payload] | None = None


class References:
    """The UUIDs of recently used inputs at the service, by the hashes of their contents."""

    def __init__(self) -> None:
        self._uuids: OrderedDict[str, str] = OrderedDict()

    async def shorten(self, request: Payload, before: int, after: int) -> tuple[Payload, Reuse]:
        """Return a request with its image by reference, if the service has the image.

        Args:
            request: the request.
            before, after: number of bytes before and after the image.
        """
        end = len(request) - after
        content = await run_off_loop(digest, memoryview(request)[before:end], end - before)
        if (uuid := self._uuids.get(content)) is None:
            return request, Reuse(content)
        short = b"".join((request[:before], encode_text(uuid), request[end:]))
        return short, Reuse(content, partial(self._give_up, content, request))

    def _give_up(self, content: str, request: Payload) -> Payload:
        self._uuids.pop(content, None)
        return request

    def settled(self, submission: Submission) -> None:
        """Store the reference from the outcome of a task, and release its image."""
        content, submission.content, submission.inline = submission.content, "", None
        outcome = submission.outcome
        if isinstance(outcome, TaskError):  # perhaps because of the reference
            self._uuids.pop(content, None)
        if not isinstance(outcome, UpscaleResult):
            return
        uuid = outcome.input_image_uuid
        if uuid is not None and is_uuid(uuid):
            self._uuids[content] = uuid
            self._uuids.move_to_end(content)
            if len(self._uuids) > _MAX_REFERENCES:
                self._uuids.popitem(last=False)
