"""What is measured: one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

__all__ = ["WORKLOADS", "Kind", "Line", "Workload", "chosen", "chosen_one"]

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


class Kind(Enum):
    """How a workload is driven.

    See `benchmarks.child.drive`, `benchmarks.startup` and `benchmarks.apart`.
    """

    CLOSED = "closed"  # so many callers, each of whom awaits one task after another
    WINDOW = "window"  # so many handed in at once, awaited one after another
    PENDING = "pending"  # all submitted and held by the server, measured, then let go
    DROPPED = "dropped"  # the same, but the connection drops
    IDLE = "idle"  # the same, and nothing happens
    OVERLOAD = "overload"  # all handed in at once, to a server without room for all
    MIXED = "mixed"  # small tasks alone, then beside uploads
    STARTUP = "startup"  # no server: import time
    DOWNLOADS = "downloads"  # no WebSocket: results that are links, saved as files
    ACTORS = "actors"  # processes that work on a table of images
    LARGE = "large"  # a picture in tiles


@dataclass(frozen=True)
class Line:
    """A line between client and server.

    Attributes:
        mbit: megabits a second, each way.
        connections: how many connections have such a line each; 1 for one line for all.
    """

    mbit: int
    connections: int = 1

    @property
    def total_bytes(self) -> float:
        """Bytes a second, over all connections."""
        return self.mbit * 1e6 / 8 * self.connections


# Room for tasks, milliseconds that each takes, and images: they keep the server busy for seconds.
_OVERLOADS = (
    ((2,), 50, 200),
    ((8,), 50, 600),
    ((32,), 50, 1_200),
    ((200,), 100, 6_000),
    ((32, 4), 50, 600),
    ((4, 32), 50, 600),
)


@dataclass(frozen=True)
class Workload:
    """One row.

    Attributes:
        key: its name in README.md, and which row of this name it is: ``a``, ``g3``, ``gate-256``.
        title: what it is, in words.
        in_flight: how many tasks are under way at once.
        tasks: how many are measured; peers get a tenth of it.
        results_per_frame: how many results the server puts into one frame.
        result_bytes: size of the image in the answer, or behind its URL; 0 for a URL alone.
        file_bytes: size of the file that is the input; 0 for a URL.
        as_text: whether the file is handed in as base64 text.
        distance_ms: the time that a request for a file behind a URL takes to and fro.
        settings: the settings of `RunwareClient`; None to let it have `in_flight` tasks.
        task_ms: how long the server takes for a task.
        rooms: how many tasks the server runs at once, others are refused. The second number holds
            when half of the tasks are finished. Empty for any number.
        unnamed: whether the refusals do not name their tasks.
        line: the line to the server, or None for one without limits.
        actors: number of processes; each has a batch of `in_flight` images under way.
        side: width and height of a picture.
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
    as_text: bool = False
    distance_ms: int = 0
    settings: Mapping[str, int] | None = None
    task_ms: int = 0
    rooms: tuple[int, ...] = ()
    unnamed: bool = False
    line: Line | None = None
    actors: int = 0
    side: int = 0
    turns: int = 1

    @property
    def name(self) -> str:
        """The key without what tells the rows of this name apart."""
        is_numbered = self.key[1:].isdecimal()
        return self.key[0] if is_numbered else self.key.partition("-")[0]

    @property
    def ideal_s(self) -> float:
        """How long the tasks take at least: so many run at once."""
        rooms = (self.actors * self.in_flight,) if self.actors else self.rooms
        return sum(self.tasks / len(rooms) / room * self.task_ms / 1000 for room in rooms)

    def count(self, quick: bool) -> int:
        """How many tasks are measured: of most kinds, a quarter will do."""
        shrinks = self.kind in (Kind.CLOSED, Kind.WINDOW, Kind.DOWNLOADS)
        return max(self.tasks // 4, self.in_flight) if quick and shrinks else self.tasks

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
    Workload(
        "e3",
        "1 MiB files as inputs, 32 in flight",
        Kind.CLOSED,
        32,
        512,
        "peak_mib",
        file_bytes=MEBIBYTE,
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
    Workload(
        "gate-256",
        "256 callers, default settings",
        Kind.CLOSED,
        256,
        20_000,
        "cpu_us",
        settings={},
    ),
    Workload(
        "gate-10k",
        "10,000 callers, default settings",
        Kind.CLOSED,
        10_000,
        100_000,
        "cpu_us",
        settings={},
    ),
    Workload(
        "base64",
        "base64 text of 4 MiB as inputs, 8 in flight",
        Kind.CLOSED,
        8,
        64,
        "cpu_us",
        file_bytes=3 * MEBIBYTE,
        as_text=True,
    ),
    Workload("telemetry", "as a, watched by telemetry", Kind.CLOSED, 256, 20_000, "cpu_us"),
    *(
        Workload(
            "-".join((name, *map(str, rooms))),
            f"{tasks:,} images handed in at once, room for {', then '.join(map(str, rooms))}{what}",
            Kind.OVERLOAD,
            tasks,
            tasks,
            "ideal_percent",
            settings={},
            task_ms=task_ms,
            rooms=rooms,
            unnamed=name == "unnamed",
        )
        for name, what in (("overload", ""), ("unnamed", "; refusals name no task"))
        for rooms, task_ms, tasks in _OVERLOADS
    ),
    Workload(
        "mixed",
        "small tasks of 20 ms beside files of 4 MiB, 4 callers each, one line of 100 Mbit/s",
        Kind.MIXED,
        4,
        16,
        "p99_ms",
        file_bytes=4 * MEBIBYTE,
        settings={},
        task_ms=20,
        line=Line(100),
    ),
    *(
        Workload(
            f"{key}-{connections}",
            f"{what}, 16 in flight, {connections} x 20 MB/s",
            Kind.CLOSED,
            16,
            tasks,
            "per_second",
            file_bytes=file_bytes,
            result_bytes=result_bytes,
            settings={"connections": connections},
            line=Line(160, connections),
        )
        for key, what, tasks, file_bytes, result_bytes in (
            ("striping", "files of 4 MiB as inputs", 32, 4 * MEBIBYTE, 0),
            ("striping-1mib", "files of 1 MiB as inputs", 256, MEBIBYTE, 0),
            ("striping-down", "images of 1 MiB as base64 results", 256, 0, MEBIBYTE),
        )
        for connections in (1, 2, 4)
    ),
    *(
        Workload(
            f"actors-{actors}",
            f"{actors} x batches of 32 images of a table, 0.5 s each",
            Kind.ACTORS,
            32,
            192 * actors,
            "per_second",
            task_ms=500,
            actors=actors,
        )
        for actors in (1, 2, 4)
    ),
    *(
        Workload(
            f"large-{side}",
            f"a picture of {side:,} x {side:,} pixels, twice as large, in tiles",
            Kind.LARGE,
            8,
            1,
            "grown_mib",
            side=side,
        )
        for side in (2_000, 4_000, 8_000)
    ),
)


def chosen(text: str) -> list[Workload]:
    """The workloads named, as in ``a,c,g3``; a name alone stands for all of its rows.

    Raises:
        ValueError: there is none of that name.
    """
    names = [name.strip() for name in text.split(",")]
    known = {one.name for one in WORKLOADS} | {one.key for one in WORKLOADS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no such workload: {', '.join(unknown)}")
    return [one for one in WORKLOADS if one.key in names or one.name in names]


def chosen_one(key: str) -> Workload:
    """The workload named.

    Raises:
        ValueError: there is none of that name, or there are several.
    """
    found = chosen(key)
    if len(found) > 1:
        raise ValueError(f"that is several: {', '.join(one.key for one in found)}")
    return found[0]
