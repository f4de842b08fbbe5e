"""The settings of the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from ...protocol.request import DOCUMENTED_PRICE
from .rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Settings of the emulator. Durations are seconds, sizes are bytes, money is US dollars.

    Attributes:
        api_key: the key that is accepted.
        rules: behaviour that Runware does not document.
        restricted_keys: keys that are known but have no permission; they get ``forbidden``.
        image_url: the URL below which results are served; `Emulator` sets it.
        idle_timeout: time without a message after which a connection is closed.
        session_memory: how long a session without a connection is kept, with its results.
        sync_wait: how long the service waits for the result of a synchronous task. After that the
            task continues, and its result can be polled.
        default_ttl: how long a result without ``ttl`` is kept, if the rules say that results are
            kept for their ttl.
        webhook_timeout: time limit for the answer to a webhook.
        webhook_attempts: total number of attempts of a webhook, or of the upload of a result.
        webhook_delay: the delay before the first retry of a webhook. It doubles with each retry.
        webhook_delay_max: the longest delay between two attempts.
        default_upscale_factor: the factor of a request that has none.
        cost: the cost of one upscaled image.
        credit: the credit of the account; None for no limit. A task that costs more is refused with
            ``insufficientCredits``.
        made_up_balance: the balance in the details of an account without a limit.
        max_running: maximum number of unfinished tasks; None for no limit. Further tasks are
            refused with ``rateLimitExceeded``.
        task_memory: how long the UUID and the result of a finished task are known.
        max_tasks: maximum number of finished tasks that are known; the oldest are forgotten.
        max_result_bytes: the total size of the base64 results that can be polled. The oldest are
            replaced by ``taskExpired``. Results that a session missed have the same limit.
        max_records: maximum number of entries in `Emulator.requests` and `Emulator.executions`.
        latency: seconds added to each upscale, to simulate a model. Any number of tasks wait in
            parallel.
        brightness_jitter: how much brighter or darker a result may be than its image, as with a
            model; 0.02 is 2 %. It is derived from the content of the image.
        workers: number of images that are processed in parallel; None for one per processor, at
            most 8.
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
    cost: float = DOCUMENTED_PRICE
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
                raise ValueError(f"{member.name} must be a finite number of at least 0")

    def image_lifetime(self, options: Mapping[str, Any]) -> float | None:
        """Return the seconds for which the image of a task is kept; None for no limit."""
        if self.rules.retention == "ttl":
            return self.result_lifetime(options)
        ttl: float | None = options.get("ttl") if options["outputType"] == "URL" else None
        return ttl

    def result_lifetime(self, options: Mapping[str, Any]) -> float:
        """Return the seconds for which the result of a task can be asked for."""
        if self.rules.retention == "ttl":
            return min(float(options.get("ttl", self.default_ttl)), self.task_memory)
        return self.task_memory
