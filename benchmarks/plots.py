"""The figures as pictures (SVG), which README.md shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .summary import Summary
from .workloads import WORKLOADS

__all__ = ["draw"]

_COLOURS = {"limit": "#777777", "floor": "#bbbbbb", "ours": "#1f6fb4", "peer": "#d98032"}


def draw(summary: Summary, folder: Path) -> None:
    """Draw what there is to draw."""
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib = import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "runware_ws"  # the same figures, the same file
    plot = import_module("matplotlib.pyplot")
    pictures: tuple[tuple[str, Sequence[str], int, Callable[[Any], None]], ...] = (
        ("small.svg", ("a", "b"), 2, lambda axes: _bars(axes, summary, _SMALL)),
        ("latency.svg", ("c",), 2, lambda axes: _bars(axes, summary, _LATENCY)),
        ("large.svg", ("d1", "e1"), 3, lambda axes: _bars(axes, summary, _LARGE)),
        ("flat.svg", ("g1", "g2", "g3"), 1, lambda axes: _curves(axes[0], summary)),
        ("overload.svg", tuple(_ROOMS), 2, lambda axes: _overload(axes, summary)),
        ("mixed.svg", ("mixed",), 2, lambda axes: _mixed(axes, summary)),
    )
    for name, needed, columns, paint in pictures:
        if all(key in summary for key in needed):
            figure, axes = plot.subplots(1, columns, figsize=(5 * columns, 3.2), squeeze=False)
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


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


_ROOMS = {one.key: " → ".join(map(str, one.rooms)) for one in WORKLOADS if one.name == "overload"}
_WHO = {"limit": "by hand", "ours": "this package"}


def _bars(axes: Any, summary: Summary, columns: Sequence[tuple[str, str, str]]) -> None:
    for one, (workload, figure, title) in zip(axes, columns, strict=True):
        values = _values(summary, workload, figure)
        names = list(reversed(values))
        one.barh(names, [values[name] for name in names], color=[_colour(name) for name in names])
        _dress(one, title)


def _overload(axes: Any, summary: Summary) -> None:
    _groups(axes[0], _ROOMS, _by_client(summary, "ideal_percent"))
    _dress(axes[0], "overload: % of the ideal throughput, by room for tasks")
    axes[0].set_xlim(right=115)
    _groups(axes[1], _ROOMS, _by_client(summary, "refused_each"))
    _dress(axes[1], "overload: refusals for each image", "{:.2f}")
    axes[1].legend(loc="lower right", reverse=True)


def _by_client(summary: Summary, figure: str) -> dict[str, list[float]]:
    values = [_values(summary, key, figure) for key in _ROOMS]
    return {name: [one.get(client, 0.0) for one in values] for client, name in _WHO.items()}


def _mixed(axes: Any, summary: Summary) -> None:
    when = {"alone_ms": "alone", "p99_ms": "beside uploads"}
    p99 = {figure: _values(summary, "mixed", figure) for figure in when}
    groups = {name: [p99[figure][client] for figure in when] for client, name in _WHO.items()}
    _groups(axes[0], when, groups)
    _dress(axes[0], "mixed: p99 of small tasks, ms")
    axes[0].legend(loc="lower right", reverse=True)
    line = _values(summary, "mixed", "line_percent")
    names = list(reversed(_WHO))
    colours = [_colour(name) for name in names]
    axes[1].barh([_WHO[name] for name in names], [line[name] for name in names], color=colours)
    _dress(axes[1], "mixed: % of the line that the uploads get")
    axes[1].set_xlim(right=115)


def _groups(axes: Any, groups: Mapping[str, str], values: Mapping[str, Sequence[float]]) -> None:
    """Draw a bar for each client in each group, the first ones on top."""
    height = 0.8 / len(values)
    for number, (client, name) in enumerate(reversed(_WHO.items())):
        places = [place + (number - 0.5) * height for place in range(len(groups))]
        bars = list(reversed(values[name]))
        axes.barh(places, bars, height, color=_colour(client), label=name)
    axes.set_yticks(range(len(groups)), list(groups.values())[::-1])


def _dress(axes: Any, title: str, shown: str | Callable[[float], str] = _label) -> None:
    for bars in axes.containers:
        axes.bar_label(bars, fmt=shown, padding=2)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)


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


def _colour(client: str) -> str:
    return _COLOURS.get(client.partition("-")[0], _COLOURS["peer"])
