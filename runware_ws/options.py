"""The options of a task: checked once, and encoded except for the parts that differ by image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from typing import Any, Literal, TypedDict
from uuid import UUID

from .errors import InputError, ProtocolError
from .protocol.request import (
    TASK_TYPE,
    check_extra_names,
    check_model,
    is_uuid4,
    request_members,
)
from .protocol.wire import around_image, encode_task, encode_value, split_at_uuid, without_image
from .settings import Settings

UpscaleFactor = Literal[2, 4]
OutputType = Literal["URL", "base64Data", "dataURI"]
OutputFormat = Literal["JPG", "PNG", "WEBP"]
DeliveryMethod = Literal["sync", "async"]


class UpscaleOptions(TypedDict, total=False):
    """Options that many images can share, for programs that keep them in a dictionary.

    They are keyword arguments of `RunwareClient.upscale`, `submit` and `upscale_many`:
    ``client.upscale(image, **options)``. Left out are ``priority``, and those that are about one
    image: ``task_uuid``, ``tag`` and ``idempotency_key``.
    """

    upscale_factor: UpscaleFactor | None
    output_type: OutputType | None
    output_format: OutputFormat | None
    output_quality: int | None
    ttl: int | None
    include_cost: bool | None
    webhook_url: str | None
    upload_endpoint: str | None
    delivery_method: DeliveryMethod | None
    model: str
    routing: Mapping[str, Any] | None
    extra_members: Mapping[str, Any] | None
    timeout: float | None


# The service documents no upper limit, but not every JSON parser is exact beyond this one.
_LARGEST = 2**53 - 1
# The digit that holds the variant of a UUID: two bits are fixed, two are random.
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A checked request, encoded except for its taskUUID and its image.

    Attributes:
        polled: whether the service is polled for the outcome: delivery ``async``, or a webhook.
        has_large_answer: whether the answer holds the image.
        head: the bytes before the taskUUID.
        middle: the bytes between the taskUUID and the image.
        tail: the bytes after the image.
    """

    polled: bool
    has_large_answer: bool
    head: bytes
    middle: bytes
    tail: bytes

    def before_image(self, task_uuid: str) -> bytes:
        """Return the bytes of the request up to the image."""
        return b"".join((self.head, task_uuid.encode(), self.middle))

    def without_image(self, task_uuid: str) -> bytes:
        """Return the request without its image; `wire.around_image` adds one."""
        return without_image(self.before_image(task_uuid))


def request_template(
    settings: Settings,
    *,
    upscale_factor: UpscaleFactor | None,
    output_type: OutputType | None,
    output_format: OutputFormat | None,
    output_quality: int | None,
    ttl: int | None,
    include_cost: bool | None,
    webhook_url: str | None,
    upload_endpoint: str | None,
    delivery_method: DeliveryMethod | None,
    model: str,
    routing: Mapping[str, Any] | None,
    extra_members: Mapping[str, Any] | None,
) -> RequestTemplate:
    """Check the options of a task and return its template.

    Most tasks have the options of the previous task, so templates are cached. It is called for each
    task: with ``**options`` it would take twice the time (1.1 instead of 0.5 µs).

    Raises:
        InputError: the value of an option is not allowed.
    """
    if delivery_method is None:
        delivery_method = settings.delivery_method
    if settings.budget is not None:
        if include_cost is False:
            raise InputError("include_cost", "is False", "leave it out: a budget needs the costs")
        include_cost = True
    values = (
        upscale_factor,
        output_type,
        output_format,
        output_quality,
        ttl,
        include_cost,
        webhook_url,
        upload_endpoint,
        delivery_method,
        model,
        routing,
        extra_members,
    )
    try:
        return _remembered(*values)
    except TypeError:  # a value cannot be hashed: it is a dict, or wrong
        return _make(*values)


_NAMES = tuple(signature(request_template).parameters)[1:]


@lru_cache(maxsize=64, typed=True)  # typed: True equals 1, but is invalid where 1 may be valid
def _remembered(*values: Any) -> RequestTemplate:
    return _make(*values)


def _make(*values: Any) -> RequestTemplate:
    options: dict[str, Any] = dict(zip(_NAMES, values, strict=True))
    model = check_model(options.pop("model"), options["upscale_factor"])
    extra = check_json_object("extra_members", options.pop("extra_members"))
    check_extra_names(extra)
    if options["routing"] is not None:
        extra["routing"] = check_json_object("routing", options["routing"])
    del options["routing"]
    members = request_members(options)
    for name, value in options.items():
        if isinstance(value, int) and value > _LARGEST:
            raise InputError(name, f"{value} is out of range", f"pass at most {_LARGEST}")
    polled = members.get("deliveryMethod") == "async" or "webhookURL" in members
    # The taskUUID comes before any text of the caller's: see `wire.with_uuid`.
    names = {"taskType": TASK_TYPE, "taskUUID": "", "model": model}
    task = encode_task({**names, **members, **extra})
    head, rest = split_at_uuid(task)
    has_large_answer = members.get("outputType", "URL") != "URL"
    return RequestTemplate(polled, has_large_answer, head, *around_image(rest))


def check_json_object(parameter: str, value: object) -> dict[str, Any]:
    """Return a mapping as a dict, and None as an empty dict.

    Raises:
        InputError: it is not a mapping of names to JSON values.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(parameter, f"is of type {type(value).__name__}", "pass a dict")
    members = dict(value)
    try:
        encode_value(members)
    except ProtocolError as error:
        raise InputError(parameter, str(error), "pass a dict of JSON values") from None
    return members


def check_priority(priority: object) -> int:
    """Return a priority.

    Raises:
        InputError: it is not an integer.
    """
    if not isinstance(priority, int) or isinstance(priority, bool):
        problem = f"{priority!r} is of type {type(priority).__name__}"
        raise InputError("priority", problem, "pass an integer")
    return priority


def encode_tag(tag: object) -> bytes | None:
    """Return a caller's tag as JSON, or None if there is none.

    Raises:
        InputError: it is not a JSON value.
    """
    if tag is None:
        return None
    try:
        return encode_value(tag)
    except ProtocolError as error:
        raise InputError("tag", str(error), "pass a JSON value") from None


def new_uuid() -> str:
    """Return a new UUID v4 in lower case.

    It takes a third of the time of ``str(uuid.uuid4())``. That function would take a tenth of all
    CPU time of a small task (row `a` of the benchmarks).
    """
    bits = os.urandom(16).hex()
    return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-{_VARIANT[bits[16]]}{bits[17:20]}-{bits[20:]}"


def check_task_uuid(task_uuid: object) -> str:
    """Return a caller's taskUUID in lower case.

    Raises:
        InputError: it is not a UUID v4.
    """
    text = str(task_uuid) if isinstance(task_uuid, str | UUID) else ""
    if not is_uuid4(text):
        remedy = "pass a value such as str(uuid.uuid4())"
        raise InputError("task_uuid", f"{task_uuid!r} is not a UUID v4", remedy)
    return text.lower()
