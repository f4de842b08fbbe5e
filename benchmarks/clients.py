"""Who is measured: one table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLIENTS", "LIMIT", "ClientKind", "takes_part"]

LIMIT = "limit"


@dataclass(frozen=True)
class ClientKind:
    """A client on an event loop.

    Attributes:
        module: the module in `benchmarks.child` that opens it.
        loop: ``asyncio``, ``uvloop`` or ``trio``.
        workloads: the names of the workloads that it takes part in, without the numbers of rows.
        peer: the distribution on PyPI that it needs in an environment of its own, or "".
    """

    module: str
    loop: str
    workloads: str
    peer: str = ""


_MOST = "a b c d e f g gate base64"
_ABOUT_LOAD = "overload mixed striping telemetry actors"

CLIENTS = {
    LIMIT: ClientKind("limit", "asyncio", f"{_MOST} {_ABOUT_LOAD} i p"),
    "limit-uvloop": ClientKind("limit", "uvloop", "a b c"),
    "floor": ClientKind("floor", "asyncio", "a b c d e f"),
    "ours": ClientKind("ours", "asyncio", f"{_MOST} {_ABOUT_LOAD} unnamed h i p large"),
    "ours-uvloop": ClientKind("ours", "uvloop", f"{_MOST} h"),
    "ours-trio": ClientKind("ours", "trio", f"{_MOST} h i p mixed"),
    "ours-journal": ClientKind("ours_journal", "asyncio", f"{_MOST} h"),
    "ours-otel-off": ClientKind("ours_telemetry", "asyncio", "telemetry"),
    "ours-otel-on": ClientKind("ours_telemetry", "asyncio", "telemetry"),
    "runware-sdk": ClientKind("peer_sdk", "asyncio", "a b c d e", "runware-sdk"),
    "runware": ClientKind("peer_runware", "asyncio", "a b c d e", "runware"),
}


def takes_part(client: str, name: str) -> bool:
    """Whether a client can do a workload at all, and has anything to show there."""
    return name in CLIENTS[client].workloads.split()
