"""What a process costs, between two moments."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from ..control import Control
from ..job import Figures

__all__ = ["Meter", "latency_figures", "resident_bytes", "watched_memory"]

_KIBIBYTE = 1024
_LOOK = 0.01
_RESET_PEAK = "5"  # see proc_pid_clear_refs(5)


class Meter:
    """CPU of this process and of the server from now on, and the peak of this one's memory."""

    def __init__(self, control: Control) -> None:
        self._control = control
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
        self._server = control.stats()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def stop(self, tasks: int) -> Figures:
        """The figures, with costs per task; threads are counted in."""
        cpu = time.process_time() - self._cpu
        wall = time.perf_counter() - self._wall
        server = self._control.stats()
        return {
            "cpu_us": cpu / tasks * 1e6,
            "per_second": tasks / wall,
            "busy_percent": cpu / wall * 100,
            "peak_mib": _status("VmHWM") / _KIBIBYTE**2,
            "server_percent": (server["cpu"] - self._server["cpu"])
            / (server["now"] - self._server["now"])
            * 100,
            "frames": server["frames"] - self._server["frames"],
            "wire_bytes": (server["bytes"] - self._server["bytes"]) / tasks,
        }


def latency_figures(latencies: list[float]) -> Figures:
    """Median and 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return {"p50_ms": cuts[49] * 1e3, "p99_ms": cuts[98] * 1e3}


def resident_bytes() -> float:
    """Memory of this process that is in use now."""
    return _status("VmRSS")


@contextmanager
def watched_memory(figures: Figures) -> Iterator[None]:
    """Add by how much the memory of this process grows meanwhile that is no page of a file.

    The system knows no peak of that, so it is looked at often.
    """
    before = peak = _status("RssAnon")
    over = Event()

    def look() -> None:
        nonlocal peak
        while not over.wait(_LOOK):
            peak = max(peak, _status("RssAnon"))

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    figures["grown_mib"] = (peak - before) / _KIBIBYTE**2


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return float(line.split()[1]) * _KIBIBYTE
    raise LookupError(name)
