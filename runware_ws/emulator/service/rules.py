"""The rules of the service: what is not known of it for sure, each as a setting."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal, get_args, get_type_hints

from ...errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the service behaves where its documentation says nothing, or sources disagree.

    Each rule names its source. "Unknown" means that no source says anything; then all behaviours
    that are plausible are offered.

    Attributes:
        errors_name_task: put the taskUUID into errors. The documentation calls the member
            optional; it is missing from many of its examples.
        unknown_task: the answer of getResponse to an unknown task: the ``error`` taskNotFound
            (Runware's SDKs), or ``empty`` data (seen in community code).
        replay: when a resumed session gets the results that it missed: ``before`` or ``after``
            the answer to its authentication, or never: ``none``. The documentation promises the
            replay; Runware's Python SDK relied on it until 1.7.6, and does not any more.
        unknown_session: the answer to a session UUID that is unknown or has expired: a ``new``
            session, or an ``error``. Unknown.
        sync_wait_ends: the end of the wait for a synchronous task on a WebSocket: the ``error``
            timeout, or ``silence``. Unknown. The task goes on in either case.
        webhook_body: the body of a webhook: the ``flat`` result, or ``wrapped`` in
            ``{"data": [...]}``. Runware's SDKs have both.
        upload_data: the ``data`` of an answered imageUpload on a WebSocket: an ``object`` as
            documented, or an ``array``, the only form that Runware's Python SDKs read.

    Raises:
        InputError: a value is not allowed.
    """

    errors_name_task: bool = True
    unknown_task: Literal["error", "empty"] = "error"
    replay: Literal["after", "before", "none"] = "after"
    unknown_session: Literal["new", "error"] = "new"
    sync_wait_ends: Literal["error", "silence"] = "error"
    webhook_body: Literal["flat", "wrapped"] = "flat"
    upload_data: Literal["object", "array"] = "object"

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if remedy := _remedy(kind, value):
                raise InputError(name, f"{value!r} is not allowed", f"give {remedy}")


_KINDS = get_type_hints(Rules)


def _remedy(kind: Any, value: Any) -> str:
    """Return the values that are allowed; "" if `value` is one of them."""
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    choices = get_args(kind)
    if value in choices and isinstance(value, str):
        return ""
    if choices and float not in choices:
        return _one_of(choices)
    if kind is not float and value is None:
        return ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if is_number and 0 <= value < inf else "a number of seconds of 0 or more"


def _one_of(names: Any) -> str:
    return f"one of: {', '.join(names)}"
