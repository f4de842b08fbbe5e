"""What the service's error codes say about going on.

Runware says that its codes are still being standardised [D], so an unknown one is normal: it
says nothing here. Codes are compared in lower case.
"""

from __future__ import annotations

__all__ = [
    "is_authentication_code",
    "is_conflict_code",
    "is_not_found_code",
    "is_retryable_code",
    "is_service_code",
    "is_timeout_code",
    "may_be_conflict_code",
]

_AUTHENTICATION = frozenset({"invalidapikey", "missingapikey", "unauthorized", "forbidden"})
_NOT_FOUND = frozenset({"tasknotfound", "taskexpired", "taskfailedornotfound"})
_TIMEOUTS = frozenset({"timeout", "timeoutprovider", "providertimeout", "providergatewaytimeout"})
# 429, 503 and 504 are documented as transient [D]; 500 is tried again as well, since it
# says nothing about the request.
_TRANSIENT = _TIMEOUTS | {
    "ratelimitexceeded",
    "noavailableserver",
    "modelunavailable",
    "serviceunavailable",
    "internalservererror",
}


_SERVICE = frozenset({"serviceunavailable", "internalservererror"})


def is_authentication_code(code: str) -> bool:
    """Whether `code` says that the key itself was refused."""
    return code.lower() in _AUTHENTICATION


def is_conflict_code(code: str) -> bool:
    """Whether `code` says that the taskUUID is already known to the service [S]."""
    return code.lower() == "conflicttaskuuid"


def may_be_conflict_code(code: str) -> bool:
    """Whether `code` says so of a request that is known to have been sent before: the families
    ``conflict…`` and ``duplicate…`` [D]."""
    return code.lower().startswith(("conflict", "duplicate"))


def is_service_code(code: str) -> bool:
    """Whether `code` may speak of the service's own trouble with any request, a question too."""
    lowered = code.lower()
    return lowered in _SERVICE or lowered.endswith("ratelimitexceeded")


def is_not_found_code(code: str) -> bool:
    """Whether `code` answers a question about a task that the service does not know [S][C]."""
    return code.lower() in _NOT_FOUND


def is_timeout_code(code: str) -> bool:
    """Whether `code` reports a wait that ended, which is no proof that the task failed [D]."""
    return code.lower() in _TIMEOUTS


def is_retryable_code(code: str) -> bool:
    """Whether the same request may succeed later."""
    lowered = code.lower()
    return lowered in _TRANSIENT or lowered.endswith("ratelimitexceeded")
