"""What each kind of task is answered, apart from who asks and on which connection."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.wire import Item, encode_answer, encode_item
from .answers import Refusal, complaint
from .calls import Call
from .history import Record
from .jobs import Failed, Job, JobBook, Made, Outcome, with_defaults
from .replies import Answer
from .sessions import Session
from .settings import ServiceSettings
from .validation import check_task_uuid, check_upload, check_upscale, is_link, is_uuid

__all__ = ["Desk"]

UPSCALES = frozenset({"upscale", "imageUpscale"})
_KINDS = ["upscale", "imageUpscale", "imageUpload", "getResponse", "getTaskDetails", "ping"]


class Desk:
    """Takes tasks in, keeps the book of them, and writes what is said about each."""

    def __init__(
        self, settings: ServiceSettings, record: Record, new_uuid: Callable[[], str]
    ) -> None:
        self.jobs = JobBook(settings.task_memory, settings.max_tasks, settings.max_result_bytes)
        self._settings = settings
        self._record = record
        self._new_uuid = new_uuid

    def check(self, task: Item) -> None:
        """Refuse a task that the documents do not allow, whatever is known of it.

        Raises:
            Refusal: the first thing that is wrong.
        """
        kind = _kind(task)
        if kind == "ping":
            return
        check_task_uuid(task)
        if kind in UPSCALES:
            check_upscale(task)
        elif kind == "imageUpload":
            check_upload(task)

    def take(self, task: Item, owner: Session | Call) -> tuple[Answer | None, Job | None]:
        """Answer a task, or accept it, or both: with the job comes at most an acknowledgment.

        Raises:
            Refusal: it is neither answered nor accepted.
        """
        kind = _kind(task)
        if kind == "ping":
            return Answer([{"taskType": "ping", "pong": True}]), None
        if kind == "getResponse":
            return self._response(task), None
        if kind == "getTaskDetails":
            return self._details(task), None
        job = self._accept(task, owner)
        acknowledgment = Answer([job.header()], group="acknowledgment")
        return (None if job.awaited else acknowledgment), job

    def settle(self, job: Job, outcome: Outcome, now: float) -> None:
        """Write the engine's outcome into the job, and keep the job for as long as allowed."""
        if isinstance(outcome, Made):
            job.succeed(outcome, image_url=self._settings.image_url, cost=self._settings.cost)
            self.jobs.finish(job, len(outcome.base64), now)
        else:
            job.fail(self.error(job, outcome))
            self.jobs.finish(job, 0, now)

    def error(self, job: Job, failed: Failed) -> Item:
        """The error object that reports a failed job."""
        refusal = Refusal(failed.code, failed.message, failed.parameter)
        task = {"taskType": job.task_type, "taskUUID": job.task_uuid}
        return complaint(refusal, task, name_task=self._settings.errors_name_task)

    def frame(self, job: Job, answer: Answer) -> bytes:
        """The frame that pushes a job's outcome."""
        if not answer.data:
            return encode_answer(errors=answer.errors)
        if job.is_upload and self._settings.upload_data == "object":
            return encode_answer(answer.data[0])
        return encode_answer(answer.data)

    def webhook_body(self, job: Job) -> bytes:
        """The body that reports a finished job: flat or as a frame [S]."""
        if self._settings.webhook_body == "flat":
            return encode_item(job.answer or job.error or {})  # one bare object, as a task is
        return self.frame(job, job.outcome())

    # Taking in

    def _accept(self, task: Item, owner: Session | Call) -> Job:
        task_uuid = check_task_uuid(task)
        if task["taskType"] in UPSCALES:
            image, members = check_upscale(task)
        else:
            image, members = check_upload(task), {"outputFormat": "PNG"}
        if self.jobs.find(task_uuid):
            message = "A task with this taskUUID is already known."
            raise Refusal("conflictTaskUUID", message, "taskUUID")
        cost = self._settings.cost if task["taskType"] in UPSCALES else 0.0
        self._check_limits(cost)
        job = self._job(task, image, members, owner)
        if isinstance(owner, Call) and job.awaited:
            owner.reserve(job.key)
        self.jobs.add(job)
        self._record.execution(job.key, cost)
        return job

    def _check_limits(self, cost: float) -> None:
        running, credit = self._settings.max_running, self._settings.credit
        if running is not None and self.jobs.running >= running:
            raise Refusal("rateLimitExceeded", "The queue is full; try again later.")
        if credit is not None and self._record.billed + cost > credit:
            raise Refusal("insufficientCredits", "The account has no credit left.")

    def _job(self, task: Item, image: str, members: Item, owner: Session | Call) -> Job:
        input_uuid = image if is_uuid(image) else self._new_uuid()
        options = with_defaults(members, self._settings.default_upscale_factor)
        at_once = options["deliveryMethod"] == "async" or "webhookURL" in options
        return Job(
            key=task["taskUUID"].lower(),
            task_uuid=task["taskUUID"],
            task_type=task["taskType"],
            image=image,
            image_uuid=self._new_uuid(),
            input_image_uuid=input_uuid,
            members=options,
            request=_as_shown(task, image, input_uuid),
            owner=owner,
            awaited=not at_once,
        )

    # Answering

    def _response(self, task: Item) -> Answer:
        job = self.jobs.find(check_task_uuid(task))
        answer = Answer(group="getResponse")
        if job is None:
            if self._settings.unknown_task == "error":
                answer.errors.append(self._not_found(task))
        elif job.state == "processing":
            answer.data.append(job.header() | {"status": "processing"})
        elif job.answer is not None:
            answer.data.append(job.answer | {"status": "success"})
        else:
            answer.errors.append(self._failure(job))
        return answer

    def _details(self, task: Item) -> Answer:
        job = self.jobs.find(check_task_uuid(task))
        if job is None:
            return Answer(errors=[self._not_found(task)])
        if job.state == "processing":
            response: Item = {"data": [job.header() | {"status": "processing"}]}
        elif job.answer is not None:
            response = {"data": [job.answer]}
        else:
            response = {"errors": [self._failure(job)]}
        item: Item = {"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]}
        return Answer([item | {"request": [job.request], "response": response}])

    def _not_found(self, task: Item) -> Item:
        refusal = Refusal("taskNotFound", "No task with this taskUUID is known.", "taskUUID")
        return complaint(refusal, task, name_task=self._settings.errors_name_task)

    def _failure(self, job: Job) -> Item:
        """A failed job's error, as polling reports it [D]."""
        expired = Failed("taskExpired", "The result is not kept any more.")
        return (job.error or self.error(job, expired)) | {"status": "error"}


def _kind(task: Item) -> str:
    if "taskType" not in task:
        raise Refusal("missingTaskType", "taskType is required.", "taskType")
    kind = task["taskType"]
    if not isinstance(kind, str):
        raise Refusal("invalidTaskType", "taskType must be a string.", "taskType")
    if kind not in _KINDS:
        message = "This taskType is not supported here."
        raise Refusal("unsupportedTaskType", message, "taskType", allowedValues=_KINDS)
    return kind


def _as_shown(task: Item, image: str, input_uuid: str) -> Item:
    """The request as `getTaskDetails` shows it: an inline image by the UUID it was stored under."""
    if is_uuid(image) or is_link(image):
        return task
    if "inputs" in task:
        return task | {"inputs": {"image": input_uuid}}
    member = "inputImage" if "inputImage" in task else "image"
    return task | {member: input_uuid}
