"""The task handler, which accepts tasks as jobs, and reports their outcomes."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.request import MEMBERS
from ...protocol.wire import Item, encode_answer, encode_item
from .account import Account
from .answers import Answer, HttpCall, RefusedError, error_item
from .history import History
from .job_table import JobTable
from .jobs import Failed, Job, JobOutcome
from .questions import Questions
from .sessions import ServiceSession
from .settings import ServiceSettings
from .validation import UPSCALE_TYPES, ValidTask

_DEFAULTS = {member.wire: member.default for member in MEMBERS if member.default is not None}


class TaskHandler:
    """Handles tasks, independent of the connection or request that they came with."""

    def __init__(
        self, settings: ServiceSettings, history: History, new_uuid: Callable[[], str]
    ) -> None:
        self.jobs = JobTable(settings.max_tasks, settings.max_result_bytes)
        self._questions = Questions(self.jobs, settings.rules)
        self._account = Account(settings, history)
        self._settings = settings
        self._rules = settings.rules
        self._history = history
        self._new_uuid = new_uuid

    def handle(
        self, task: ValidTask, owner: ServiceSession | HttpCall, now: float, *, dry_run: bool
    ) -> tuple[Answer | None, Job | None]:
        """Handle a task, and return its answer, its job, or both.

        With a job, the answer is an acknowledgment or None; the outcome is reported later. A task
        of a dry run has no job.

        Raises:
            RefusedError: the task is known already, or exceeds a limit.
        """
        if (answer := self._answer(task, now)) is not None:
            return answer, None
        if dry_run and self._rules.dry_run == "honoured":
            return self._priced(task), None
        job = self._accept(task, owner, now)
        acknowledgment = Answer([job.header()], group="acknowledgment")
        return (None if job.awaited else acknowledgment), job

    def settle(self, job: Job, outcome: JobOutcome) -> list[Job]:
        """Record the outcome of a job, and return the jobs that are forgotten to make room."""
        if isinstance(outcome, Failed):
            job.fail(self.error(job, outcome))
            return self.jobs.finish(job, 0)
        job.succeed(outcome, image_url=self._settings.image_url, cost=self._settings.cost)
        return self.jobs.finish(job, len(outcome.base64))

    def error(self, job: Job, failed: Failed) -> Item:
        """Return the error object that reports a failed job."""
        error = RefusedError(failed.code, failed.message, failed.parameter)
        return self._error_item(error, job.reference)

    def frame(self, job: Job, answer: Answer) -> bytes:
        """Return the frame that pushes the outcome of a job."""
        if not answer.data:
            return encode_answer(errors=answer.errors)
        if job.task_type == "imageUpload" and self._rules.upload_data == "object":
            return encode_answer(answer.data[0])
        return encode_answer(answer.data)

    def webhook_body(self, job: Job) -> bytes:
        """Return the body of the webhook that reports a finished job."""
        if self._rules.webhook_body == "flat":
            return encode_item(job.answer or job.error or {})
        return self.frame(job, job.outcome())

    def _answer(self, task: ValidTask, now: float) -> Answer | None:
        """Return the answer to a question; None for a task that is run."""
        match task.task_type:
            case "ping":
                return Answer([{"taskType": "ping", "pong": True}])
            case "getResponse":
                return self._questions.response(task, now)
            case "getTaskDetails":
                return self._questions.details(task, now)
            case "accountManagement":
                return self._account.details(task)
            case "modelSearch":
                return self._account.models(task)
        return None

    def _cost(self, task: ValidTask) -> float:
        return self._settings.cost if task.task_type in UPSCALE_TYPES else 0.0

    def _priced(self, task: ValidTask) -> Answer:
        """Return the answer to a task of a dry run."""
        names = {"taskType": task.task_type, "taskUUID": task.uuid}
        return Answer([names | {"cost": self._cost(task)}])

    def _accept(self, task: ValidTask, owner: ServiceSession | HttpCall, now: float) -> Job:
        cost = self._cost(task)
        try:
            self._check_conflict(task, now)
            self._check_limits(cost)
        except RefusedError as refused:
            if known := self.jobs.find(task.uuid):
                known.last_error = self._error_item(refused, task.task)
            raise
        job = self._new_job(task, owner, now)
        if isinstance(owner, HttpCall) and job.awaited:
            owner.reserve(job)
        self.jobs.add(job)
        self._history.add_execution(job.key, cost)
        return job

    def _check_conflict(self, task: ValidTask, now: float) -> None:
        if self._rules.conflicts == "never":
            return
        for job in self.jobs.find_all(task.uuid):
            is_seen = now >= job.arrived + self._rules.conflict_delay
            if is_seen and (self._rules.conflicts == "always" or job.state == "processing"):
                message = "A task with this taskUUID is already known."
                raise RefusedError("conflictTaskUUID", message, "taskUUID")

    def _check_limits(self, cost: float) -> None:
        running, credit = self._settings.max_running, self._settings.credit
        if running is not None and self.jobs.running >= running:
            raise RefusedError("rateLimitExceeded", "The queue is full; try again later.")
        if credit is not None and self._history.billed + cost > credit:
            raise RefusedError("insufficientCredits", "The account has no credit left.")

    def _new_job(self, task: ValidTask, owner: ServiceSession | HttpCall, now: float) -> Job:
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
            answer_type=self._rules.answer_type,
            owner=owner,
            arrived=now,
        )

    def _error_item(self, error: RefusedError, task: Item) -> Item:
        return error_item(error, task, name_task=self._rules.names_task(error.code))


def _with_image(task: Item, image: str) -> Item:
    """Return a task with another image, as `getTaskDetails` shows it for an inline image."""
    if "inputs" in task:
        return task | {"inputs": {"image": image}}
    (member,) = task.keys() & {"inputImage", "image", "media"}
    return task | {member: image}
