"""The options of a task: checked once, and encoded up to the parts that differ for each image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypedDict
from uuid import UUID, uuid4

from .errors import InputError
from .protocol.request import MODEL, TASK_TYPE, is_uuid4, request_members
from .protocol.wire import encode_parts, split_task

UpscaleFactor = Literal[2, 4]
OutputType = Literal["URL", "base64Data", "dataURI"]
OutputFormat = Literal["JPG", "PNG", "WEBP"]
DeliveryMethod = Literal["sync", "async"]


class UpscaleOptions(TypedDict, total=False):
    """The options of `RunwareClient.upscale`, for programs that keep them in a dictionary."""

    upscale_factor: UpscaleFactor | None
    output_type: OutputType | None
    output_format: OutputFormat | None
    output_quality: int | None
    ttl: int | None
    include_cost: bool | None
    webhook_url: str | None
    upload_endpoint: str | None
    delivery_method: DeliveryMethod | None
    timeout: float | None


# The service names no upper limit, but not every reader of JSON is exact beyond this one.
_LARGEST = 2**53 - 1


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A checked request, encoded but for its taskUUID and its image.

    Attributes:
        polled: whether the outcome is asked for: delivery ``async``, or a webhook.
        head, tail: the bytes before and after the taskUUID.
    """

    polled: bool
    head: bytes
    tail: bytes

    def encode(self, task_uuid: str, image: str | bytes | None) -> bytes:
        """Return the task as a frame of its own. Without an image, one can be added later."""
        return encode_parts(self.head, task_uuid, self.tail, image)


def request_template(**options: Any) -> RequestTemplate:
    """Check the options of a task and return its template.

    Most tasks have the same options as the one before, so templates are remembered.

    Raises:
        InputError: the value of an option is not allowed.
    """
    try:
        return _remembered(**options)
    except TypeError:  # a value that cannot be hashed, which is a wrong one
        return _make(options)


@lru_cache(maxsize=64, typed=True)  # typed: True equals 1, and is no value for the same options
def _remembered(**options: Any) -> RequestTemplate:
    return _make(options)


def _make(options: dict[str, Any]) -> RequestTemplate:
    members = request_members(options)
    for name, value in options.items():
        if isinstance(value, int) and value > _LARGEST:
            raise InputError(name, f"{value} is out of range", f"pass at most {_LARGEST}")
    polled = members.get("deliveryMethod") == "async" or "webhookURL" in members
    # The taskUUID comes before any text of the caller's: see `wire.with_uuid`.
    head, tail = split_task({"taskType": TASK_TYPE, "taskUUID": "", "model": MODEL, **members})
    return RequestTemplate(polled, head, tail)


def new_uuid() -> str:
    """Return a new UUID v4 in lower case."""
    return str(uuid4())


def check_task_uuid(task_uuid: object) -> str:
    """Return a caller's taskUUID in lower case.

    Raises:
        InputError: it is not a UUID v4.
    """
    text = str(task_uuid) if isinstance(task_uuid, str | UUID) else ""
    if not is_uuid4(text):
        remedy = "pass one such as str(uuid.uuid4())"
        raise InputError("task_uuid", f"{task_uuid!r} is not a UUID v4", remedy)
    return text.lower()
