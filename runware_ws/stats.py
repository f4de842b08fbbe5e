"""A snapshot of a client, for dashboards and logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .protocol.reconnector import ClientState

if TYPE_CHECKING:
    from .runtime.submitter import Submitter


@dataclass(frozen=True, slots=True)
class Stats:
    """The tasks in flight, and counts since the client was opened.

    Attributes:
        state: the state of the client; see `RunwareClient.state`.
        tasks: number of tasks in each state: ``queued``, ``sent``, ``accepted``, ``reconciling``.
        connections: number of open connections.
        limit: number of tasks that may be in flight now.
        waiting: number of calls of `submit` that wait for admission.
        submitted, succeeded, failed: number of tasks; cancelled tasks count as failed.
        retried: number of times that a task was run again after a failure.
        refused: number of times that the service refused a task for lack of room.
        resent: number of times that a task in doubt was sent again.
        reconnects: number of connections after the first.
        recovered: number of results of tasks that had been in doubt, by the way the result came:
            ``replayed`` by the service after a reconnect, ``asked`` for with getResponse,
            ``asked for its details`` with getTaskDetails, or ``sent again``.
        dropped: number of answers without a waiting task: late, repeated, or about no task of this
            client.
        garbled: number of frames that could not be read.
        double_runs: number of tasks that the service is known to have run twice.
        frames_sent, frames_received: number of frames.
        bytes_sent, bytes_received: number of bytes in these frames.
        cost: sum of the costs in the results, in US dollars.
        round_trip: seconds that the last ping took, or None.
    """

    state: ClientState
    tasks: Mapping[str, int] = field(default_factory=dict)
    connections: int = 0
    limit: int = 0
    waiting: int = 0
    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    refused: int = 0
    resent: int = 0
    reconnects: int = 0
    recovered: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    garbled: int = 0
    double_runs: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    cost: float = 0.0
    round_trip: float | None = None


def take_stats(state: ClientState, submitter: Submitter | None) -> Stats:
    """Return the snapshot of a client."""
    if submitter is None:
        return Stats(state)
    counters = submitter.session.counters
    return Stats(
        state=state,
        # A copy, made in one step: another thread may ask.
        tasks=Counter(task.stage.value for task in tuple(submitter.session.tasks.values())),
        connections=submitter.session.connections,
        limit=submitter.session.limit,
        waiting=submitter.admission.waiting,
        submitted=counters.submitted,
        succeeded=counters.succeeded,
        failed=counters.failed,
        retried=counters.retried,
        refused=counters.refused,
        resent=counters.resent,
        reconnects=counters.reconnects,
        recovered=dict(counters.recovered),
        dropped=counters.dropped,
        garbled=counters.garbled,
        double_runs=counters.double_runs,
        frames_sent=counters.frames_sent,
        frames_received=counters.frames_received,
        bytes_sent=counters.bytes_sent,
        bytes_received=counters.bytes_received,
        cost=counters.cost,
        round_trip=submitter.driver.round_trip,
    )
