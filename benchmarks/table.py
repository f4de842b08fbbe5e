"""The figures as text."""

from __future__ import annotations

from collections.abc import Iterator

from .summary import Cell, Summary
from .targets import TARGETS
from .workloads import WORKLOADS, Workload

__all__ = ["text_of"]

_COLUMNS = {
    "cpu_us": "CPU µs/task",
    "per_second": "tasks/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "peak_mib": "peak MiB",
    "pending_bytes": "B/pending",
    "settled_s": "settled s",
    "again_percent": "again %",
    "frames": "frames",
    "busy_percent": "% of a core",
    "import_ms": "CPU ms",
    "wall_ms": "wall ms",
    "grown_mib": "grown MiB",
    "connections": "connections",
    "server_percent": "server %",
}


def text_of(summary: Summary) -> str:
    """All figures."""
    return "\n".join(_lines(summary)) + "\n"


def _lines(summary: Summary) -> Iterator[str]:
    """A table for each workload, and one of what is to be reached."""
    for workload in WORKLOADS:
        if workload.key in summary:
            yield from _workload_lines(workload, summary)
    yield ""
    yield f"{'to be reached':<50}{'at most':>10}{'measured':>10}"
    for target in TARGETS:
        value = target.value(summary)
        if value is not None:
            mark = "" if value <= target.at_most else "  missed"
            yield f"{target.name:<50}{target.at_most:>10g}{value:>10.4g}{mark}"


def _workload_lines(workload: Workload, summary: Summary) -> Iterator[str]:
    clients = summary[workload.key]
    seen = {name for cells in clients.values() if isinstance(cells, dict) for name in cells}
    columns = [name for name in _COLUMNS if name in seen]
    yield ""
    yield f"{workload.key}: {workload.title}"
    head = "".join(f"{_COLUMNS[name]:>12}" for name in columns)
    yield f"{'':14}{head}{'÷ limit':>10}{'spread':>8}   (of {_COLUMNS[workload.main]})"
    for client, cells in clients.items():
        if isinstance(cells, str):
            yield f"{client:14}{cells}"
        else:
            figures = "".join(f"{_shown(cells.get(name)):>12}" for name in columns)
            main = cells[workload.main]
            ratio = "" if main.ratio is None else f"{main.ratio:.2f}"
            yield f"{client:14}{figures}{ratio:>10}{main.spread:>8.0%}"


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{cell.middle:,.0f}" if abs(cell.middle) >= 1000 else f"{cell.middle:.3g}"
