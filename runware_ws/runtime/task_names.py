"""The taskUUIDs of a new task."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from ..errors import InputError
from ..idempotency import CONTENT, check_idempotency_key, content_key, uuids_of
from ..inputs import Source
from ..options import RequestTemplate, check_task_uuid, new_uuid
from ..protocol.secret import Secret
from ..protocol.wire import with_uuid
from .concurrency import run_off_loop


class TaskNames:
    """The taskUUID of a new task: the caller's, a generated one, or one derived from a key.

    Attributes:
        uuid: the UUID; one that is derived from the content is known only after `complete`.
        follow_content: whether the UUID is derived from the content of the image.
        uuid_of_attempt: see `Task`.

    Args:
        given: the caller's UUID, or None.
        key: the caller's idempotency key, or None.
        template: the options of the task.
        account: the API key.

    Raises:
        InputError: the UUID or the key is wrong, or both are given.
    """

    def __init__(
        self,
        given: str | UUID | None,
        key: str | None,
        template: RequestTemplate,
        account: Secret,
    ) -> None:
        if given is not None and key is not None:
            raise InputError(
                "idempotency_key", "is given together with task_uuid", "pass one of them"
            )
        if key is not None:
            check_idempotency_key(key)
        self._template = template
        self._account = account
        self.follow_content = key == CONTENT
        self.uuid_of_attempt: Callable[[int], str] | None = None
        self.uuid = new_uuid() if given is None else check_task_uuid(given)
        if key is not None and not self.follow_content:
            self._follow_from(key)

    def check(self, source: Source) -> None:
        """Raise InputError if the UUID is derived from the content, and that is unknown here."""
        if self.follow_content and not source.has_content:
            remedy = "pass a key of your own: a URL or UUID has no content to follow from"
            raise InputError("idempotency_key", "is 'content'", remedy)

    async def complete(
        self, payload: bytes | bytearray, before: int, after: int
    ) -> bytes | bytearray:
        """Return a request with the UUID that is derived from its image, if it is."""
        if not self.follow_content:
            return payload
        encoded = memoryview(payload)[before : len(payload) - after]
        key = await run_off_loop(content_key, encoded, len(encoded))
        old = self.uuid
        self._follow_from(key)
        return with_uuid(payload, old, self.uuid)

    def _follow_from(self, key: str) -> None:
        self.uuid_of_attempt = uuids_of(key, self._template, self._account.reveal())
        self.uuid = self.uuid_of_attempt(1)
