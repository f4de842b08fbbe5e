"""Answers to tasks: items, error objects, and the answer to an HTTP request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...error_codes import code_info
from ...protocol.wire import Item

_DOCUMENTATION = "https://runware.ai/docs/models/real-esrgan"


@dataclass(eq=False, repr=False)
class RefusedError(Exception):
    """A task, or a whole request, is answered with an error and not run.

    Attributes:
        code, message: members of the error object.
        parameter: the member of the request that is wrong; None if it is not about one.
        details: further members of the error object, such as ``allowedValues``.
    """

    code: str
    message: str
    parameter: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def error_item(refused: RefusedError, task: Mapping[str, Any], *, name_task: bool) -> Item:
    """Return the error object for a task that is refused or has failed.

    Args:
        refused: the error.
        task: the task, for its taskType and taskUUID; {} if there is none.
        name_task: put the taskUUID into the error.
    """
    error: Item = {"code": refused.code, "message": refused.message}
    if refused.parameter is not None:
        error["parameter"] = refused.parameter
    error |= refused.details
    for member in ("taskType", "taskUUID") if name_task else ("taskType",):
        if isinstance(task.get(member), str):
            error[member] = task[member]
    member = (refused.parameter or "").partition(".")[0]
    error["documentation"] = f"{_DOCUMENTATION}#{member}" if member else _DOCUMENTATION
    return error


def http_status(errors: Sequence[Mapping[str, Any]], *, any_data: bool) -> int:
    """Return the HTTP status of an answer.

    The errors of an answer belong to single tasks, so no single status fits all of them. An answer
    with any data has status 200, so that a caller sees the results. An answer without data has the
    status of its first error.
    """
    if any_data or not errors:
        return 200
    return code_info(str(errors[0].get("code"))).http_status


@dataclass(slots=True, eq=False)
class Answer:
    """An answer to one task.

    Attributes:
        data, errors: the items and the error objects.
        group: answers to the tasks of one frame share a frame if they have the same group; "" for a
            separate frame.
    """

    data: list[Item] = field(default_factory=list, repr=False)
    errors: list[Item] = field(default_factory=list)
    group: str = ""

    def extend(self, other: Answer) -> None:
        """Append the items and errors of another answer."""
        self.data += other.data
        self.errors += other.errors


class HttpCall:
    """An HTTP request, which is answered when all its tasks have answers.

    The answers are in the order of the tasks.

    Attributes:
        dry_run: True if its tasks are checked and priced, but not run.
        is_open: False after the request was answered, or its client has gone.
    """

    __slots__ = ("_answers", "_pending", "dry_run", "is_open")

    def __init__(self, *, dry_run: bool = False) -> None:
        self.dry_run = dry_run
        self.is_open = True
        self._answers: dict[object, Answer] = {}
        self._pending = 0

    def reserve(self, key: object) -> None:
        """Reserve a place for a later answer to the task `key`."""
        self._answers[key] = Answer()
        self._pending += 1

    def fill(self, key: object, answer: Answer) -> None:
        """Put an answer into its reserved place."""
        self._answers[key] = answer
        self._pending -= 1

    def add(self, answer: Answer) -> None:
        """Add an answer that is already known."""
        self._answers[object()] = answer

    @property
    def is_complete(self) -> bool:
        return self._pending == 0

    def answer(self) -> Answer:
        """Return all answers as one."""
        whole = Answer()
        for answer in self._answers.values():
            whole.extend(answer)
        return whole
