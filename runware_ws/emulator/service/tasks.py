"""The task handler: accepts tasks as jobs, answers questions about them, and reports outcomes."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.request import MEMBERS
from ...protocol.wire import Item, encode_answer, encode_item
from .answers import Answer, HttpCall, RefusedError, error_item
from .history import History
from .jobs import Failed, Job, JobOutcome, JobTable
from .sessions import ServiceSession
from .settings import ServiceSettings
from .validation import UPSCALE_TYPES, ValidTask

_DEFAULTS = {member.wire: member.default for member in MEMBERS if member.default is not None}


class TaskHandler:
    """Handles tasks, without regard to the connection or request that brought them."""

    def __init__(
        self, settings: ServiceSettings, history: History, new_uuid: Callable[[], str]
    ) -> None:
        self.jobs = JobTable(settings.max_tasks, settings.max_result_bytes)
        self._settings = settings
        self._history = history
        self._new_uuid = new_uuid

    def handle(
        self, task: ValidTask, owner: ServiceSession | HttpCall
    ) -> tuple[Answer | None, Job | None]:
        """Handle a task, and return its answer, its job, or both.

        With a job comes at most an acknowledgment; its outcome is reported later.

        Raises:
            RefusedError: the task is known already, or exceeds a limit.
        """
        if task.task_type == "ping":
            return Answer([{"taskType": "ping", "pong": True}]), None
        if task.task_type == "getResponse":
            return self._response(task), None
        if task.task_type == "getTaskDetails":
            return self._details(task), None
        job = self._accept(task, owner)
        acknowledgment = Answer([job.header()], group="acknowledgment")
        return (None if job.awaited else acknowledgment), job

    def settle(self, job: Job, outcome: JobOutcome) -> list[Job]:
        """Note the outcome of a job, and return the jobs that are forgotten in favour of it."""
        if isinstance(outcome, Failed):
            job.fail(self.error(job, outcome))
            return self.jobs.finish(job, 0)
        job.succeed(outcome, image_url=self._settings.image_url, cost=self._settings.cost)
        return self.jobs.finish(job, len(outcome.base64))

    def error(self, job: Job, failed: Failed) -> Item:
        """Return the error object that reports a failed job."""
        error = RefusedError(failed.code, failed.message, failed.parameter)
        return self._error_item(error, {"taskType": job.task_type, "taskUUID": job.task_uuid})

    def frame(self, job: Job, answer: Answer) -> bytes:
        """Return the frame that pushes the outcome of a job."""
        if not answer.data:
            return encode_answer(errors=answer.errors)
        if job.is_upload and self._settings.rules.upload_data == "object":
            return encode_answer(answer.data[0])
        return encode_answer(answer.data)

    def webhook_body(self, job: Job) -> bytes:
        """Return the body of the webhook that reports a finished job."""
        if self._settings.rules.webhook_body == "flat":
            return encode_item(job.answer or job.error or {})
        return self.frame(job, job.outcome())

    def _accept(self, task: ValidTask, owner: ServiceSession | HttpCall) -> Job:
        if self.jobs.find(task.uuid):
            message = "A task with this taskUUID is already known."
            raise RefusedError("conflictTaskUUID", message, "taskUUID")
        cost = self._settings.cost if task.task_type in UPSCALE_TYPES else 0.0
        self._check_limits(cost)
        job = self._new_job(task, owner)
        if isinstance(owner, HttpCall) and job.awaited:
            owner.reserve(job)
        self.jobs.add(job)
        self._history.add_execution(job.key, cost)
        return job

    def _check_limits(self, cost: float) -> None:
        running, credit = self._settings.max_running, self._settings.credit
        if running is not None and self.jobs.running >= running:
            raise RefusedError("rateLimitExceeded", "The queue is full; try again later.")
        if credit is not None and self._history.billed + cost > credit:
            raise RefusedError("insufficientCredits", "The account has no credit left.")

    def _new_job(self, task: ValidTask, owner: ServiceSession | HttpCall) -> Job:
        text, form = task.image
        defaults = {**_DEFAULTS, "upscaleFactor": self._settings.default_upscale_factor}
        if task.task_type == "imageUpload":
            defaults["outputFormat"] = "PNG"
        options = defaults | task.options
        input_uuid = text if form == "uuid" else self._new_uuid()
        return Job(
            task_uuid=task.uuid,
            task_type=task.task_type,
            image=text,
            image_form=form,
            image_uuid=self._new_uuid(),
            input_image_uuid=input_uuid,
            options=options,
            request=_with_image(task.task, input_uuid) if form == "inline" else task.task,
            owner=owner,
            awaited=options["deliveryMethod"] == "sync" and "webhookURL" not in options,
        )

    def _response(self, task: ValidTask) -> Answer:
        answer = Answer(group="getResponse")
        if (job := self.jobs.find(task.uuid)) is not None:
            answer.extend(self._report(job, {"status": "success"}))
        elif self._settings.rules.unknown_task == "error":
            answer.errors.append(self._not_found(task))
        return answer

    def _details(self, task: ValidTask) -> Answer:
        if (job := self.jobs.find(task.uuid)) is None:
            return Answer(errors=[self._not_found(task)])
        report = self._report(job, {})
        response = {"data": report.data} if report.data else {"errors": report.errors}
        item: Item = {"taskType": "getTaskDetails", "taskUUID": task.uuid}
        return Answer([item | {"request": [job.request], "response": response}])

    def _report(self, job: Job, success: Item) -> Answer:
        """Return the state of a job; `success` is added to the item of one that succeeded."""
        if job.state == "processing":
            return Answer([job.header() | {"status": "processing"}])
        if job.answer is not None:
            return Answer([job.answer | success])
        expired = Failed("taskExpired", "The result is not kept any more.")
        return Answer(errors=[(job.error or self.error(job, expired)) | {"status": "error"}])

    def _not_found(self, task: ValidTask) -> Item:
        message = "No task with this taskUUID is known."
        return self._error_item(RefusedError("taskNotFound", message, "taskUUID"), task.task)

    def _error_item(self, error: RefusedError, task: Item) -> Item:
        return error_item(error, task, name_task=self._settings.rules.errors_name_task)


def _with_image(task: Item, image: str) -> Item:
    """Return a task with another image, as `getTaskDetails` shows one that was sent inline."""
    if "inputs" in task:
        return task | {"inputs": {"image": image}}
    member = "inputImage" if "inputImage" in task else "image"
    return task | {member: image}
