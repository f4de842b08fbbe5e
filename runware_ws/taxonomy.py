"""Which exception fits which error code of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import (
    ContentPolicyError,
    InsufficientCreditsError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
    TaskError,
    TaskNotFoundError,
    ValidationError,
)

__all__ = ["task_error"]

# Codes [D][S]; Runware says that they are still being standardised. Compared in lower case.
_CLASS_OF_CODE: dict[str, type[TaskError]] = {
    code.lower(): cls
    for cls, codes in {
        PermissionDeniedError: (
            "invalidApiKey missingApiKey unauthorized forbidden permissionDenied "
            "insufficientPermissions"
        ),
        InsufficientCreditsError: "insufficientCredits quotaExceeded paymentRequired",
        RateLimitError: "rateLimitExceeded inferenceRateLimitRequestTooLarge",
        ContentPolicyError: "nsfwContentDetected moderationFailed",
        ProviderError: (
            "timeoutProvider providerTimeout providerGatewayTimeout inferenceError "
            "processingFailed taskFailed downloadFailed uploadFailed noAvailableServer "
            "modelUnavailable"
        ),
        TaskNotFoundError: (
            "taskNotFound taskExpired taskCancelled taskFailedOrNotFound modelNotFound "
            "mediaNotFound"
        ),
        ServerError: "timeout internalServerError serviceUnavailable standardError unknownError",
        ValidationError: "unknownParameter incompatibleParameters",
    }.items()
    for code in codes.split()
}
# Families of codes, looked at only when the exact code is not in the table.
_CLASS_OF_SUFFIX: tuple[tuple[str, type[TaskError]], ...] = (
    ("insufficientcredits", InsufficientCreditsError),
    ("ratelimitexceeded", RateLimitError),
    ("contentpolicyviolation", ContentPolicyError),
    ("suspended", PermissionDeniedError),
    ("disabled", PermissionDeniedError),
)
_CLASS_OF_PREFIX: tuple[tuple[str, type[TaskError]], ...] = (
    ("token", PermissionDeniedError),
    ("provider", ProviderError),
    ("invalid", ValidationError),
    ("missing", ValidationError),
    ("conflict", ValidationError),
    ("duplicate", ValidationError),
    ("unsupported", ValidationError),
    ("value", ValidationError),
    ("array", ValidationError),
    ("max", ValidationError),
)


def _class_of(code: str) -> type[TaskError]:
    lowered = code.lower()
    if exact := _CLASS_OF_CODE.get(lowered):
        return exact
    for suffix, cls in _CLASS_OF_SUFFIX:
        if lowered.endswith(suffix):
            return cls
    for prefix, cls in _CLASS_OF_PREFIX:
        if lowered.startswith(prefix):
            return cls
    return TaskError


def task_error(
    code: str,
    message: str,
    task_uuid: str | None = None,
    raw: Mapping[str, Any] | None = None,
    attempts: int = 1,
) -> TaskError:
    """Make the exception that fits `code`; an unknown code gives a plain `TaskError`."""
    return _class_of(code)(code, message, task_uuid, raw, attempts)
