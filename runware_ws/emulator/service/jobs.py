"""The work that was accepted: what it is, how far it is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...protocol.request import MEMBERS
from ...protocol.wire import Item
from .calls import Call
from .replies import Answer
from .schedule import Deadlines
from .sessions import Session

__all__ = ["EXTENSIONS", "Failed", "Job", "JobBook", "Made", "Outcome"]

EXTENSIONS = {"JPG": "jpg", "PNG": "png", "WEBP": "webp"}
_MEDIA_TYPES = {"JPG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_DEFAULTS = {member.wire: member.default for member in MEMBERS if member.default is not None}


@dataclass(frozen=True, slots=True)
class Made:
    """The engine has made the image, or stored the upload.

    Attributes:
        base64: the file as base64; only looked at when the request wants it in the answer.
    """

    base64: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine could not make the image; `parameter` is the member to blame, if one is."""

    code: str
    message: str
    parameter: str | None = None


Outcome: TypeAlias = Made | Failed


@dataclass(slots=True, eq=False)
class Job:
    """A task that was accepted: an upscale or an upload.

    Attributes:
        key: its taskUUID in lower case.
        task_uuid: the same as it was sent, which is how it is echoed.
        task_type: as it was sent.
        image: the request's image; "" once the job is finished.
        image_uuid: what the result is called.
        input_image_uuid: what the input is called.
        members: the request's options, with their defaults.
        request: the request as `getTaskDetails` shows it.
        owner: who gets the result: a session, or an HTTP request; None once it is finished.
        awaited: whether the owner still waits for the result to be pushed.
        state: ``processing``, ``success``, ``error``, or ``expired``: done, result given up.
        answer: the item that reports success, without a status.
        error: the error object.
    """

    key: str
    task_uuid: str
    task_type: str
    image: str = field(repr=False)
    image_uuid: str
    input_image_uuid: str
    members: Item
    request: Item = field(repr=False)
    owner: Session | Call | None
    awaited: bool = False
    state: Literal["processing", "success", "error", "expired"] = "processing"
    answer: Item | None = field(default=None, repr=False)
    error: Item | None = field(default=None, repr=False)

    @property
    def is_upload(self) -> bool:
        """Whether this stores an image instead of upscaling one."""
        return self.task_type == "imageUpload"

    @property
    def answer_type(self) -> str:
        """The taskType of its answers, which is not that of the request [D]."""
        return "imageUpload" if self.is_upload else "imageUpscale"

    @property
    def image_parameter(self) -> str:
        """The member of the request that holds the image, as errors name it."""
        if self.is_upload:
            return "image"
        return "inputImage" if "inputImage" in self.request else "inputs.image"

    @property
    def media_type(self) -> str:
        """Of the result's file, for example ``image/jpeg``."""
        return _MEDIA_TYPES[self.members["outputFormat"]]

    @property
    def file_name(self) -> str:
        """What the result's file is called where it is served."""
        return f"{self.image_uuid}.{EXTENSIONS[self.members['outputFormat']]}"

    @property
    def wants_base64(self) -> bool:
        """Whether the answer carries the file itself."""
        return not self.is_upload and self.members["outputType"] != "URL"

    def option(self, wire: str) -> Any:
        """A member of the request by its name on the wire, or its default, or None."""
        return self.members.get(wire)

    def header(self) -> Item:
        """The members that every answer about this task begins with."""
        return {"taskType": self.answer_type, "taskUUID": self.task_uuid}

    def succeed(self, made: Made, *, image_url: str, cost: float) -> None:
        """Note the success, and write the answer that reports it [D]."""
        self.state, self.image = "success", ""
        answer = self.header() | {"imageUUID": self.image_uuid}
        file_url = f"{image_url}/{self.file_name}"
        if self.is_upload:
            self.answer = answer | {"imageURL": file_url}  # the package `runware` insists [S]
            return
        if self.members["outputType"] == "URL":
            answer["imageURL"] = file_url
        elif self.members["outputType"] == "base64Data":
            answer["imageBase64Data"] = made.base64
        else:
            answer["imageDataURI"] = f"data:{self.media_type};base64,{made.base64}"
        if self.members["includeCost"]:
            answer["cost"] = cost
        self.answer = answer | {"inputImageUUID": self.input_image_uuid}

    def fail(self, error: Item) -> None:
        """Note the failure and the error that reports it."""
        self.state, self.image, self.error = "error", "", error

    def outcome(self) -> Answer:
        """What a finished job is answered."""
        return Answer(
            [] if self.answer is None else [self.answer], [] if self.error is None else [self.error]
        )


def with_defaults(members: Item, upscale_factor: int) -> Item:
    """The request's members, and for those that it lacks what the service takes instead."""
    return {**_DEFAULTS, "upscaleFactor": upscale_factor, **members}


class JobBook:
    """All tasks that are known, by UUID in lower case; what is finished is kept within limits."""

    def __init__(self, memory: float, max_tasks: int, max_result_bytes: int) -> None:
        self._jobs: dict[str, Job] = {}
        self._finished: Deadlines[str] = Deadlines(memory)
        self._heavy: dict[str, int] = {}
        self._heavy_bytes = 0
        self._max_tasks = max_tasks
        self._max_result_bytes = max_result_bytes

    def add(self, job: Job) -> None:
        self._jobs[job.key] = job

    def find(self, task_uuid: str) -> Job | None:
        return self._jobs.get(task_uuid.lower())

    @property
    def running(self) -> int:
        """How many are accepted and not finished."""
        return len(self._jobs) - len(self._finished)

    def finish(self, job: Job, size: int, now: float) -> None:
        """Keep a finished job, whose answer weighs about `size` bytes, for as long as allowed."""
        self._finished.set(job.key, now)
        if size:
            self._heavy[job.key] = size
            self._heavy_bytes += size
        while self._heavy_bytes > self._max_result_bytes:
            self._give_up_oldest_result()
        while len(self._finished) > self._max_tasks and (oldest := self._finished.oldest()):
            self._finished.discard(oldest)
            self._forget(oldest)

    def first_expiry(self) -> float | None:
        return self._finished.first()

    def expire(self, now: float) -> None:
        for key in self._finished.pop_due(now):
            self._forget(key)

    def _forget(self, key: str) -> None:
        del self._jobs[key]
        self._heavy_bytes -= self._heavy.pop(key, 0)

    def _give_up_oldest_result(self) -> None:
        key = next(iter(self._heavy))
        self._heavy_bytes -= self._heavy.pop(key)
        self._jobs[key].state, self._jobs[key].answer = "expired", None
