"""What the session is told once, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Counters", "Limits", "SessionSettings"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a frame may get. A single task above `max_frame_bytes` travels alone."""

    max_tasks_per_frame: int
    max_frame_bytes: int


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What the session is to hold to; durations in seconds. `journaled`: a task is sent only after
    `Session.kept` was called for it."""

    limits: Limits
    max_retries: int
    auth_timeout: float
    keepalive: float
    ping_timeout: float
    max_reconnect_time: float | None
    journaled: bool = False


@dataclass(slots=True)
class Counters:
    """What happened since the client was opened."""

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    reconnects: int = 0
    recovered: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    garbled: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    cost: float = 0.0
