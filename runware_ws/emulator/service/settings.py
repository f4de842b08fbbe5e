"""The settings of the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from .rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Settings of the emulator. Durations are seconds, sizes are bytes, money is US dollars.

    Attributes:
        api_key: the key that is accepted.
        rules: how the service behaves where its documentation says nothing.
        restricted_keys: keys that are known but have no permission; they get ``forbidden``.
        image_url: the URL below which results are served; `Emulator` sets it.
        idle_timeout: a connection on which no message was exchanged for this long is closed.
        session_memory: how long a session without a connection is kept, with its results.
        sync_wait: how long the result of a synchronous task is waited for. The task goes on after
            that, and its result can be polled.
        default_ttl: how long a result without a ``ttl`` of its own is kept, where the rules say
            that it is kept for its ttl.
        webhook_timeout: how long the answer to a webhook is waited for.
        webhook_attempts: how often a webhook, or the upload of a result, is tried in all.
        webhook_delay: the delay before the first retry of a webhook. It doubles with each retry.
        webhook_delay_max: the longest delay between two attempts.
        default_upscale_factor: the factor of a request that has none.
        cost: the cost of one upscaled image.
        credit: the credit of the account; None for no limit. A task that it does not cover gets
            ``insufficientCredits``.
        made_up_balance: the balance that an account without a limit has in its details.
        max_running: the number of unfinished tasks; None for no limit. A further task gets
            ``rateLimitExceeded``.
        task_memory: how long the UUID and the result of a finished task are known.
        max_tasks: how many finished tasks are known at most; the oldest are forgotten.
        max_result_bytes: the total size of the base64 results that can be polled; of the oldest,
            only ``taskExpired`` is left. The results that one session missed have the same limit.
        max_records: how many requests and executions `Emulator.requests` and
            `Emulator.executions` hold.
        latency: seconds that each upscale takes longer, as if a model were at work. Any number of
            tasks wait side by side.
        brightness_jitter: how much brighter or darker a result may be than its image, as results of
            a model are; 0.02 is 2 %. It follows from the content of the image.
        workers: how many images are worked on at once; None for one per processor, 8 at most.
        max_frame_bytes: the largest WebSocket message that is accepted.
        max_image_bytes: the total size of the inputs and results in memory; the oldest are
            dropped.
        max_download_bytes: the largest image that is downloaded.

    Raises:
        ValueError: a number is negative, infinite or not a number.
    """

    api_key: str = field(repr=False)
    rules: Rules = field(default_factory=Rules)
    restricted_keys: frozenset[str] = field(default=frozenset(), repr=False)
    image_url: str = "http://127.0.0.1/image"
    idle_timeout: float = 120.0
    session_memory: float = 120.0
    sync_wait: float = 120.0
    default_ttl: float = 60.0
    webhook_timeout: float = 5.0
    webhook_attempts: int = 7
    webhook_delay: float = 0.25
    webhook_delay_max: float = 8.0
    default_upscale_factor: int = 2
    cost: float = 0.0013
    credit: float | None = None
    made_up_balance: float = 1000.0
    max_running: int | None = None
    task_memory: float = 3600.0
    max_tasks: int = 200_000
    max_result_bytes: int = 512 * 1024 * 1024
    max_records: int = 200_000
    latency: float = 0.0
    brightness_jitter: float = 0.0
    workers: int | None = None
    max_frame_bytes: int = 256 * 1024 * 1024
    max_image_bytes: int = 512 * 1024 * 1024
    max_download_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        for member in fields(self):
            value = getattr(self, member.name)
            if isinstance(value, int | float) and not 0 <= value < inf:
                raise ValueError(f"{member.name} must not be negative, nor without end")

    def image_lifetime(self, options: Mapping[str, Any]) -> float | None:
        """Return how long the image of a task with these options is kept; None for no limit."""
        if self.rules.retention == "ttl":
            return self.result_lifetime(options)
        ttl: float | None = options.get("ttl") if options["outputType"] == "URL" else None
        return ttl

    def result_lifetime(self, options: Mapping[str, Any]) -> float:
        """Return how long the result of a task with these options can be asked for."""
        if self.rules.retention == "ttl":
            return min(float(options.get("ttl", self.default_ttl)), self.task_memory)
        return self.task_memory
