"""The table of jobs, with all tasks that the service knows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from .jobs import Job


class JobTable:
    """All known tasks by UUID, ignoring case. Finished ones are kept within limits.

    A UUID has several jobs if the rules allow it to run again.

    Args:
        max_finished: the number of finished jobs that are kept.
        max_result_bytes: the total size of their results.
    """

    def __init__(self, max_finished: int, max_result_bytes: int) -> None:
        self._max_finished = max_finished
        self._max_result_bytes = max_result_bytes
        self._jobs: dict[str, list[Job]] = {}  # of one UUID, in the order of their arrival
        self._finished: dict[Job, None] = {}  # in order, as is the next one
        self._result_sizes: dict[Job, int] = {}
        self._result_bytes = 0
        self.running = 0  # the number of jobs that are accepted and not finished

    def add(self, job: Job) -> None:
        self._jobs.setdefault(job.key, []).append(job)
        self.running += 1

    def find(self, task_uuid: str) -> Job | None:
        """Return the newest job of a UUID; None if there is none."""
        jobs = self.find_all(task_uuid)
        return jobs[-1] if jobs else None

    def find_all(self, task_uuid: str) -> Sequence[Job]:
        """Return the jobs of a UUID, the oldest first."""
        return self._jobs.get(task_uuid.lower(), ())

    def finish(self, job: Job, size: int) -> list[Job]:
        """Keep a finished job with a result of `size` bytes.

        Return the jobs that are forgotten to make room.
        """
        self.running -= 1
        self._finished[job] = None
        if size:
            self._result_sizes[job] = size
            self._result_bytes += size
        while self._result_bytes > self._max_result_bytes:
            self.expire(next(iter(self._result_sizes)))
        forgotten = list(islice(self._finished, max(0, len(self._finished) - self._max_finished)))
        for one in forgotten:
            self.forget(one)
        return forgotten

    def expire(self, job: Job) -> None:
        """Drop the result of a successful job. The job stays known."""
        self._result_bytes -= self._result_sizes.pop(job, 0)
        job.state, job.answer = "expired", None

    def forget(self, job: Job) -> None:
        """Forget a finished job."""
        jobs = self._jobs[job.key]
        jobs.remove(job)
        if not jobs:
            del self._jobs[job.key]
        del self._finished[job]
        self._result_bytes -= self._result_sizes.pop(job, 0)
