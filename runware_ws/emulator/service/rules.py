"""The rules of the service: undocumented behaviour, as settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Any, Literal, get_args, get_type_hints

from ...errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Behaviour of the service that is not documented, or about which sources disagree.

    Each rule names its source. "Unknown" means that there is no source; then all plausible
    behaviours are offered.

    Attributes:
        conflicts: refuse a taskUUID that is known already with ``conflictTaskUUID``: ``always``
            (Runware's SDKs know the code, and its documentation calls the UUID unique per task),
            only while a task with it is ``running`` (an integration called aflow relies on that:
            a finished task runs again), or ``never``.
        conflict_delay: seconds after its arrival during which a task does not cause conflicts; 0
            for none. Runware's Python SDK 1.8 resends an asynchronous task no sooner than 1 s after
            it was written, as if there were such a delay.
        conflict_names_task: put the taskUUID into a conflict, if `errors_name_task` is True.
            Unknown.
        errors_name_task: put the taskUUID into errors. The documentation calls the member
            optional; it is missing from many of its examples.
        known_tasks: the tasks that getResponse knows: ``all`` (Runware's command line finds
            synchronous tasks by it), or those that were acknowledged, ``async`` (community code
            reports a synchronous result that never appeared). A webhook counts as asynchronous.
        running_task: the answer of getResponse to a running task: an item with the status
            ``processing`` as documented, ``empty`` data (seen in community code), or the
            ``error`` taskNotFound.
        unknown_task: the answer of getResponse to an unknown task: the ``error`` taskNotFound
            (Runware's SDKs), or ``empty`` data (seen in community code).
        visible_after: seconds after which a task that has arrived is visible to getResponse and
            getTaskDetails; 0 for at once. Unknown.
        details: the answer of getTaskDetails: the request with its own ``answer``, as documented;
            the request with the ``last_response`` to its taskUUID, even if that is the refusal of
            a resend, or the end of a wait (seen in community code); the request with ``null`` for
            the response (seen in community code); or ``nothing``, the error taskNotFound.
        replay: when a resumed session gets the results that it missed: ``before`` or ``after``
            the answer to its authentication, or never (``none``). The documentation promises the
            replay; Runware's Python SDK relied on it until 1.7.6, and does not any more.
        unknown_session: the answer to a session UUID that is unknown or has expired: a ``new``
            session, the ``same`` UUID as if it were known, an ``error``, or ``close``: the
            connection is closed without an answer. Unknown.
        sync_wait_ends: the end of the wait for a synchronous task on a WebSocket: the ``error``
            timeout, or ``silence``. Unknown. The task continues in either case.
        retention: the time for which a result can be asked for: ``long`` (the setting
            `task_memory`), or the task's ``ttl``, after which its image is deleted as well.
            Runware documents the latter for organisations with Zero Data Retention; community
            code reports that their details contain no content.
        answer_type: the taskType of an answered upscale: ``imageUpscale`` as documented, or
            ``upscale`` without inputImageUUID, as in the schema of Runware's Python SDK.
        accepts_uuid7: take a taskUUID that is a UUID v7. The documentation demands v4; community
            code sends v7.
        dry_run: the effect of asking for a dry run: it is ``honoured``, so that a task is checked
            and priced but not run, or ``ignored``, so that it runs. Runware's skills describe the
            former; the shape of the answer is unknown.
        webhook_body: the body of a webhook: the ``flat`` result, or ``wrapped`` in
            ``{"data": [...]}``. Runware's SDKs contain both.
        upload_data: the ``data`` of an answered imageUpload on a WebSocket: an ``object`` as
            documented, or an ``array``, the only form that Runware's Python SDKs read.
        balance: the balance in the details of an account: a ``number`` as documented, or an
            ``object`` as in Runware's Python SDK, which does not define its members.

    Raises:
        InputError: a value is not allowed.
    """

    conflicts: Literal["always", "running", "never"] = "always"
    conflict_delay: float = 0.0
    conflict_names_task: bool = True
    errors_name_task: bool = True
    known_tasks: Literal["all", "async"] = "all"
    running_task: Literal["processing", "empty", "error"] = "processing"
    unknown_task: Literal["error", "empty"] = "error"
    visible_after: float = 0.0
    details: Literal["answer", "last_response", "null", "nothing"] = "answer"
    replay: Literal["after", "before", "none"] = "after"
    unknown_session: Literal["new", "same", "error", "close"] = "new"
    sync_wait_ends: Literal["error", "silence"] = "error"
    retention: Literal["long", "ttl"] = "long"
    answer_type: Literal["imageUpscale", "upscale"] = "imageUpscale"
    accepts_uuid7: bool = False
    dry_run: Literal["honoured", "ignored"] = "honoured"
    webhook_body: Literal["flat", "wrapped"] = "flat"
    upload_data: Literal["object", "array"] = "object"
    balance: Literal["number", "object"] = "number"

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if remedy := _remedy(kind, value):
                raise InputError(name, f"{value!r} is not allowed", f"give {remedy}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Rules:
        """Return the rules with these values, by name, and the documented ones for the rest.

        Raises:
            InputError: a rule is unknown, or its value is not allowed.
        """
        for name in values:
            if name not in _KINDS:
                raise InputError(name, "is not a rule", f"give {_one_of(_KINDS)}")
        return cls(**values)

    def names_task(self, code: str) -> bool:
        """Return True if an error with this code names its task."""
        return self.errors_name_task and (self.conflict_names_task or code != "conflictTaskUUID")


_KINDS = get_type_hints(Rules)


def _remedy(kind: Any, value: Any) -> str:
    """Return the values that are allowed; "" if `value` is one of them."""
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    if choices := get_args(kind):
        return "" if isinstance(value, str) and value in choices else _one_of(choices)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if is_number and 0 <= value < inf else "a number of seconds of 0 or more"


def _one_of(names: Any) -> str:
    return f"one of: {', '.join(names)}"


PRESETS: Mapping[str, Rules] = MappingProxyType(
    {
        # As Runware documents it.
        "documented": Rules(),
        # As Runware's Python SDK 1.8 seems to expect it.
        "sdk-1.8": Rules(
            conflict_delay=1.0,
            replay="none",
            answer_type="upscale",
            upload_data="array",
            balance="object",
        ),
        # As an integration called aflow, and the community code around it, have seen it.
        "aflow": Rules(
            conflicts="running",
            running_task="empty",
            unknown_task="empty",
            details="last_response",
            accepts_uuid7=True,
        ),
        # Nothing that would help a client: a task that was cut off cannot be found again.
        "worst": Rules(
            conflicts="never",
            errors_name_task=False,
            known_tasks="async",
            running_task="empty",
            unknown_task="empty",
            visible_after=3.0,
            details="nothing",
            replay="none",
            unknown_session="close",
            sync_wait_ends="silence",
            retention="ttl",
            answer_type="upscale",
            dry_run="ignored",
            webhook_body="wrapped",
        ),
    }
)
