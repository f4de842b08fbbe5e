"""What a local Runware does where the facts are unknown, and how long it waits and remembers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf
from typing import Literal

__all__ = ["ServiceSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """The knobs of the service's core; durations are seconds, money is US dollars.

    Attributes:
        api_key: the one key that is accepted.
        image_url: where results are served; the answer appends ``/UUID.ext``.
        restricted_keys: keys that are known but may do nothing: ``forbidden``, HTTP 403 [O].
        idle_timeout: a connection without messages for this long is closed [D].
        session_memory: how long a dropped session, and what it missed, is kept [D].
        unknown_session: what resuming an expired or unknown session gives: ``new``, another
            UUID, or ``error`` [?].
        replay: whether missed results come ``before`` or ``after`` the reply to the
            authentication that resumes [?].
        sync_wait: how long a synchronous task is waited for [S]. It goes on after that.
        sync_wait_ends: what is sent then: an ``error`` with code ``timeout``, or nothing:
            ``silence`` [?].
        unknown_task: what asking for an unknown task gives: an ``error`` with code
            ``taskNotFound``, or ``empty`` data [S][C].
        errors_name_task: whether errors carry their taskUUID; often they do not [D].
        upload_data: whether ``data`` of an answered upload is an ``object`` [D] or an ``array``,
            which is all that the package `runware` understands [S].
        webhook_body: ``data``: ``{"data":[…]}``, or ``flat``: the result alone [S].
        webhook_attempts: how often a webhook, or an upload of a result, is tried [?].
        webhook_delay, webhook_delay_max: the wait after a failed try, doubling [S].
        default_upscale_factor: taken when a request names none [?].
        cost: of one upscaled image.
        credit: what the account holds; None for no end. An empty one gives
            ``insufficientCredits``, HTTP 402 [O].
        max_running: tasks accepted and not finished, at most; None for no limit. More give
            ``rateLimitExceeded``, HTTP 429 [O].
        task_memory: how long a finished task's UUID and result are known [?].
        max_tasks: how many finished tasks are known at most; the oldest are forgotten.
        max_result_bytes: base64 results kept for `getResponse` at most; the oldest go first and
            answer ``taskExpired``. Each session's missed results have the same limit.
        max_records: how many requests and executions the record for tests holds.

    Raises:
        ValueError: a number is negative.
    """

    api_key: str = field(repr=False)
    image_url: str = "http://127.0.0.1/image"
    restricted_keys: frozenset[str] = field(default=frozenset(), repr=False)
    idle_timeout: float = 120.0
    session_memory: float = 120.0
    unknown_session: Literal["new", "error"] = "new"
    replay: Literal["before", "after"] = "after"
    sync_wait: float = 120.0
    sync_wait_ends: Literal["error", "silence"] = "error"
    unknown_task: Literal["error", "empty"] = "error"
    errors_name_task: bool = True
    upload_data: Literal["object", "array"] = "object"
    webhook_body: Literal["data", "flat"] = "data"
    webhook_attempts: int = 7
    webhook_delay: float = 0.25
    webhook_delay_max: float = 8.0
    default_upscale_factor: int = 2
    cost: float = 0.0013
    credit: float | None = None
    max_running: int | None = None
    task_memory: float = 3600.0
    max_tasks: int = 200_000
    max_result_bytes: int = 512 * 1024 * 1024
    max_records: int = 200_000

    def __post_init__(self) -> None:
        for member in fields(self):
            value = getattr(self, member.name)
            if isinstance(value, int | float) and not 0 <= value < inf:
                raise ValueError(f"{member.name} must not be negative, nor without end")
