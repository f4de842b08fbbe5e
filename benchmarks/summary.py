"""Medians, spreads, and ratios to the limit."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from .clients import LIMIT
from .job import Figures
from .rounds import Result

__all__ = ["Cell", "Summary", "summarise"]


@dataclass(frozen=True)
class Cell:
    """One figure of one client in one workload.

    Attributes:
        middle: the median over the turns.
        spread: the distance of its extremes, as a share of the median.
        ratio: the median of the ratios to the limit in the same turn; None without a limit.
    """

    middle: float
    spread: float
    ratio: float | None


Summary = dict[str, dict[str, dict[str, Cell] | str]]
"""Workload → client → figure → cell, or why there are none."""


def summarise(result: Result) -> Summary:
    """All cells."""
    return {
        workload: {
            client: rounds if isinstance(rounds, str) else _cells(rounds, clients.get(LIMIT))
            for client, rounds in clients.items()
        }
        for workload, clients in result.items()
    }


def _cells(rounds: list[Figures], limit: list[Figures] | str | None) -> dict[str, Cell]:
    return {name: _cell(name, rounds, limit) for name in rounds[0]}


def _cell(name: str, rounds: list[Figures], limit: list[Figures] | str | None) -> Cell:
    values = [figures[name] for figures in rounds]
    middle = median(values)
    spread = (max(values) - min(values)) / abs(middle) if middle else 0.0
    ratio = None
    if isinstance(limit, list):
        pairs = [
            (figures[name], other[name])
            for figures, other in zip(rounds, limit, strict=True)
            if other.get(name)
        ]
        ratio = median(ours / theirs for ours, theirs in pairs) if pairs else None
    return Cell(middle, spread, ratio)
