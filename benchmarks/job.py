"""What one client process is told to do, and what it says of it: JSON both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

__all__ = ["KEY", "PHOTOGRAPH", "BaseJob", "Figures", "Job", "SpecialJob"]

Figures = dict[str, float]
KEY = "key"
PHOTOGRAPH = "https://example.com/photographs/2024/summer/IMG_20240713_184502.jpg"


@dataclass(frozen=True)
class BaseJob:
    """One run of one client.

    Attributes:
        client: its name in `benchmarks.clients`.
        url: where the server listens, with the behaviour asked for in its query.
        control: the port of the server's control line.
        tasks: how many are measured.
        in_flight: how many are under way at once.
        warm_up: how many come before that are not measured.
        ideal_s: how long the measured tasks take at least; 0 if nothing says so.
    """

    client: str
    url: str
    control: int
    tasks: int
    in_flight: int
    warm_up: int
    ideal_s: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Job(BaseJob):
    """One run of a client that is driven task by task.

    Attributes:
        kind: a value of `benchmarks.workloads.Kind`.
        file: the path of the input, or "" for a URL.
        as_text: whether the file is handed in as base64 text.
        output_type: how results are asked for.
        settings: the settings of `RunwareClient`.
        line_bytes: what the line takes in a second, over all connections; 0 for no limit.
    """

    kind: str
    file: str
    as_text: bool
    output_type: str
    settings: Mapping[str, int]
    line_bytes: float


@dataclass(frozen=True)
class SpecialJob(BaseJob):
    """One run of a program of its own; see `benchmarks.apart`.

    Attributes:
        actors: number of processes.
        side: width and height of a picture.
    """

    actors: int
    side: int
