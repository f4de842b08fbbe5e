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
        workloads: the letters of the workloads that it takes part in.
        peer: the distribution on PyPI that it needs in an environment of its own, or "".
    """

    module: str
    loop: str
    workloads: str
    peer: str = ""


CLIENTS = {
    LIMIT: ClientKind("limit", "asyncio", "abcdefgi"),
    "limit-uvloop": ClientKind("limit", "uvloop", "abc"),
    "floor": ClientKind("floor", "asyncio", "abcdef"),
    "ours": ClientKind("ours", "asyncio", "abcdefghi"),
    "ours-uvloop": ClientKind("ours", "uvloop", "abcdefgh"),
    "ours-trio": ClientKind("ours", "trio", "abcdefghi"),
    "ours-journal": ClientKind("ours_journal", "asyncio", "abcdefgh"),
    "runware-sdk": ClientKind("peer_sdk", "asyncio", "abcde", "runware-sdk"),
    "runware": ClientKind("peer_runware", "asyncio", "abcde", "runware"),
}


def takes_part(client: str, letter: str) -> bool:
    """Whether a client can do a workload at all, and has anything to show there."""
    return letter in CLIENTS[client].workloads
