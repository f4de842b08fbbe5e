"""One run: a load server of its own, a client process of its own, and the client's figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from .clients import CLIENTS
from .job import Figures, Job
from .workloads import Kind, Workload

__all__ = ["ROOT", "RunFailedError", "job_for", "run", "run_child", "server_for"]

ROOT = Path(__file__).resolve().parent.parent
_PHOTOGRAPH = "https://example.com/photographs/2024/summer/IMG_20240713_184502.jpg"
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
    with server_for() as ports:
        job = job_for(workload, client, ports, tasks, file)
        return run_child(python, "benchmarks.child", job.to_json())


def job_for(workload: Workload, client: str, ports: Ports, tasks: int, file: Path) -> Job:
    """What a client process is to do; `tasks` is before a peer's share is taken."""
    whole = workload.kind not in (Kind.CLOSED, Kind.WINDOW)
    count = tasks // _PEER_SHARE if CLIENTS[client].peer else tasks
    query = {
        "per_frame": workload.results_per_frame,
        "image_bytes": workload.result_bytes,
        "hold": int(whole),
    }
    return Job(
        client=client,
        kind=workload.kind.value,
        url=f"ws://127.0.0.1:{ports.port}/v1?{urlencode(query)}",
        control=ports.control,
        in_flight=workload.in_flight,
        tasks=workload.tasks if whole else max(count, 8),
        warm_up=max(min(workload.warm_up, count), 8),
        image=str(file) if workload.file_bytes else _PHOTOGRAPH,
        is_file=bool(workload.file_bytes),
        output_type="base64Data" if workload.result_bytes else "URL",
    )


@contextmanager
def server_for(module: str = "benchmarks.server") -> Iterator[Ports]:
    """A load server, for the length of a ``with``."""
    command = [sys.executable, "-m", module]
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
