"""The exceptions of runware_ws, and how the service's error codes map to them.

RunwareError
 +-- InputError (also ValueError)      an argument is wrong; nothing was sent
 +-- AuthenticationError               the key was refused
 +-- ConnectionLostError               the connection is gone and stays gone
 +-- ClientClosedError                 the client was closed, or never opened
 +-- DownloadError                     the link of a result cannot be fetched
 +-- JournalError                      the journal cannot be used
 +-- MissingExtraError (also ImportError)
 +-- ProtocolError                     the peer sent what the protocol does not allow
 +-- TaskTimeoutError (also TimeoutError)
 +-- TaskCancelledError                cancelled by its own caller
 +-- ResultLostError                   the outcome cannot be found out any more
 +-- TaskError                         the service answered with an error
      +-- ValidationError              a member of the request is wrong
      +-- PermissionDeniedError        the key may not do this
      +-- InsufficientCreditsError
      +-- RateLimitError               queue full; transient
      +-- ContentPolicyError
      +-- ProviderError                the model or its provider failed
      +-- ServerError                  Runware failed, or has no capacity
      +-- TaskNotFoundError            the service does not know the task

Every exception keeps its data as attributes and builds its text in ``__str__``;
all of them can be pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .codes import is_retryable_code

__all__ = [
    "AuthenticationError",
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
    "ServerError",
    "TaskCancelledError",
    "TaskError",
    "TaskNotFoundError",
    "TaskTimeoutError",
    "ValidationError",
]


class RunwareError(Exception):
    """Base of every exception raised by this package."""


class InputError(RunwareError, ValueError):
    """An argument is wrong. Nothing was sent, and no other task is affected.

    Attributes:
        parameter: the argument's name, in snake case.
        problem: what is wrong with the value.
        remedy: what to pass instead.
    """

    def __init__(self, parameter: str, problem: str, remedy: str) -> None:
        super().__init__(parameter, problem, remedy)
        self.parameter = parameter
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.parameter}: {self.problem}; {self.remedy}"


class AuthenticationError(RunwareError):
    """The service refused the API key [D].

    Attributes:
        message: the service's words.
        code: its error code, for example ``invalidApiKey``; "" when it sent none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.code else self.message


class ConnectionLostError(RunwareError):
    """The connection could not be made, or was lost for longer than ``max_reconnect_time``.

    Attributes:
        reason: why, as far as it is known.
        task_uuid: the task that was waiting, which `RunwareClient.attach` may find again.
    """

    def __init__(self, reason: str, task_uuid: str | None = None) -> None:
        super().__init__(reason, task_uuid)
        self.reason = reason
        self.task_uuid = task_uuid

    def __str__(self) -> str:
        if self.task_uuid is None:
            return self.reason
        return f"{self.reason} (task {self.task_uuid})"


class ClientClosedError(RunwareError):
    """The client is closed, was closed while the task waited, or was never opened.

    Attributes:
        reason: what happened.
        task_uuid: the task that was waiting. The service may still finish (and bill) it:
            `RunwareClient.attach` finds it again.
    """

    def __init__(self, reason: str, task_uuid: str | None = None) -> None:
        super().__init__(reason, task_uuid)
        self.reason = reason
        self.task_uuid = task_uuid

    def __str__(self) -> str:
        if self.task_uuid is None:
            return self.reason
        return f"{self.reason}; task {self.task_uuid} may still finish: attach to it later"


class DownloadError(RunwareError):
    """The link of a result could not be fetched.

    Attributes:
        url: the link.
        reason: why.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.url} could not be downloaded: {self.reason}"


class MissingExtraError(RunwareError, ImportError):
    """Something needs a package that is installed only on request.

    Attributes:
        need: what needs it.
        extra: the extra of this package that brings it.
    """

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(need, extra)
        self.need = need
        self.extra = extra

    def __str__(self) -> str:
        return f'{self.need} needs more: pip install "runware-ws[{self.extra}]"'


class JournalError(RunwareError):
    """The journal cannot be used, or could not be written; nothing in it is lost.

    Attributes:
        path: its file.
        reason: why.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"the journal {self.path} cannot be used: {self.reason}"


class ProtocolError(RunwareError):
    """The peer sent something that the protocol does not allow."""


class TaskTimeoutError(RunwareError, TimeoutError):
    """A task was not settled within its ``timeout``.

    Attributes:
        task_uuid: the task; `RunwareClient.attach` may find it again.
        stage: ``queued``, ``sent``, ``accepted`` or ``reconciling``.
        timeout: the limit that passed, in seconds.
        detail: what stood in the way, when that is known; else "".
    """

    def __init__(self, task_uuid: str, stage: str, timeout: float, detail: str = "") -> None:
        super().__init__(task_uuid, stage, timeout, detail)
        self.task_uuid = task_uuid
        self.stage = stage
        self.timeout = timeout
        self.detail = detail

    def __str__(self) -> str:
        billed = "" if self.stage == "queued" else "; it may still finish and be billed"
        detail = f" ({self.detail})" if self.detail else ""
        return (
            f"task {self.task_uuid} was still {self.stage} after {self.timeout:g} s{detail}{billed}"
        )


class TaskCancelledError(RunwareError):
    """The task was given up with `UpscaleTask.cancel`; the service may still finish and bill it.

    Attributes:
        task_uuid: the task.
    """

    def __init__(self, task_uuid: str) -> None:
        super().__init__(task_uuid)
        self.task_uuid = task_uuid

    def __str__(self) -> str:
        return f"task {self.task_uuid} was cancelled"


class ResultLostError(RunwareError):
    """Everything was tried and the outcome of a task cannot be found out.

    Attributes:
        task_uuid: the task.
        known: what is known of it.
    """

    def __init__(self, task_uuid: str, known: str) -> None:
        super().__init__(task_uuid, known)
        self.task_uuid = task_uuid
        self.known = known

    def __str__(self) -> str:
        return f"the result of task {self.task_uuid} is lost: {self.known}; it may have been billed"


class TaskError(RunwareError):
    """The service answered a task with an error [O][D].

    Attributes:
        code: the service's error code; a code that is not known here is normal [D].
        message: the service's words.
        parameter: the member of the request it speaks of, or None. Seen as a string and as
            an array [S]; an array is joined with ", ".
        task_type: the service's name for the kind of task, or None.
        task_uuid: the task's UUID, or None.
        documentation: a link, or None.
        raw: every member as received.
        retryable: whether the same request may succeed later.
        attempts: how often the task was run before this error was final.
    """

    def __init__(
        self,
        code: str,
        message: str,
        task_uuid: str | None = None,
        raw: Mapping[str, Any] | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(code, message, task_uuid, raw, attempts)
        self.code = code
        self.message = message
        self.task_uuid = task_uuid
        self.raw: Mapping[str, Any] = raw if raw is not None else {}
        self.attempts = attempts

    @property
    def parameter(self) -> str | None:
        value = self.raw.get("parameter")
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return None if value is None else str(value)

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
        return is_retryable_code(self.code)

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
    """The content was refused by moderation."""


class ProviderError(TaskError):
    """The model, or the provider that runs it, failed."""


class ServerError(TaskError):
    """The service failed or has no capacity (HTTP 500, 503, 504)."""


class TaskNotFoundError(TaskError):
    """The service does not know the task, model or file."""
