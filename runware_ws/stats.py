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
    """The tasks in flight, and what has happened since the client was opened.

    Attributes:
        state: as `RunwareClient.state`.
        tasks: number of tasks that are ``queued``, ``sent``, ``accepted`` and ``reconciling``.
        connections: number of connections at present.
        limit: number of tasks that may be in flight at present.
        waiting: number of calls of `submit` that wait for admission.
        submitted, succeeded, failed: tasks so far; failed ones include the cancelled.
        retried: how often a task was run again after a failure.
        refused: how often the service refused a task for lack of room.
        resent: how often a task in doubt was sent again.
        reconnects: connections after the first.
        recovered: results of tasks whose fate had been in doubt, by what settled it.
        dropped: answers that nobody waited for: late, doubled, or about no task of this client.
        garbled: frames that could not be read.
        double_runs: tasks that the service is known to have run twice.
        frames_sent, frames_received: frames so far.
        bytes_sent, bytes_received: bytes in them so far.
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
        connections=sum(line.is_ready for line in submitter.session.lines),
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
