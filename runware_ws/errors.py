"""The exceptions of runware_ws.

RunwareError
 +-- InputError (also ValueError)      an argument is wrong; nothing was sent
 +-- AuthenticationError               the key was refused
 +-- BudgetError                       another task might exceed ``budget``; nothing was sent
 +-- ConnectionLostError               no connection within ``max_reconnect_time``
 +-- ClientClosedError                 the client is closed, or not open yet
 +-- DownloadError                     the link of a result cannot be fetched
 +-- JournalError                      the journal cannot be used
 +-- MissingExtraError (also ImportError)
 +-- ProtocolError                     the peer broke the protocol
 +-- SaveError                         the file of a result cannot be written
 +-- TaskTimeoutError (also TimeoutError)
 +-- TaskCancelledError                the caller cancelled the task
 +-- ResultLostError                   the outcome of a task cannot be found
 +-- TaskError                         the service answered with an error
      +-- ValidationError              a member of the request is wrong
      +-- PermissionDeniedError        the key may not do this
      +-- InsufficientCreditsError
      +-- RateLimitError               queue full; transient
      +-- ContentPolicyError
      +-- ProviderError                the model or its provider failed
      +-- ServerError                  Runware failed, or has no capacity
      +-- TaskNotFoundError            the service does not know the task

Every exception can be pickled. All but `ProtocolError`, which is only a text, keep their data as
attributes. `runware_ws.error_codes` maps the codes of the service to these classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from .error_codes import code_info
from .escaping import escaped

__all__ = [
    "AuthenticationError",
    "BudgetError",
    "ClientClosedError",
    "ConnectionLostError",
    "ContentPolicyError",
    "DownloadError",
    "InputError",
    "InsufficientCreditsError",
    "JournalError",
    "MissingExtraError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderError",
    "RateLimitError",
    "ResultLostError",
    "RunwareError",
    "SaveError",
    "ServerError",
    "TaskCancelledError",
    "TaskError",
    "TaskNotFoundError",
    "TaskTimeoutError",
    "ValidationError",
    "task_error",
]


class RunwareError(Exception):
    """Base class of every exception that this package raises."""

    def __post_init__(self) -> None:
        """Set ``args`` from the declared fields, so that pickle and copy work."""
        self.args = tuple(getattr(self, one.name) for one in fields(self))  # type: ignore[arg-type]  # subclasses are dataclasses

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args

    def __repr__(self) -> str:
        declared: dict[str, Field[Any]] = getattr(self, "__dataclass_fields__", {})
        shown = [f"{one}={getattr(self, one)!r}" for one in declared if declared[one].repr]
        return f"{type(self).__name__}({', '.join(shown or map(repr, self.args))})"


@dataclass(eq=False, repr=False)
class InputError(RunwareError, ValueError):
    """An argument is wrong. Nothing was sent, and no other task is affected.

    Attributes:
        parameter: name of the argument, in snake case.
        problem: what is wrong with its value.
        remedy: what to pass instead.
    """

    parameter: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.parameter}: {self.problem}; {self.remedy}"


@dataclass(eq=False, repr=False)
class AuthenticationError(RunwareError):
    """The service refused the API key.

    Attributes:
        message: message of the service.
        code: error code of the service, for example ``invalidApiKey``; "" if it sent none.
    """

    message: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.code else self.message


@dataclass(eq=False, repr=False)
class BudgetError(RunwareError):
    """Another task might exceed the client's ``budget``. It was not sent.

    Attributes:
        budget: the budget in US dollars.
        spent: the cost of all results so far, in US dollars. A task that was given up counts too,
            since the service may bill it.
    """

    budget: float
    spent: float

    def __str__(self) -> str:
        left = f"${self.spent:.4f} of the budget of ${self.budget:.4f} is spent"
        return f"{left}, and another task might exceed it"


@dataclass(eq=False, repr=False)
class ConnectionLostError(RunwareError):
    """The connection could not be made, or was down for longer than ``max_reconnect_time``.

    Attributes:
        reason: the reason, as far as it is known.
        task_uuid: the pending task; `RunwareClient.attach` may find it again. None if the error is
            not about one task.
    """

    reason: str
    task_uuid: str | None = None

    def __str__(self) -> str:
        if self.task_uuid is None:
            return self.reason
        return f"{self.reason} (task {self.task_uuid})"


@dataclass(eq=False, repr=False)
class ClientClosedError(RunwareError):
    """The client is closed, was closed while the task was pending, or was never opened.

    Attributes:
        reason: what happened.
        task_uuid: the pending task. The service may still finish and bill it;
            `RunwareClient.attach` finds it again. None if the error is not about one task.
    """

    reason: str
    task_uuid: str | None = None

    def __str__(self) -> str:
        if self.task_uuid is None:
            return self.reason
        return f"{self.reason}; task {self.task_uuid} may still finish: attach to it later"


@dataclass(eq=False, repr=False)
class DownloadError(RunwareError):
    """The link of a result could not be downloaded. The result is not lost: try again.

    Attributes:
        url: the link.
        reason: the reason.
    """

    url: str
    reason: str

    def __str__(self) -> str:
        return escaped(f"{self.url} could not be downloaded: {self.reason}")


@dataclass(eq=False, repr=False)
class MissingExtraError(RunwareError, ImportError):
    """A feature needs an optional dependency that is not installed.

    Attributes:
        need: the feature.
        extra: the extra of this package that installs the dependency.
    """

    need: str
    extra: str

    def __str__(self) -> str:
        return f'{self.need} needs an extra: pip install "runware-ws[{self.extra}]"'


@dataclass(eq=False, repr=False)
class JournalError(RunwareError):
    """The journal cannot be opened or written. The tasks and results in it are not lost.

    Attributes:
        path: path of the journal.
        reason: the reason.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"the journal {self.path} cannot be used: {self.reason}"


