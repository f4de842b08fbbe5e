"""Answer questions about tasks, getResponse and getTaskDetails, according to the rules."""

from __future__ import annotations

from ...protocol.wire import Item
from .answers import Answer, RefusedError, error_item
from .job_table import JobTable
from .jobs import Job
from .rules import Rules
from .validation import ValidTask


class Questions:
    """Answers questions about the tasks in a table of jobs."""

    def __init__(self, jobs: JobTable, rules: Rules) -> None:
        self._jobs = jobs
        self._rules = rules

    def response(self, task: ValidTask, now: float) -> Answer:
        """Return the answer to a getResponse."""
        answer = Answer(group="getResponse")
        job = self._visible(task, now)
        if job is not None and self._rules.known_tasks == "async" and not job.is_acknowledged:
            job = None
        rule: str = self._rules.unknown_task
        if job is not None:
            rule = self._rules.running_task if job.state == "processing" else "report"
        if rule == "error":
            answer.errors.append(self._not_found(task))
        elif job is not None and rule != "empty":
            answer.extend(self._report(job, {"status": "success"}))
        return answer

    def details(self, task: ValidTask, now: float) -> Answer:
        """Return the answer to a getTaskDetails."""
        job = self._visible(task, now)
        if job is None or self._rules.details == "nothing":
            return Answer(errors=[self._not_found(task)])
        item: Item = {"taskType": "getTaskDetails", "taskUUID": task.uuid}
        return Answer([item | {"request": [self._request(job)], "response": self._recorded(job)}])

    def _visible(self, task: ValidTask, now: float) -> Job | None:
        job = self._jobs.find(task.uuid)
        if job is None or now < job.arrived + self._rules.visible_after:
            return None
        return job

    def _request(self, job: Job) -> Item:
        return job.reference if self._rules.retention == "ttl" else job.request

    def _recorded(self, job: Job) -> Item | None:
        """Return the response to a task as it appears in its details."""
        if self._rules.details == "null" or self._rules.retention == "ttl":
            return None
        if self._rules.details == "last_response" and job.last_error is not None:
            return {"errors": [job.last_error]}
        if self._rules.details == "last_response" and job.state == "processing":
            return {"data": [job.header()]} if job.is_acknowledged else None
        report = self._report(job, {})
        return {"data": report.data} if report.data else {"errors": report.errors}

    def _report(self, job: Job, success: Item) -> Answer:
        """Return the state of a job; `success` is added to the item of one that succeeded."""
        if job.state == "processing":
            return Answer([job.header() | {"status": "processing"}])
        if job.answer is not None:
            return Answer([job.answer | success])
        return Answer(errors=[(job.error or self._expired(job)) | {"status": "error"}])

    def _expired(self, job: Job) -> Item:
        expired = RefusedError("taskExpired", "The result is not kept any more.")
        return self._error_item(expired, job.reference)

    def _not_found(self, task: ValidTask) -> Item:
        message = "No task with this taskUUID is known."
        return self._error_item(RefusedError("taskNotFound", message, "taskUUID"), task.task)

    def _error_item(self, error: RefusedError, task: Item) -> Item:
        return error_item(error, task, name_task=self._rules.names_task(error.code))
