"""The workloads for which the client has a program of its own."""

from __future__ import annotations

from .job import Figures, SpecialJob
from .runs import Ports, run_child, server_for
from .workloads import Kind, Workload

__all__ = ["APART", "run_apart"]

APART = (Kind.DOWNLOADS, Kind.ACTORS, Kind.LARGE)


def run_apart(workload: Workload, client: str, python: str, tasks: int) -> Figures:
    """Let a client do a workload once.

    Raises:
        RunFailedError: it failed, or did not end in time.
    """
    module, *arguments = _server_of(workload)
    with server_for(f"benchmarks.server.{module}", *arguments) as ports:
        job = SpecialJob(
            client=client,
            url=_url_of(workload, ports),
            control=ports.control,
            tasks=tasks,
            in_flight=workload.in_flight,
            warm_up=min(workload.in_flight, tasks),
            ideal_s=workload.ideal_s,
            actors=workload.actors,
            side=workload.side,
        )
        return run_child(python, f"benchmarks.child.{workload.kind.value}", job.to_json())


def _server_of(workload: Workload) -> tuple[str, ...]:
    if workload.kind is Kind.DOWNLOADS:
        return ("pictures",)
    return "emulator", str(workload.task_ms / 1000)


def _url_of(workload: Workload, ports: Ports) -> str:
    if workload.kind is Kind.DOWNLOADS:
        path = f"{workload.result_bytes}/{workload.distance_ms}"
        return f"http://127.0.0.1:{ports.port}/{path}"
    return f"ws://127.0.0.1:{ports.port}/v1"
