"""One run: a load server of its own, a client process of its own, and the client's figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from .clients import CLIENTS
from .job import Figures, Job
from .workloads import Kind, Workload

__all__ = ["ROOT", "RunFailedError", "job_for", "place_for", "run", "run_child", "server_for"]

ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT = 300.0
_PEER_SHARE = 10  # peers do a tenth of the tasks: they would take minutes


class RunFailedError(Exception):
    """A client did not get through a workload."""


@dataclass(frozen=True)
class Ports:
    """Where a load server listens."""

    port: int
    control: int


def run(workload: Workload, client: str, python: str, tasks: int, file: Path) -> Figures:
    """Let a client do a workload once.

    Raises:
        RunFailedError: it failed, or did not end in time.
    """
    with place_for(workload) as ports:
        job = job_for(workload, client, ports, tasks, file)
        return run_child(python, "benchmarks.child", job.to_json())


def job_for(workload: Workload, client: str, ports: Ports, tasks: int, file: Path) -> Job:
    """What a client process is to do; `tasks` is before a peer's share is taken."""
    count = max(tasks // _PEER_SHARE, 8) if CLIENTS[client].peer else tasks
    return Job(
        client=client,
        url=f"ws://127.0.0.1:{ports.port}/v1?{urlencode(_behaviour(workload))}",
        control=ports.control,
        tasks=count,
        in_flight=workload.in_flight,
        warm_up=max(min(workload.warm_up, count), 8),
        kind=workload.kind.value,
        file=str(file) if workload.file_bytes else "",
        as_text=workload.as_text,
        output_type="base64Data" if workload.result_bytes else "URL",
        settings=_settings(workload),
        line_bytes=workload.line.total_bytes if workload.line else 0,
        ideal_s=workload.ideal_s,
    )


def _settings(workload: Workload) -> Mapping[str, int]:
    """Return the settings of `RunwareClient`: a fixed number in flight, if nothing else is said."""
    if workload.settings is None:
        return {"max_in_flight": workload.in_flight, "adaptive": False}
    return workload.settings


def _behaviour(workload: Workload) -> dict[str, int]:
    """The query that tells the load server what to do; see `benchmarks.server.service`."""
    behaviour = {
        "per_frame": workload.results_per_frame,
        "image_bytes": workload.result_bytes,
        "hold": int(workload.kind in (Kind.PENDING, Kind.DROPPED, Kind.IDLE)),
        "task_ms": workload.task_ms,
        "unnamed": int(workload.unnamed),
    }
    names = ("room", "later_room")
    rooms = dict(zip(names, workload.rooms, strict=False))
    return behaviour | rooms | {"later_after": workload.tasks // 2}


@contextmanager
def place_for(workload: Workload) -> Iterator[Ports]:
    """A load server, and a line to it if there is to be one, for the length of a ``with``."""
    with server_for("benchmarks.server") as server:
        if workload.line is None:
            yield server
            return
        line = workload.line
        width = "all" if line.connections == 1 else "each"
        with server_for("benchmarks.server.line", server.port, line.mbit, width) as passing:
            yield Ports(passing.port, server.control)


@contextmanager
def server_for(module: str, *arguments: float | str) -> Iterator[Ports]:
    """A server of `benchmarks.server`, for the length of a ``with``."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    server = subprocess.Popen(  # noqa: S603  # our own module
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server:
        try:
            yield Ports(**json.loads(server.stdout.readline()))
        finally:
            server.kill()


def run_child(python: str, module: str, job: str) -> Figures:
    """Run a module that does a job, and return its figures.

    Raises:
        RunFailedError: it failed, or did not end in time.
    """
    command = [python, "-m", module, job]
    try:
        done = subprocess.run(  # noqa: S603  # our own module
            command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT, check=True
        )
    except subprocess.TimeoutExpired:
        raise RunFailedError(f"not done within {_TIMEOUT:.0f} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no output"]
        raise RunFailedError(f"failed: {lines[-1][:200]}") from None
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures
