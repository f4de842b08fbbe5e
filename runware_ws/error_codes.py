"""The error codes of the service, in one table with the meaning of each.

Runware documents that its codes are still being standardised, so an unknown code is normal. Codes
are compared in lower case. A code that is not listed is matched by a prefix, a suffix or a part
that several codes share.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class CodeInfo(NamedTuple):
    """The meaning of an error code.

    Attributes:
        exception: name of the class in `runware_ws.errors` that is raised for it.
        http_status: status of a REST answer that contains only this error.
        retryable: whether the same request may succeed later.
        no_room: whether the service refused the task for lack of capacity, before running it.
        about_key: whether the API key itself was refused.
        not_found: whether it is the answer to a question about an unknown task.
        conflict: whether the taskUUID is already known to the service.
        timed_out: whether the service stopped waiting, which does not prove that the task failed.
    """

    exception: str
    http_status: int = 400
    retryable: bool = False
    no_room: bool = False
    about_key: bool = False
    not_found: bool = False
    conflict: bool = False
    timed_out: bool = False


_KEY = CodeInfo("PermissionDeniedError", 401, about_key=True)
_FORBIDDEN = CodeInfo("PermissionDeniedError", 403, about_key=True)
_PERMISSION = CodeInfo("PermissionDeniedError", 403)
_CREDITS = CodeInfo("InsufficientCreditsError", 402)
_RATE_LIMIT = CodeInfo("RateLimitError", 429, retryable=True, no_room=True)
_REQUEST_TOO_LARGE = CodeInfo("RateLimitError", 429)
_CONTENT = CodeInfo("ContentPolicyError")
_PROVIDER = CodeInfo("ProviderError", 500)
_PROVIDER_BUSY = CodeInfo("ProviderError", 503, retryable=True, no_room=True)
_PROVIDER_TIMEOUT = CodeInfo("ProviderError", 504, retryable=True, timed_out=True)
_INPUT_DOWNLOAD = CodeInfo("ProviderError")
_SERVER = CodeInfo("ServerError", 500)
_SERVER_RETRYABLE = CodeInfo("ServerError", 500, retryable=True)
_SERVER_BUSY = CodeInfo("ServerError", 503, retryable=True, no_room=True)
_TIMEOUT = CodeInfo("ServerError", 504, retryable=True, timed_out=True)
_TASK_NOT_FOUND = CodeInfo("TaskNotFoundError", not_found=True)
_NOT_FOUND = CodeInfo("TaskNotFoundError")
_CONFLICT = CodeInfo("ValidationError", conflict=True)
_VALIDATION = CodeInfo("ValidationError")
_UNKNOWN = CodeInfo("TaskError")

_CODES: dict[str, CodeInfo] = {
    code.lower(): info
    for codes, info in (
        ("invalidApiKey missingApiKey unauthorized", _KEY),
        ("forbidden", _FORBIDDEN),
        ("permissionDenied insufficientPermissions", _PERMISSION),
        ("insufficientCredits quotaExceeded paymentRequired", _CREDITS),
        ("rateLimitExceeded rateLimit queueFull", _RATE_LIMIT),
        ("inferenceRateLimitRequestTooLarge", _REQUEST_TOO_LARGE),
        ("nsfwContentDetected sensitiveContentDetected unsafeContentDetected", _CONTENT),
        ("moderationFailed promptBlocked imageBlocked", _CONTENT),
        ("inferenceError processingFailed taskFailed uploadFailed", _PROVIDER),
        ("downloadFailed", _INPUT_DOWNLOAD),
        ("noAvailableServer modelUnavailable modelNotReady", _PROVIDER_BUSY),
        ("timeoutProvider", _PROVIDER_TIMEOUT),
        ("serviceUnavailable serverUnavailable", _SERVER_BUSY),
        ("internalServerError", _SERVER_RETRYABLE),
        ("standardError unknownError", _SERVER),
        ("taskNotFound taskExpired taskFailedOrNotFound", _TASK_NOT_FOUND),
        ("taskCancelled modelNotFound mediaNotFound mediaExpired", _NOT_FOUND),
        ("conflictTaskUUID", _CONFLICT),
        ("unknownParameter incompatibleParameters validationFailed", _VALIDATION),
    )
    for code in codes.split()
}
_SUFFIXES: tuple[tuple[str, CodeInfo], ...] = (
    ("providertimeout", _PROVIDER_TIMEOUT),
    ("gatewaytimeout", _PROVIDER_TIMEOUT),
    ("timeout", _TIMEOUT),
    ("insufficientcredits", _CREDITS),
    ("ratelimitexceeded", _RATE_LIMIT),
    ("contentpolicyviolation", _CONTENT),
    ("suspended", _PERMISSION),
    ("disabled", _PERMISSION),
)
_PARTS: tuple[tuple[str, CodeInfo], ...] = (("balance", _CREDITS),)
_PREFIXES: tuple[tuple[str, CodeInfo], ...] = (
    ("token", _PERMISSION),
    ("provider", _PROVIDER),
    *((prefix, _VALIDATION) for prefix in ("invalid", "missing", "conflict", "duplicate")),
    *((prefix, _VALIDATION) for prefix in ("unsupported", "value", "array", "max")),
)


@lru_cache(maxsize=256)
def code_info(code: str) -> CodeInfo:
    """Return the meaning of an error code; an unknown code means a plain `TaskError`."""
    lowered = code.lower()
    if lowered in _CODES:
        return _CODES[lowered]
    for suffix, info in _SUFFIXES:
        if lowered.endswith(suffix):
            return info
    for part, info in _PARTS:
        if part in lowered:
            return info
    for prefix, info in _PREFIXES:
        if lowered.startswith(prefix):
            return info
    return _UNKNOWN
