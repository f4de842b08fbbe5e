"""The figures as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .summary import Cell, Summary
from .targets import TARGETS, Target
from .workloads import WORKLOADS, Workload

__all__ = ["text_of", "write_into"]

_START, _END = "<!-- figures -->", "<!-- end -->"

_COLUMNS = {
    "cpu_us": "CPU µs/task",
    "per_second": "tasks/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "alone_ms": "p99 alone",
    "line_percent": "line %",
    "ideal_percent": "ideal %",
    "refused_each": "refused",
    "failed_percent": "failed %",
    "peak_mib": "peak MiB",
    "pending_bytes": "B/pending",
    "settled_s": "settled s",
    "again_percent": "again %",
    "frames": "frames",
    "busy_percent": "% of a core",
    "import_ms": "CPU ms",
    "wall_ms": "wall ms",
    "grown_mib": "grown MiB",
    "tiles": "tiles",
    "pixels_mib": "result MiB",
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
    yield f"{'what':<60}{'to reach':>10}{'measured':>10}"
    for target, value in _measured(summary):
        mark = "  missed" if target.is_missed(value) else ""
        yield f"{target.name:<60}{target.wanted:>10}{value:>10,.3g}{mark}"


def write_into(page: Path, summary: Summary) -> None:
    """Write what is to be reached between the marks in a page. What is missed is bold."""
    lines = ["| | to reach | measured |", "|---|---|---|"]
    for target, value in _measured(summary):
        bold = "**" if target.is_missed(value) else ""
        lines.append(f"| {target.name} | {target.wanted} | {bold}{value:,.3g}{bold} |")
    head, start, rest = page.read_text().partition(_START)
    end = rest[rest.index(_END) :]
    page.write_text("\n".join([head + start, *lines, end]))


def _measured(summary: Summary) -> Iterator[tuple[Target, float]]:
    for target in TARGETS:
        value = target.value(summary)
        if value is not None:
            yield target, value


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
