"""What is measured: one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["WORKLOADS", "Kind", "Workload", "chosen", "chosen_one"]

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


class Kind(Enum):
    """How a workload is driven.

    See `benchmarks.child.drive`, `benchmarks.startup` and `benchmarks.downloads`.
    """

    CLOSED = "closed"  # so many callers, each of whom awaits one task after another
    WINDOW = "window"  # so many handed in at once, awaited one after another
    PENDING = "pending"  # all submitted and held by the server, measured, then let go
    DROPPED = "dropped"  # the same, but the connection drops
    IDLE = "idle"  # the same, and nothing happens
    STARTUP = "startup"  # no server: import time
    DOWNLOADS = "downloads"  # no WebSocket: results that are links, saved as files


@dataclass(frozen=True)
class Workload:
    """One row.

    Attributes:
        key: its letter in README.md, and a number if the letter has several rows.
        title: what it is, in words.
        in_flight: how many tasks are under way at once.
        tasks: how many are measured; peers get a tenth of it.
        results_per_frame: how many results the server puts into one frame.
        result_bytes: size of the image in the answer, or behind its URL; 0 for a URL alone.
        file_bytes: size of the file that is the input; 0 for a URL.
        distance_ms: the time that a request for a file behind a URL takes to and fro.
        main: the figure that is compared first.
        turns: how often each client does it in a round; of what depends on where the system
            has put the processes, one turn says little.
    """

    key: str
    title: str
    kind: Kind
    in_flight: int
    tasks: int
    main: str
    results_per_frame: int = 1
    result_bytes: int = 0
    file_bytes: int = 0
    distance_ms: int = 0
    turns: int = 1

    @property
    def letter(self) -> str:
        return self.key[0]

    @property
    def warm_up(self) -> int:
        """Tasks before the measured ones."""
        return max(min(self.tasks // 8, 2_000), min(self.in_flight, self.tasks // 8))


WORKLOADS = (
    Workload("a", "256 in flight, one result a frame", Kind.CLOSED, 256, 20_000, "cpu_us"),
    Workload(
        "b",
        "256 in flight, 32 results a frame",
        Kind.CLOSED,
        256,
        20_000,
        "cpu_us",
        results_per_frame=32,
    ),
    Workload("c", "one at a time", Kind.CLOSED, 1, 1_000, "p50_ms", turns=5),
    Workload(
        "d1",
        "4 MiB images as base64 results, 8 in flight",
        Kind.CLOSED,
        8,
        64,
        "cpu_us",
        result_bytes=4 * MEBIBYTE,
    ),
    Workload(
        "d2",
        "64 KiB images as base64 results, 32 in flight",
        Kind.CLOSED,
        32,
        4_000,
        "cpu_us",
        result_bytes=64 * KIBIBYTE,
    ),
    Workload(
        "e1",
        "4 MiB files as inputs, 8 in flight",
        Kind.CLOSED,
        8,
        64,
        "cpu_us",
        file_bytes=4 * MEBIBYTE,
    ),
    Workload(
        "e2",
        "32 KiB files as inputs, 32 in flight",
        Kind.CLOSED,
        32,
        4_000,
        "cpu_us",
        file_bytes=32 * KIBIBYTE,
    ),
    Workload("f", "100,000 pending", Kind.PENDING, 100_000, 100_000, "pending_bytes"),
    Workload("g1", "1,000 in flight", Kind.WINDOW, 1_000, 100_000, "cpu_us"),
    Workload("g2", "10,000 in flight", Kind.WINDOW, 10_000, 100_000, "cpu_us"),
    Workload("g3", "100,000 in flight", Kind.WINDOW, 100_000, 100_000, "cpu_us"),
    Workload("g4", "1,000 callers", Kind.CLOSED, 1_000, 100_000, "cpu_us"),
    Workload("g5", "100,000 callers", Kind.CLOSED, 100_000, 100_000, "cpu_us"),
    Workload("h", "10,000 in flight at a drop", Kind.DROPPED, 10_000, 10_000, "settled_s"),
    Workload("i", "idle with 10,000 pending", Kind.IDLE, 10_000, 10_000, "busy_percent"),
    Workload("j", "import", Kind.STARTUP, 0, 0, "import_ms"),
    Workload(
        "p1",
        "100 KiB images behind links, 32 at once, 20 ms away",
        Kind.DOWNLOADS,
        32,
        400,
        "wall_ms",
        result_bytes=100 * KIBIBYTE,
        distance_ms=20,
    ),
    Workload(
        "p2",
        "4 MiB images behind links, 8 at once",
        Kind.DOWNLOADS,
        8,
        64,
        "cpu_us",
        result_bytes=4 * MEBIBYTE,
    ),
    Workload(
        "p3",
        "an image of 256 MiB behind a link",
        Kind.DOWNLOADS,
        1,
        1,
        "grown_mib",
        result_bytes=256 * MEBIBYTE,
    ),
)


def chosen(letters: str) -> list[Workload]:
    """The workloads named, as in ``a,c,g3``; a letter stands for all of its rows.

    Raises:
        ValueError: there is none of that name.
    """
    names = [name.strip() for name in letters.split(",")]
    known = {one.letter for one in WORKLOADS} | {one.key for one in WORKLOADS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no such workload: {', '.join(unknown)}")
    return [one for one in WORKLOADS if one.key in names or one.letter in names]


def chosen_one(key: str) -> Workload:
    """The workload named.

    Raises:
        ValueError: there is none of that name, or there are several.
    """
    found = chosen(key)
    if len(found) > 1:
        raise ValueError(f"that is several: {', '.join(one.key for one in found)}")
    return found[0]
