"""The arguments of a task, in snake case; on the wire they are the members of the request [O]."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypedDict

from .errors import InputError
from .protocol.request import MODEL, TASK_TYPE, request_members
from .protocol.wire import encode_parts, split_task

__all__ = ["RequestTemplate", "UpscaleOptions", "check_names", "new_uuid", "template_for"]


class UpscaleOptions(TypedDict, total=False):
    """What can be said about a task besides its image. All of it is optional.

    Values are checked before anything is sent; a wrong one raises `InputError`, which names it.
    None stands for "not given".
    """

    upscale_factor: Literal[2, 4] | None
    """How many times wider and higher the result is. Default 4; with None it is not sent, and
    the service chooses. Its result has at most 4096 x 4096 pixels [D]."""

    output_type: Literal["URL", "base64Data", "dataURI"] | None
    """How the result is handed over. The service's default is ``"URL"``."""

    output_format: Literal["JPG", "PNG", "WEBP"] | None
    """The file format of the result. The service's default is ``"JPG"``."""

    output_quality: int | None
    """Compression quality of the result, 20 to 99. The service's default is 95."""

    ttl: int | None
    """Seconds for which the service keeps the result, 60 or more; only with ``"URL"``."""

    include_cost: bool | None
    """Whether the result says what it cost. The service's default is False."""

    webhook_url: str | None
    """Where the service POSTs the result as JSON; the task settles here all the same."""

    upload_endpoint: str | None
    """Where the service PUTs the bytes of the result, for example a presigned URL."""

    delivery_method: Literal["sync", "async"] | None
    """``"sync"``: the result is pushed when it is ready (the service's default). ``"async"``:
    the task is acknowledged, and then asked for."""

    task_uuid: str | None
    """A UUID v4 that nobody has used before. By default one is made."""

    timeout: float | None
    """Seconds from this call until the task must be settled, waiting for admission included.
    Default: the client's ``timeout``; None: no limit."""


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """Options that were checked, and are encoded but for the taskUUID and the image.

    Attributes:
        task_uuid: the UUID that the options name, or "".
        polled: whether the outcome is to be asked for.
        head, tail: what stands before and after the UUID.
    """

    task_uuid: str
    polled: bool
    head: bytes
    tail: bytes

    def encode(self, task_uuid: str, image: str | bytes | None) -> bytes:
        """The task as a frame; without an image, it can be given one by `wire.encode_task`."""
        return encode_parts(self.head, task_uuid, self.tail, image)


# The document names no end [O], but beyond this not every reader of JSON is exact.
_LARGEST = 2**53 - 1


def template_for(options: Mapping[str, Any]) -> RequestTemplate:
    """Check the options of a task.

    Most tasks have the options of the one before, so these are remembered.

    Raises:
        InputError: an option is unknown, or its value is not allowed.
    """
    if "timeout" in options:
        options = {name: value for name, value in options.items() if name != "timeout"}
    try:
        # The types count too: 1 equals True, but is no value for the same options.
        return _remembered(tuple(options.items()), tuple(map(type, options.values())))
    except TypeError:  # a value that cannot be remembered, and so is a wrong one
        return _order_of(dict(options))


@lru_cache(maxsize=64)
def _remembered(options: tuple[tuple[str, Any], ...], types: tuple[type, ...]) -> RequestTemplate:
    return _order_of(dict(options))


def _order_of(options: dict[str, Any]) -> RequestTemplate:
    check_names(options)
    members = request_members({"upscale_factor": 4, **options})
    for name, value in options.items():
        if isinstance(value, int) and value > _LARGEST:
            raise InputError(name, f"{value} is out of range", f"pass at most {_LARGEST}")
    task_uuid = str(members.pop("taskUUID", "")).lower()
    polled = members.get("deliveryMethod") == "async" or "webhookURL" in members
    # The UUID comes before any text of the caller's: see `wire.with_uuid`.
    head, tail = split_task({"taskType": TASK_TYPE, "taskUUID": "", "model": MODEL, **members})
    return RequestTemplate(task_uuid, polled, head, tail)


def check_names(names: Iterable[str], *others: str) -> None:
    """Raise InputError unless each is the name of an option, or one of the others."""
    known = [*UpscaleOptions.__annotations__, *others]
    for name in names:
        if name not in known:
            from difflib import get_close_matches  # 3 % of the whole import, for a mistake

            # It may be the one on the wire, or nearly right.
            in_snake_case = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            close = get_close_matches(in_snake_case, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise InputError(name, "is not an option", remedy)


_IN_BULK = 64
# What a UUID v4 is free to be, and what it must be, for all of a bulk side by side [RFC 9562].
_FREE, _FIXED = (
    int(bits * _IN_BULK, 16)
    for bits in ("ffffffffffff0fff3fffffffffffffff", "00000000000040008000000000000000")
)
_GROUPS = re.compile("(.{8})(.{4})(.{4})(.{4})(.{12})")
_uuids: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_uuids.clear)  # or two processes would use the same ones


def new_uuid() -> str:
    """A UUID v4, as `uuid.uuid4` makes it, at a fifth of its cost: they are made in bulk."""
    while True:
        try:
            return _uuids.pop()
        except IndexError:
            bits = int.from_bytes(os.urandom(16 * _IN_BULK)) & _FREE | _FIXED
            digits = f"{bits:0{32 * _IN_BULK}x}"
            _uuids.extend(map("-".join, _GROUPS.findall(digits)))
