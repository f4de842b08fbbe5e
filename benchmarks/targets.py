"""What is to be reached, as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .clients import LIMIT
from .summary import Cell, Summary

__all__ = ["TARGETS", "Target"]

OURS, TRIO, JOURNAL = "ours", "ours-trio", "ours-journal"


@dataclass(frozen=True)
class Target:
    """One row.

    Attributes:
        name: what is looked at.
        bound: what is to be reached; None if there is only something to be seen.
        value: finds it; None if it was not measured.
        at_least: whether the value must not be lower than the bound; else it must not be higher.
    """

    name: str
    bound: float | None
    value: Callable[[Summary], float | None]
    at_least: bool = False

    @property
    def wanted(self) -> str:
        """The bound, in words."""
        return "" if self.bound is None else f"{'≥' if self.at_least else '≤'} {self.bound:,g}"

    def is_missed(self, value: float) -> bool:
        """Return whether a value is beyond the bound."""
        if self.bound is None:
            return False
        return value < self.bound if self.at_least else value > self.bound


def _cell(summary: Summary, workload: str, client: str, figure: str) -> Cell | None:
    cells = summary.get(workload, {}).get(client)
    return cells.get(figure) if isinstance(cells, dict) else None


def _ratio(workload: str, figure: str) -> Callable[[Summary], float | None]:
    def value(summary: Summary) -> float | None:
        cell = _cell(summary, workload, OURS, figure)
        return cell.ratio if cell else None

    return value


def _plain(workload: str, figure: str) -> Callable[[Summary], float | None]:
    def value(summary: Summary) -> float | None:
        cell = _cell(summary, workload, OURS, figure)
        return cell.middle if cell else None

    return value


def _between(
    figure: str, one: tuple[str, str], other: tuple[str, str]
) -> Callable[[Summary], float | None]:
    """The figure of one (workload, client) over that of another."""

    def value(summary: Summary) -> float | None:
        above, below = _cell(summary, *one, figure), _cell(summary, *other, figure)
        return above.middle / below.middle if above and below else None

    return value


def _growth(one: str, other: str) -> Callable[[Summary], float | None]:
    """By how much CPU per task grows from one workload to another, beside that of the limit."""

    def value(summary: Summary) -> float | None:
        ours = _between("cpu_us", (other, OURS), (one, OURS))(summary)
        limit = _between("cpu_us", (other, LIMIT), (one, LIMIT))(summary)
        return ours / limit if ours and limit else None

    return value


def _worst(
    worst: Callable[[list[float]], float], figure: str, *workloads: str
) -> Callable[[Summary], float | None]:
    def value(summary: Summary) -> float | None:
        cells = [_cell(summary, workload, OURS, figure) for workload in workloads]
        values = [cell.middle for cell in cells if cell]
        return worst(values) if len(values) == len(workloads) else None

    return value


def _beside(summary: Summary) -> float | None:
    """How many times the p99 alone the p99 beside uploads is, 10 ms not counted."""
    beside, alone = (_cell(summary, "mixed", OURS, figure) for figure in ("p99_ms", "alone_ms"))
    return (beside.middle - 10) / alone.middle if beside and alone else None


_STEADY = ("overload-8", "overload-32", "overload-200")
_HARD = ("overload-2", "overload-32-4", "overload-4-32")
_UNNAMED = tuple(one.replace("overload", "unnamed") for one in (*_STEADY, *_HARD))
_WATCHED = ("telemetry", OURS)

TARGETS = (
    Target("a, CPU per task ÷ limit", 0.8, _ratio("a", "cpu_us")),
    Target("b, CPU per task ÷ limit", 0.8, _ratio("b", "cpu_us")),
    Target("c, p50 latency ÷ limit", 0.9, _ratio("c", "p50_ms")),
    Target("d1, CPU per task ÷ limit", 1.05, _ratio("d1", "cpu_us")),
    Target("d1, peak memory ÷ limit", 1.15, _ratio("d1", "peak_mib")),
    Target("e1, CPU per task ÷ limit", 1.10, _ratio("e1", "cpu_us")),
    Target("e3, peak memory ÷ limit", 1.15, _ratio("e3", "peak_mib")),
    Target("f, bytes per pending task over its wire bytes", 1024, _plain("f", "pending_bytes")),
    Target(
        "g, CPU per task, 100,000 ÷ 1,000 in flight",
        1.2,
        _between("cpu_us", ("g3", OURS), ("g1", OURS)),
    ),
    Target("g, the same with a caller for each, ÷ that of the limit", 1.0, _growth("g4", "g5")),
    Target("h, seconds from the new connection to the last", 2.0, _plain("h", "settled_s")),
    Target("h, % of the bytes sent again", 50, _plain("h", "again_percent")),
    Target("i, % of a core", 1.0, _plain("i", "busy_percent")),
    Target("j, import ÷ limit", 1.3, _ratio("j", "import_ms")),
    Target("p1, wall time ÷ limit", 1.1, _ratio("p1", "wall_ms")),
    Target("p1, CPU per result ÷ limit", 1.1, _ratio("p1", "cpu_us")),
    Target("p1, connections", 32, _plain("p1", "connections")),
    Target("p2, CPU per result ÷ limit", 1.1, _ratio("p2", "cpu_us")),
    Target("p3, memory in MiB", 32, _plain("p3", "grown_mib")),
    Target("a, trio ÷ asyncio, CPU per task", 2.0, _between("cpu_us", ("a", TRIO), ("a", OURS))),
    Target("a, journal ÷ none, CPU per task", 2.5, _between("cpu_us", ("a", JOURNAL), ("a", OURS))),
    Target("gate-256, CPU per task ÷ limit", 1.0, _ratio("gate-256", "cpu_us")),
    Target("gate-10k, CPU per task ÷ limit", 1.0, _ratio("gate-10k", "cpu_us")),
    Target("base64, CPU per task ÷ limit", 1.1, _ratio("base64", "cpu_us")),
    Target(
        "overload, % of the ideal throughput, at worst",
        70,
        _worst(min, "ideal_percent", *_STEADY, *_HARD),
        at_least=True,
    ),
    Target("overload, % that failed", 0, _worst(max, "failed_percent", *_STEADY, *_HARD)),
    Target("overload, refusals an image, 8, 32, 200", 0.10, _worst(max, "refused_each", *_STEADY)),
    Target("overload, the same, 2 and changing", 0.25, _worst(max, "refused_each", *_HARD)),
    Target(
        "the same if refusals name no task, % of the ideal, at worst",
        70,
        _worst(min, "ideal_percent", *_UNNAMED),
        at_least=True,
    ),
    Target("the same, % that failed", 0, _worst(max, "failed_percent", *_UNNAMED)),
    Target("the same, refusals an image", 0.25, _worst(max, "refused_each", *_UNNAMED)),
    Target("mixed, p99 beside uploads less 10 ms ÷ alone", 3.0, _beside),
    Target("mixed, % of the line that uploads get", 90, _plain("mixed", "line_percent"), True),
    *(
        Target(
            f"{what}, throughput, {connections} connections ÷ 1",
            bound,
            _between("per_second", (f"{key}-{connections}", OURS), (f"{key}-1", OURS)),
            at_least=True,
        )
        for key, what in (
            ("striping", "striping"),
            ("striping-1mib", "the same with files of 1 MiB"),
            ("striping-down", "the same with results of 1 MiB"),
        )
        for connections, bound in ((2, None), (4, 3.5))
    ),
    Target(
        "telemetry, CPU per task, API alone ÷ not watched",
        None,
        _between("cpu_us", ("telemetry", "ours-otel-off"), _WATCHED),
    ),
    Target(
        "telemetry, CPU per task, SDK ÷ not watched",
        None,
        _between("cpu_us", ("telemetry", "ours-otel-on"), _WATCHED),
    ),
    Target(
        "actors, throughput, 2 ÷ 1",
        None,
        _between("per_second", ("actors-2", OURS), ("actors-1", OURS)),
    ),
    Target(
        "actors, throughput, 4 ÷ 1",
        None,
        _between("per_second", ("actors-4", OURS), ("actors-1", OURS)),
    ),
    Target("actors, CPU per image ÷ plain client", None, _ratio("actors-1", "cpu_us")),
    Target(
        "large, memory for 16 times the pixels",
        None,
        _between("grown_mib", ("large-8000", OURS), ("large-2000", OURS)),
    ),
)
