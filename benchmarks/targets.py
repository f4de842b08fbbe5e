"""What is to be reached, as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .summary import Cell, Summary

__all__ = ["TARGETS", "Target"]

OURS, TRIO, JOURNAL = "ours", "ours-trio", "ours-journal"


@dataclass(frozen=True)
class Target:
    """One row: what is looked at, where, and its limit."""

    name: str
    at_most: float
    value: Callable[[Summary], float | None]


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


TARGETS = (
    Target("a, CPU per task ÷ limit", 1.0, _ratio("a", "cpu_us")),
    Target("b, CPU per task ÷ limit", 1.0, _ratio("b", "cpu_us")),
    Target("c, p50 latency ÷ limit", 1.10, _ratio("c", "p50_ms")),
    Target("d1, CPU per task ÷ limit", 1.05, _ratio("d1", "cpu_us")),
    Target("d1, peak memory ÷ limit", 1.15, _ratio("d1", "peak_mib")),
    Target("e1, CPU per task ÷ limit", 1.10, _ratio("e1", "cpu_us")),
    Target("f, bytes per pending task over its wire bytes", 1024, _plain("f", "pending_bytes")),
    Target(
        "g, CPU per task, 100,000 ÷ 1,000 in flight",
        1.2,
        _between("cpu_us", ("g3", OURS), ("g1", OURS)),
    ),
    Target(
        "g, the same with a caller for each",
        1.2,
        _between("cpu_us", ("g5", OURS), ("g4", OURS)),
    ),
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
)
