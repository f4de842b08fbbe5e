"""What one client process is told to do, and what it says of it: JSON both ways."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

__all__ = ["Figures", "Job"]

Figures = dict[str, float]


@dataclass(frozen=True)
class Job:
    """One run of one client.

    Attributes:
        client: its name in `benchmarks.clients`.
        kind: a value of `benchmarks.workloads.Kind`.
        url: where the load server listens, with the behaviour asked for in its query.
        control: the port of the server's control line.
        in_flight, tasks, warm_up: see `benchmarks.workloads.Workload`.
        image: a URL, or the path of a file.
        is_file: whether it is the latter.
        output_type: how results are asked for.
    """

    client: str
    kind: str
    url: str
    control: int
    in_flight: int
    tasks: int
    warm_up: int
    image: str
    is_file: bool
    output_type: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        return cls(**json.loads(text))
