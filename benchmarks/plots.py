"""The figures as pictures (SVG), which README.md shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .summary import Summary

__all__ = ["draw"]

_COLOURS = {"limit": "#777777", "floor": "#bbbbbb", "ours": "#1f6fb4", "peer": "#d98032"}


def draw(summary: Summary, folder: Path) -> None:
    """Draw what there is to draw."""
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib = import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "runware_ws"  # the same figures, the same file
    plot = import_module("matplotlib.pyplot")
    pictures: tuple[tuple[str, Sequence[str], Callable[[Any], None]], ...] = (
        ("small.svg", ("a", "b"), lambda axes: _bars(axes, summary, _SMALL)),
        ("latency.svg", ("c",), lambda axes: _bars(axes, summary, _LATENCY)),
        ("large.svg", ("d1", "e1"), lambda axes: _bars(axes, summary, _LARGE)),
        ("flat.svg", ("g1", "g2", "g3"), lambda axes: _curves(axes[0], summary)),
    )
    columns = {"small.svg": 2, "latency.svg": 2, "large.svg": 3, "flat.svg": 1}
    for name, needed, paint in pictures:
        if all(key in summary for key in needed):
            figure, axes = plot.subplots(
                1, columns[name], figsize=(5 * columns[name], 3.2), squeeze=False
            )
            paint(axes[0])
            figure.tight_layout()
            figure.savefig(folder / name, metadata={"Date": None})
            plot.close(figure)


_SMALL = (
    ("a", "cpu_us", "a: one result a frame, CPU µs per task"),
    ("b", "cpu_us", "b: 32 results a frame, CPU µs per task"),
)
_LATENCY = (
    ("c", "p50_ms", "c: one at a time, p50 ms"),
    ("c", "p99_ms", "c: one at a time, p99 ms"),
)
_LARGE = (
    ("d1", "cpu_us", "d1: 4 MiB results, CPU µs per task"),
    ("d1", "peak_mib", "d1: 4 MiB results, peak MiB"),
    ("e1", "cpu_us", "e1: 4 MiB files, CPU µs per task"),
)


def _bars(axes: Any, summary: Summary, columns: Sequence[tuple[str, str, str]]) -> None:
    for one, (workload, figure, title) in zip(axes, columns, strict=True):
        values = _values(summary, workload, figure)
        names = list(reversed(values))
        one.barh(names, [values[name] for name in names], color=[_colour(name) for name in names])
        one.bar_label(one.containers[0], fmt=_label, padding=2)
        one.set_title(title, fontsize=10)
        one.spines[["top", "right"]].set_visible(False)
        one.margins(x=0.15)


def _curves(axes: Any, summary: Summary) -> None:
    sizes = (1_000, 10_000, 100_000)
    for client in summary["g1"]:
        values = [_values(summary, key, "cpu_us").get(client) for key in ("g1", "g2", "g3")]
        if None not in values:
            axes.plot(sizes, values, marker="o", label=client)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_title("g: CPU µs per task, by tasks in flight", fontsize=10)
    axes.legend()


def _values(summary: Summary, workload: str, figure: str) -> dict[str, float]:
    return {
        client: cells[figure].middle
        for client, cells in summary[workload].items()
        if isinstance(cells, dict) and figure in cells
    }


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _colour(client: str) -> str:
    return _COLOURS.get(client.partition("-")[0], _COLOURS["peer"])
