"""Durations of the protocol that are not settings, in seconds; tests pass shorter ones.

Some of them change with what is known of the service: see `runware_ws.doctor.lessons`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The durations.

    Attributes:
        overdue: a sync task without an answer for so long is asked for. Runware's SDKs show that
            the server waits about 120 s for a sync task.
        early_look: an async task without an acknowledgment for so long is asked for, since an
            acknowledgment may come without a name.
        answer_timeout: a question without an answer for so long found nothing.
        unnamed_grace: after an answer that names no task, answers that name one are still awaited
            for so long.
        errors_quiet, errors_limit: errors that name no task often come together. Their owners are
            looked for when none has come for the first, and at the latest after the second.
        replay_quiet, replay_limit: a replay is over when nothing has come for the first, and at the
            latest after the second.
        living_window: on a connection that lives, a task is not sent again before it could not be
            found for so long: its answer may still come.
        inquiry_limit: the search for the owner of an error without a name ends after so long.
        known_limit: a task without a deadline that the server knows, and says nothing of, is asked
            for so long.
        poll: first and longest delay between two questions about a task.
        earliest: no result can be found so soon after its task was sent; a task that is in doubt or
            running is asked for once before, and then not until after it.
        asks_details: whether the details are asked for, if the result is not found.
        safe_resend: a taskUUID that the service has known for so long is refused for good, so that
            a task that is not found may be sent again after one round; None if that is not known.
        slow_start: so long without a refusal is taken for success, at the beginning.
        coming: large tasks wait so long at most for another connection that is being made, so that
            they do not hold up small ones.
        occupied: one more connection is made when all have written on a large frame for so long.
        small_rest: the connection of the small tasks is kept free for so long after the last one.
        retry: first and longest ceiling of the delay before a retry.
        reconnect: likewise, before an attempt to connect.
        breaker: likewise, before the key is tried again that was refused after a success.
        early_grace: an error before the reply to the authentication may be about another thing: the
            reply is awaited for so long after it.
        proof: a connection that lasts so long was not accepted only to be closed again.
    """

    overdue: float = 110.0
    early_look: float = 0.25
    answer_timeout: float = 5.0
    unnamed_grace: float = 0.5
    errors_quiet: float = 0.05
    errors_limit: float = 0.5
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
    occupied: float = 0.1
    small_rest: float = 2.0
    retry: tuple[float, float] = (0.5, 10.0)
    reconnect: tuple[float, float] = (0.1, 30.0)
    breaker: tuple[float, float] = (2.0, 60.0)
    early_grace: float = 2.0
    proof: float = 2.0
