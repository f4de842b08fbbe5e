"""The service's errors: one place that makes them, and the HTTP status that fits each [O][D]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...error_codes import code_info
from ...protocol.wire import Item

__all__ = ["Refusal", "complaint", "status_of"]

DOCUMENTATION = "https://runware.ai/docs/models/real-esrgan"


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure of this program
    """A task, or a whole request, that is answered with an error instead of being done.

    Attributes:
        code, message: as the error carries them.
        parameter: the member of the request that is to blame; None when none is.
        details: further members of the error, such as ``allowedValues`` [S].
    """

    def __init__(
        self, code: str, message: str, parameter: str | None = None, **details: Any
    ) -> None:
        super().__init__(code, message, parameter)
        self.code = code
        self.message = message
        self.parameter = parameter
        self.details = details


def complaint(refusal: Refusal, task: Mapping[str, Any], *, name_task: bool) -> Item:
    """The error object for `refusal` of `task` [O].

    Args:
        refusal: what is wrong.
        task: the request's task, for its taskType and taskUUID; {} when there is none.
        name_task: whether the error carries the taskUUID, which it often does not [D].
    """
    error: Item = {"code": refusal.code, "message": refusal.message}
    if refusal.parameter is not None:
        error["parameter"] = refusal.parameter
    error |= refusal.details
    for member in ("taskType", "taskUUID") if name_task else ("taskType",):
        if isinstance(task.get(member), str):
            error[member] = task[member]
    member = (refusal.parameter or "").partition(".")[0]
    error["documentation"] = f"{DOCUMENTATION}#{member}" if member else DOCUMENTATION
    return error


def status_of(errors: Sequence[Mapping[str, Any]], *, any_data: bool) -> int:
    """The HTTP status of an answer.

    What goes wrong with a task that was accepted is scoped to it [D], so one status cannot speak
    for all: whatever succeeded must reach the caller as a success, with the errors beside it,
    hence 200 as soon as there is any data. When nothing succeeded the first error decides, since
    it is the one that callers look at.
    """
    if any_data or not errors:
        return 200
    return code_info(str(errors[0].get("code"))).http_status
