"""Findings about a service."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

SessionAnswer: TypeAlias = Literal["resumed", "new", "refused", "closed"]
Repeat: TypeAlias = Literal["refused", "same result", "run again"]
Twice: TypeAlias = Literal["refused", "accepted"]
Known: TypeAlias = Literal["result", "processing", "empty", "not found", "refusal", "null"]

# Each of these answers shows that the task has arrived.
_SIGNS_OF_LIFE = ("processing", "result", "null", "refusal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The known facts about a service. None means unknown.

    Attributes:
        old_session: the answer to the UUID of a session whose connection has ended: it is
            ``resumed``, replaced by a ``new`` session, ``refused``, or the connection is ``closed``
            without an answer.
        random_session: the answer to the UUID of a session that does not exist.
        unknown_response, unknown_details: the answers of getResponse and getTaskDetails to the
            taskUUID of a task that does not exist.
        errors_name_task: whether an error of a single task names its taskUUID.
        dry_run: whether a dry run is honoured.
        tasks_per_frame: the largest array of tasks that was answered completely.
        tasks_refused: the smallest array that was refused; 0 if none was.
        input_bytes: size of the largest inline input that was accepted, as base64.
        input_refused_bytes: size of the smallest inline input that was refused; 0 if none was.
        result_bytes: size of the frame with a result of 4096 x 4096 pixels in base64.
        task_type: the taskType of a result.
        shortest_run: seconds from sending a tiny synchronous task to its result.
        found_response, found_details: the answers of getResponse and getTaskDetails about a
            synchronous task whose result was delivered.
        lateness: seconds from sending a task until it was found, if a finished task was not found
            at first; 0 if it was found at once.
        repeat_at_once, repeat_after_second, repeat_after_minute: the reaction to a synchronous
            task that is sent again under its UUID at this time after its result.
        details_after_refusal: the answer of getTaskDetails about a task after such a refusal.
        twice_at_once, twice_after_50_ms, twice_after_second: the reaction to an asynchronous task
            that is sent again at this time after it was first sent.
        running_response, running_details: the answers of getResponse and getTaskDetails about a
            synchronous task that is running.
        running_async: the answer of getResponse about an asynchronous task that is running.
        async_response: the answer of getResponse about an asynchronous task that is done.
        pushed: whether the result of a task that finishes after its session was resumed is pushed
            to the new connection.
        replay: whether the result of a task that finished during an outage comes ``before`` or
            ``after`` the answer to the authentication that resumes the session, or never
            (``none``).
    """

    old_session: SessionAnswer | None = None
    random_session: SessionAnswer | None = None
    unknown_response: Literal["empty", "not found"] | None = None
    unknown_details: Literal["empty", "not found"] | None = None
    errors_name_task: bool | None = None
    dry_run: bool | None = None
    tasks_per_frame: int | None = None
    tasks_refused: int | None = None
    input_bytes: int | None = None
    input_refused_bytes: int | None = None
    result_bytes: int | None = None
    task_type: str | None = None
    shortest_run: float | None = None
    found_response: Known | None = None
    found_details: Known | None = None
    lateness: float | None = None
    repeat_at_once: Repeat | None = None
    repeat_after_second: Repeat | None = None
    repeat_after_minute: Repeat | None = None
    details_after_refusal: Known | None = None
    twice_at_once: Twice | None = None
    twice_after_50_ms: Twice | None = None
    twice_after_second: Twice | None = None
    running_response: Known | None = None
    running_details: Known | None = None
    running_async: Known | None = None
    async_response: Known | None = None
    pushed: bool | None = None
    replay: Literal["before", "after", "none"] | None = None

    def known(self) -> dict[str, Any]:
        """Return the known facts by name."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def conflicts_after(self) -> float | None:
        """Seconds after sending from which a taskUUID is always refused.

        None if it is not always refused, or if that is unknown.
        """
        finished = (self.repeat_after_second, self.repeat_after_minute)
        if finished != ("refused", "refused") or self.twice_after_second != "refused":
            return None
        if self.repeat_at_once != "refused" or self.twice_after_50_ms != "refused":
            return 1.0
        return 0.0 if self.twice_at_once == "refused" else 0.05

    @property
    def finds_finished(self) -> bool:
        """True if a finished synchronous task can be found, even after a refused resend."""
        by_details = self.found_details == "result" and self.details_after_refusal == "result"
        return self.found_response == "result" or by_details

    @property
    def finds_running(self) -> bool | None:
        """True if a running task can be distinguished from a missing one; None if unknown."""
        answers = (self.running_response, self.running_details)
        if any(one in _SIGNS_OF_LIFE for one in answers):
            return True
        return None if None in answers else False

    @property
    def refuses_running(self) -> bool:
        """True if a taskUUID is refused from the start while its task is running."""
        return self.twice_at_once == self.twice_after_50_ms == "refused"


_KINDS = get_type_hints(Findings)


def is_allowed(name: str, value: object) -> bool:
    """Return whether a finding of this name may have this value. It checks values from files."""
    kinds = [one for one in get_args(_KINDS.get(name)) if one is not type(None)]
    for kind in kinds:
        if get_args(kind):
            if value in get_args(kind):
                return True
        elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return value >= 0
        elif type(value) is kind:
            return kind is not int or (isinstance(value, int) and value >= 0)
    return False
