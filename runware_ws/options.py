"""The arguments of a task, in snake case; on the wire they are the members of the request [O]."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from .protocol.request import MODEL, TASK_TYPE, request_members

__all__ = ["UpscaleOptions", "members_of", "new_uuid"]


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


def members_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a request, but the image.

    Raises:
        InputError: an option is unknown, or its value is not allowed.
    """
    given = {name: value for name, value in options.items() if name != "timeout"}
    members = request_members({"upscale_factor": 4, **given})
    task_uuid = str(members.pop("taskUUID", None) or new_uuid())
    # The UUID comes before any text of the caller's: see `wire.with_uuid`.
    head = {"taskType": TASK_TYPE, "taskUUID": task_uuid.lower(), "model": MODEL}
    return head | members


def new_uuid() -> str:
    """A UUID v4."""
    return str(uuid.uuid4())
