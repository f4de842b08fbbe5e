"""Workload p: results that are links, saved as files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from .clients import LIMIT
from .job import Figures
from .runs import run_child, server_for
from .workloads import Workload

__all__ = ["DOWNLOAD_CLIENTS", "DownloadJob", "download"]

DOWNLOAD_CLIENTS = (LIMIT, "ours", "ours-trio")


@dataclass(frozen=True)
class DownloadJob:
    """One run of one client.

    Attributes:
        client: its name in `benchmarks.clients`.
        url: what is downloaded, again and again.
        control: the port of the server's control line.
        count: how often.
        at_once: how many downloads run at once.
        warm_up: how many come before that are not measured.
    """

    client: str
    url: str
    control: int
    count: int
    at_once: int
    warm_up: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DownloadJob:
        return cls(**json.loads(text))


def download(workload: Workload, client: str, python: str, tasks: int) -> Figures:
    """Let a client save results once.

    Raises:
        RunFailedError: it failed, or did not end in time.
    """
    with server_for("benchmarks.server.pictures") as ports:
        path = f"{workload.result_bytes}/{workload.distance_ms}"
        job = DownloadJob(
            client=client,
            url=f"http://127.0.0.1:{ports.port}/{path}",
            control=ports.control,
            count=tasks,
            at_once=workload.in_flight,
            warm_up=min(workload.in_flight, tasks),
        )
        return run_child(python, "benchmarks.child.download", job.to_json())