@dataclass(eq=False, repr=False)
class SaveError(RunwareError):
    """The file of a result cannot be written, with ``save_to``. The result is not lost.

    Attributes:
        path: the path of the file.
        reason: the reason.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} cannot be written: {self.reason}"


class ProtocolError(RunwareError):
    """The peer sent something that the protocol does not allow."""


@dataclass(eq=False, repr=False)
class TaskTimeoutError(RunwareError, TimeoutError):
    """A task was not settled within its ``timeout``.

    Attributes:
        task_uuid: the task; `RunwareClient.attach` may find it again.
        stage: ``queued``, ``sent``, ``accepted`` or ``reconciling``.
        timeout: the limit in seconds.
        detail: what delayed the task, if that is known; else "".
    """

    task_uuid: str
    stage: str
    timeout: float
    detail: str = ""

    def __str__(self) -> str:
        billed = "" if self.stage == "queued" else "; it may still finish and be billed"
        detail = f" ({self.detail})" if self.detail else ""
        return (
            f"task {self.task_uuid} was still {self.stage} after {self.timeout:g} s{detail}{billed}"
        )


@dataclass(eq=False, repr=False)
class TaskCancelledError(RunwareError):
    """The task was cancelled with `UpscaleTask.cancel`. The service may still finish and bill it.

    Attributes:
        task_uuid: the task.
    """

    task_uuid: str

    def __str__(self) -> str:
        return f"task {self.task_uuid} was cancelled"


@dataclass(eq=False, repr=False)
class ResultLostError(RunwareError):
    """The outcome of a task cannot be found, although every way to ask the service was tried.

    Attributes:
        task_uuid: the task.
        known: what is known about the task.
    """

    task_uuid: str
    known: str

    def __str__(self) -> str:
        return f"the result of task {self.task_uuid} is lost: {self.known}; it may have been billed"


@dataclass(eq=False, repr=False)
class TaskError(RunwareError):
    """The service answered a task with an error.

    An error whose code is not known to this package is a plain `TaskError`; Runware documents that
    its codes are still being standardised.

    Attributes:
        code: error code of the service.
        message: message of the service.
        task_uuid: UUID of the task, or None.
        raw: all members of the error as received.
        attempts: number of times that the task was run.
        parameter: the member of the request that the error names, or None. The service sends a
            string or an array; an array is joined with ", ".
        task_type: the service's name for the kind of task, or None.
        documentation: a link, or None.
        retryable: whether the same request may succeed later.
    """

    code: str
    message: str
    task_uuid: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)  # it may hold an image
    attempts: int = 1

    @property
    def parameter(self) -> str | None:
        value = self.raw.get("parameter")
        if isinstance(value, list):
            return escaped(", ".join(map(str, value)))
        return None if value is None else escaped(str(value))

    @property
    def task_type(self) -> str | None:
        value = self.raw.get("taskType")
        return value if isinstance(value, str) else None

    @property
    def documentation(self) -> str | None:
        value = self.raw.get("documentation")
        return value if isinstance(value, str) else None

    @property
    def retryable(self) -> bool:
        return code_info(self.code).retryable

    def __str__(self) -> str:
        text = f"{self.message} ({self.code})"
        if self.parameter:
            text += f" [{self.parameter}]"
        if self.task_uuid:
            text += f", task {self.task_uuid}"
        return f"{text}, after {self.attempts} attempts" if self.attempts > 1 else text


class ValidationError(TaskError):
    """A member of the request is missing or wrong (HTTP 400)."""


class PermissionDeniedError(TaskError):
    """The key lacks a permission, or the account is suspended (HTTP 401, 403)."""


class InsufficientCreditsError(TaskError):
    """The account has no credit left (HTTP 402)."""


class RateLimitError(TaskError):
    """The service's queue is full (HTTP 429)."""


class ContentPolicyError(TaskError):
    """Moderation refused the content."""


class ProviderError(TaskError):
    """The model, or the provider that runs it, failed."""


class ServerError(TaskError):
    """The service failed or has no capacity (HTTP 500, 503, 504)."""


class TaskNotFoundError(TaskError):
    """The service does not know the task, model or file."""


_CLASSES = {cls.__name__: cls for cls in TaskError.__subclasses__()}


def task_error(
    code: str,
    message: str,
    task_uuid: str | None = None,
    raw: Mapping[str, Any] | None = None,
    attempts: int = 1,
) -> TaskError:
    """Return an error of the service as an exception of the class for its code."""
    cls = _CLASSES.get(code_info(code).exception, TaskError)
    return cls(code, message, task_uuid, {} if raw is None else raw, attempts)
