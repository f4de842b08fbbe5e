"""Durations of the protocol that are not settings, in seconds. Tests pass shorter ones.

Some of them depend on findings about the service: see `runware_ws.doctor.adjustments`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The durations.

    Attributes:
        overdue: age at which the server is asked for a sync task without an answer. Runware's SDKs
            show that the server waits about 120 s for a sync task.
        early_look: age at which the server is asked for an async task without an acknowledgment,
            because an acknowledgment may come without a taskUUID.
        answer_timeout: time after which a question without an answer counts as having found
            nothing.
        unnamed_grace: how long to wait for answers that name a task, after one that names none.
        refused_grace: how long to wait for the answers to questions, after a refusal without a name
            that may be one.
        errors_quiet, errors_limit: errors that name no task often come together. The search for
            their owners begins after `errors_quiet` without one, and at the latest after
            `errors_limit`.
        results_first: how long to wait for results before tasks are asked for, if the results of
            some will tell which others have had an error.
        replay_quiet, replay_limit: a replay is over after `replay_quiet` without a frame, and at
            the latest after `replay_limit`.
        living_window: how long a task must be missing before it is sent again, while its connection
            lives and the answer may still come.
        inquiry_limit: how long the search for the owner of an error without a taskUUID may take.
        known_limit: how long the server is asked for a task without a deadline, if it knows the
            task and does not tell its state.
        poll: first and longest delay between two questions about a task.
        earliest: age before which no task is finished. A task that is in doubt or running is asked
            for once before this age, and then not until it is reached.
        asks_details: whether to ask for the details if the result is not found.
        safe_resend: age from which the service refuses every known taskUUID, so that a task that is
            not found may be sent again after one round; None if unknown.
        slow_start: at the beginning, how long without a refusal counts as success.
        coming: how long large tasks wait for another connection to open, so that they do not delay
            small ones.
        occupied: how long all connections must be sending or receiving large frames before more
            are opened.
        gap: the longest pause after which large frames still count as following each other.
        small_rest: how long the connection for small tasks is reserved after the last small task.
        retry: first and longest ceiling of the delay before a retry.
        reconnect: first and longest ceiling of the delay before an attempt to connect.
        breaker: first and longest ceiling of the delay before a key that was refused after a
            success is tried again.
        early_grace: how long to wait for the reply to the authentication after an error that may be
            about something else.
        proof: age at which a connection counts as good, so that it was not accepted only to be
            closed.
    """

    overdue: float = 110.0
    early_look: float = 0.25
    answer_timeout: float = 5.0
    unnamed_grace: float = 0.5
    refused_grace: float = 0.9
    errors_quiet: float = 0.05
    errors_limit: float = 0.5
    results_first: float = 0.5
    replay_quiet: float = 0.2
    replay_limit: float = 2.0
    living_window: float = 10.0
    inquiry_limit: float = 30.0
    known_limit: float = 240.0
    poll: tuple[float, float] = (0.05, 5.0)
    earliest: float = 0.0
    asks_details: bool = True
    safe_resend: float | None = None
    slow_start: float = 0.25
    coming: float = 1.0
    occupied: float = 0.15
    gap: float = 0.1
    small_rest: float = 2.0
    retry: tuple[float, float] = (0.5, 10.0)
    reconnect: tuple[float, float] = (0.1, 30.0)
    breaker: tuple[float, float] = (2.0, 60.0)
    early_grace: float = 2.0
    proof: float = 2.0
