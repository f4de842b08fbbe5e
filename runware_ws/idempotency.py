"""TaskUUIDs derived from a key, so that all processes use the same UUID for the same task."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from uuid import UUID

from .errors import InputError
from .options import RequestTemplate

CONTENT = "content"


def check_idempotency_key(key: object) -> str | None:
    """Return a caller's key.

    Raises:
        InputError: it is not a string, or is empty.
    """
    if key is None:
        return None
    if not isinstance(key, str):
        problem = f"is of type {type(key).__name__}"
        raise InputError("idempotency_key", problem, "pass a str that names the job")
    if not key:
        raise InputError("idempotency_key", "is empty", "pass a str that names the job")
    return key


def content_key(encoded_image: bytes | bytearray | memoryview) -> str:
    """Return a key derived from the content of an image, encoded as it is sent."""
    return "content:" + hashlib.sha256(encoded_image).hexdigest()


def uuids_of(key: str, template: RequestTemplate, account: str) -> Callable[[int], str]:
    """Return a function that returns the taskUUID of an attempt by its number, from 1.

    Args:
        key: the caller's key.
        template: the options of the task.
        account: the API key. It stands for the account, and makes the UUIDs unguessable.
    """
    job = hmac.new(account.encode(), key.encode("utf-8", "surrogatepass"), hashlib.sha256)
    job.update(b"\0" + template.middle + b"\0" + template.tail)

    def uuid_of_attempt(number: int) -> str:
        attempt = job.copy()
        attempt.update(b"\0%d" % number)
        return str(UUID(bytes=attempt.digest()[:16], version=4))

    return uuid_of_attempt
