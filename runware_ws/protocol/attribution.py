"""Errors that name no task, and frames that are too large: whose they are.

Runware documents that an error often names no task, also an error of one task. It must not fail the
others. Such an error may be

- of a task that was written before it on its connection, and has no answer since;
- of a question that was open when it came, since a service that is full may refuse questions, and
  one that failed a task may say so again;
- of a task that was given up, that was sent again before its first sending had an answer, or that
  was sent on an earlier connection of the session; the answer to a ping; or nobody's.

What follows:

- An error that came while questions were open is withheld until they have ended. Each of them that
  ends without an answer of its own has had one of these errors, or is owed one.
- An error that may be of the third kind is doubtful.
- Counting: if as many errors came as tasks were written before the last of them and have no answer
  since, each of these tasks is an owner, as long as none of the errors is doubtful. A result is an
  answer, and so is the word that a task is running. Results are awaited first, since they rule out
  most tasks without a question; after a while those that are left are asked for.
- An error may be nobody's all the same. So owners found by counting are asked for in one round, and
  none of them may be known. Nothing need be known of them: the service may refuse the questions.
- Where counting does not help, each error belongs to a task that is absent: not found in several
  rounds, by the rules of `runware_ws.protocol.reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Literal

from ..error_codes import code_info
from ..errors import ProtocolError
from ..settings import Settings
from .connection_state import ConnectionState, Inquiry, Nameless
from .reconcile import Reconciler
from .task_table import TaskTable
from .tasks import Evidence, Stage, Task
from .wire import ErrorItem

# Errors without an owner are looked into again after so many seconds, and some more for each task.
_PACE = 0.02
_PACE_PER_TASK = 1e-6

TooLarge = Literal["sent", "heard"]


class Attribution:
    """Finds the tasks to which errors belong that name none."""

    def __init__(self, table: TaskTable, reconciler: Reconciler, settings: Settings) -> None:
        self._table = table
        self._reconciler = reconciler
        self._retries = reconciler.retries
        self._settings = settings
        self._timing = settings.timing

    def look_into_garbled(self, link: ConnectionState, now: float) -> None:
        """Look into frames that could not be read: each may have been the result of any task."""
        link.missed_answer = False
        self._reconciler.doubt(link, self._sent(link), now)

    def _sent(self, link: ConnectionState) -> list[Task]:
        return [task for task in self._written(link) if task.stage is Stage.SENT]

    def _written(self, link: ConnectionState) -> list[Task]:
        return [task for task in self._table.in_flight() if task.link is link]

    def conclude(self, link: ConnectionState, now: float) -> None:
        """Look into errors without a name, as far as that is possible by now."""
        if link.withheld:
            if link.has_more_errors_than_questions:
                self._count(link.withheld[-1], now)
            self._release(link, now)
        if link.inquiry is not None:
            self._close(link, link.inquiry, now)
        if (link.unattributed or link.inquiry is not None) and link.look_at <= now:
            self._inquire(link, now)

    def _release(self, link: ConnectionState, now: float) -> None:
        """Take up errors of which it is known by now whether they answered questions.

        A service that is full may refuse questions as well, which says nothing of its room.
        """
        while link.withheld and link.withheld[0].at < link.asked_since:
            error = link.withheld.pop(0)
            if link.owed:
                link.owed -= 1
                error.is_doubtful = True
            else:
                self._count(error, now)
            link.unattributed.append(error)
            self._table.timers.moved = True

    def _count(self, error: Nameless, now: float) -> None:
        """Tell the limit of a refusal, which was that of a task."""
        if code_info(error.error.code).no_room and not error.is_counted:
            error.is_counted = True
            self._table.limit.refused_unnamed(now)
            self._table.tell_limit()
            self._table.timers.moved = True

    def _inquire(self, link: ConnectionState, now: float) -> None:
        """Look for the owners of errors that named no task.

        Results rule out most tasks by themselves, so they are awaited for a while. Then all that
        are left are asked for.
        """
        inquiry = link.inquiry
        if inquiry is not None and inquiry.is_exact:
            return
        link.look_at = now + _PACE + _PACE_PER_TASK * len(self._table.tasks)
        tasks = sorted(self._written(link), key=_may_fail_after)
        if inquiry is None:
            self._drop_those_of_nobody(link, tasks)
        errors = [*([] if inquiry is None else inquiry.errors), *link.unattributed]
        owners = _owners(errors, tasks)
        if owners:
            link.unattributed = errors
            self._ask_for(link, owners, len(owners), now, is_exact=True)
        elif inquiry is None and errors and now >= errors[0].at + self._timing.results_first:
            suspects = [task for task in tasks if _may_fail_after(task) <= errors[-1].at]
            self._ask_for(link, suspects, len(errors), now, is_exact=False)

    def _drop_those_of_nobody(self, link: ConnectionState, tasks: list[Task]) -> None:
        """Drop errors before which no task was written that has no answer by now."""
        first = _may_fail_after(tasks[0]) if tasks else inf
        while link.unattributed and link.unattributed[0].at < first:
            self._table.limit.unattributed -= link.unattributed.pop(0).is_counted

    def _ask_for(
        self, link: ConnectionState, tasks: list[Task], errors: int, now: float, *, is_exact: bool
    ) -> None:
        """Ask for the suspects of so many of the first errors."""
        inquiry = Inquiry(now, link.unattributed[:errors], dict.fromkeys(tasks), is_exact)
        link.inquiry = inquiry
        del link.unattributed[:errors]
        for task in tasks:
            if is_exact and task.misses and task.asked_at > inquiry.errors[-1].at:
                inquiry.missed(task)
        self._reconciler.doubt(link, inquiry.suspects, now)
        self._close(link, inquiry, now)

    def _close(self, link: ConnectionState, inquiry: Inquiry, now: float) -> None:
        """Conclude the search for owners, once every suspect was found or is absent, or after long.

        Each error belongs to a task that is absent: it was refused, so the server does not find it.
        If no more tasks are absent than errors came, these are the owners. If more are, a server
        may not find what it runs, and their answers are awaited for a while; or it refused a whole
        frame with one error, so they are sent again, each in a frame of its own.
        """
        if inquiry.suspects and now - inquiry.since < self._timing.inquiry_limit:
            return
        if inquiry.is_exact and not self._is_still_exact(link, inquiry):
            link.inquiry = None  # one of the errors was nobody's, and may be any
            link.unattributed[:0] = inquiry.errors
            return
        absent = list(inquiry.absent)
        first = min((task.sent_at for task in absent), default=0.0)
        errors = [one for one in inquiry.errors if inquiry.is_exact or one.at >= first]
        # Which task is told which lack of room makes no difference: each is sent again.
        kinds = {one.kind for one in errors}
        are_too_many = len(absent) > len(errors) > 0
        if are_too_many and now - inquiry.since < self._timing.living_window:
            return
        link.inquiry = None
        self._table.timers.moved = True
        self._table.limit.unattributed -= sum(one.is_counted for one in inquiry.errors)
        if not errors:
            return  # their owners were told them by name
        is_clear = not are_too_many and len(kinds) == 1
        is_doubtful = any(one.is_doubtful for one in errors)
        if is_clear and (not is_doubtful or _were_suspected_before(absent)):
            for task, one in zip(absent, errors, strict=False):
                self._attribute(task, one.error, now)
            return
        # Of errors that differ, it is only known whose they are if few are sent at a time.
        for task in absent if len(kinds) == 1 else absent[: max(1, len(absent) // 2)]:
            task.alone = True
            task.suspicions += 1
            self._reconciler.send_again(task)

    def _is_still_exact(self, link: ConnectionState, inquiry: Inquiry) -> bool:
        """Return whether there are still as many errors as owners, with those that came since."""
        tasks = sorted(self._written(link), key=_may_fail_after)
        count = len(inquiry.errors)
        return not count or count in _exact_counts([*inquiry.errors, *link.unattributed], tasks)

    def _attribute(self, task: Task, error: ErrorItem, now: float) -> None:
        if not code_info(error.code).conflict:
            self._retries.failed(task, error, now, was_named=False)
        elif task.evidence is Evidence.REFUSED:
            self._table.requeue(task, now, new_uuid=True, step=0)
        else:
            task.evidence = Evidence.KNOWN
            task.forget_doubt()
            self._reconciler.poll_later(task, now)

    def too_large(self, link: ConnectionState, which: TooLarge) -> None:
        """Find the task whose frame, or whose answer, was larger than the other side accepts."""
        if which == "sent":
            remedy = "the server refuses a frame of this size: send a smaller image, or its URL"
            self._request_too_large(link, remedy)
        else:
            limit = self._settings.max_size
            remedy = f"its answer is larger than max_size ({limit} bytes): raise max_size"
            self._answer_too_large(link, remedy)

    def _request_too_large(self, link: ConnectionState, remedy: str) -> None:
        """Fail the task whose frame was the largest, or send those apart that shared it."""
        written = self._written(link)
        sent = {task.wire_uuid: task for task in written if task.stage is not Stage.ACCEPTED}
        largest = self._largest_frame(link, sent)
        if len(largest) == 1 and (task := sent.get(largest[0])) is not None:
            self._table.settle(task, ProtocolError(f"task {task.uuid}: {remedy}"))
        else:
            for task in sent.values():
                task.alone = True

    def _largest_frame(self, link: ConnectionState, sent: Mapping[str, Task]) -> Sequence[str]:
        """Return the taskUUIDs of the largest frame that the server may not have taken.

        It has taken each frame of which it has answered a task, and those that came before.
        """
        largest: Sequence[str] = ()
        for uuids in reversed(link.frames):
            if not all(uuid in sent or uuid in self._table.abandoned for uuid in uuids):
                break
            largest = uuids
        return largest

    def _answer_too_large(self, link: ConnectionState, remedy: str) -> None:
        """Fail the task that an answer was awaited for, or have those asked for one at a time."""
        candidates = {*link.asked.values(), *self._sent(link)}
        if len(candidates) == 1:
            (task,) = candidates
            self._table.settle(task, ProtocolError(f"task {task.uuid}: {remedy}"))
        else:
            self._table.careful = candidates


def _may_fail_after(task: Task) -> float:
    """Return the time before which no error came that can be of a task, since it was running."""
    return max(task.sent_at, task.alive_at)


def _exact_counts(errors: list[Nameless], tasks: list[Task]) -> list[int]:
    """Return each number of first errors that belong to as many of the first tasks.

    If only as many tasks as there are errors may have failed before the last of these, each of them
    is an owner. If fewer may, an error is nobody's, and may be any. The tasks are in the order of
    `_may_fail_after`.
    """
    counts = []
    before = 0
    is_sure = True
    for count, error in enumerate(errors, 1):
        is_sure &= error.is_last_word
        while before < len(tasks) and _may_fail_after(tasks[before]) <= error.at:
            is_sure &= not tasks[before].doubled
            before += 1
        if before < count:
            return []
        if is_sure and before == count:
            counts.append(count)
    return counts


def _owners(errors: list[Nameless], tasks: list[Task]) -> list[Task]:
    """Return tasks of which each must be the owner of one of as many first errors.

    They are as many as possible of those whose errors are alike; else, with different errors, as
    many as possible: some may tell their error by name when they are asked for.
    """
    counts = _exact_counts(errors, tasks)
    alike = [count for count in counts if len({one.kind for one in errors[:count]}) == 1]
    return tasks[: max(alike or counts, default=0)]


def _were_suspected_before(tasks: Iterable[Task]) -> bool:
    """Return whether all were sent again alone before, and something was refused again."""
    return all(task.suspicions for task in tasks)
