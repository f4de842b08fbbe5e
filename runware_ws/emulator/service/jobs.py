"""Jobs: accepted tasks, with their progress and outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Literal, TypeAlias

from ...protocol.wire import Item
from .answers import Answer, HttpCall
from .sessions import ServiceSession
from .validation import UPSCALE_TYPES, ImageForm

_FILE_TYPES = {
    "JPG": ("jpg", "image/jpeg"),
    "PNG": ("png", "image/png"),
    "WEBP": ("webp", "image/webp"),
}


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The engine has made the image, or has stored the upload.

    Attributes:
        base64: the file as base64; only used when the answer carries the file itself.
    """

    base64: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine could not make the image.

    Attributes:
        code, message: members of the error object.
        parameter: the member of the request that is wrong; None if it is not about one.
    """

    code: str
    message: str
    parameter: str | None = None


JobOutcome: TypeAlias = Succeeded | Failed


@dataclass(slots=True, eq=False)
class Job:
    """An accepted task: an upscale, an upload, or the deletion of an image.

    Attributes:
        task_uuid: its taskUUID as it was sent; answers repeat it.
        task_type: its taskType as it was sent.
        image: its image; "" once the job is finished.
        image_form: the form of the image: ``uuid``, ``url`` or ``inline``.
        image_uuid: the UUID of the result.
        input_image_uuid: the UUID of the input.
        options: the other members of the request, with defaults.
        request: the request as `getTaskDetails` shows it.
        answer_type: the taskType of the answer to an upscale.
        owner: the session or HTTP request that gets the result; None once it is finished.
        arrived: the time at which it arrived.
        forget_at: the time at which it is forgotten; infinite before it is finished.
        awaited: True while the owner waits for the result to be pushed.
        state: ``processing``, ``success``, ``error``, or ``expired`` for a success whose result
            was dropped.
        answer: the item that reports the success.
        error: the error object that reports the failure.
        last_error: the last error about its taskUUID that did not end it: the refusal of a resend,
            or the end of a wait; None once it is finished.
    """

    task_uuid: str
    task_type: str
    image: str = field(repr=False)
    image_form: ImageForm
    image_uuid: str
    input_image_uuid: str
    options: Item
    request: Item = field(repr=False)
    answer_type: str
    owner: ServiceSession | HttpCall | None
    arrived: float
    forget_at: float = field(init=False, default=inf)
    awaited: bool = field(init=False)
    state: Literal["processing", "success", "error", "expired"] = "processing"
    answer: Item | None = field(default=None, repr=False)
    error: Item | None = field(default=None, repr=False)
    last_error: Item | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.awaited = not self.is_acknowledged

    @property
    def key(self) -> str:
        """The taskUUID in lower case."""
        return self.task_uuid.lower()

    @property
    def reference(self) -> Item:
        """The members that identify the task in errors."""
        return {"taskType": self.task_type, "taskUUID": self.task_uuid}

    @property
    def is_acknowledged(self) -> bool:
        """True if it is acknowledged and its result is not pushed."""
        return self.options["deliveryMethod"] == "async" or "webhookURL" in self.options

    @property
    def is_upload(self) -> bool:
        """True if it stores or deletes an image instead of upscaling."""
        return self.task_type not in UPSCALE_TYPES

    @property
    def is_media(self) -> bool:
        """True if it stores an image as it is, or deletes one."""
        return self.task_type == "mediaStorage"

    @property
    def is_deletion(self) -> bool:
        """True if it deletes an image."""
        return self.is_media and self.request["operation"] == "delete"

    @property
    def image_parameter(self) -> str:
        """The name of the image's member in the request, as in errors."""
        if self.is_upload:
            return "media" if self.is_media else "image"
        return "inputImage" if "inputImage" in self.request else "inputs.image"

    @property
    def media_type(self) -> str:
        """The media type of the result, for example ``image/jpeg``."""
        return _FILE_TYPES[self.options["outputFormat"]][1]

    @property
    def file_name(self) -> str:
        """The name of the result where it is served."""
        return f"{self.image_uuid}.{_FILE_TYPES[self.options['outputFormat']][0]}"

    @property
    def wants_base64(self) -> bool:
        """True if the answer carries the file itself."""
        return not self.is_upload and self.options["outputType"] != "URL"

    def header(self) -> Item:
        """Return the first members of every answer about this task.

        The taskType of an answer to an upscale is a rule of the service.
        """
        kind = self.task_type if self.is_upload else self.answer_type
        return {"taskType": kind, "taskUUID": self.task_uuid}

    def succeed(self, outcome: Succeeded, *, image_url: str, cost: float) -> None:
        """Record the success, and create the item that reports it."""
        self.state, self.image, self.last_error = "success", "", None
        if self.is_media:
            self.answer = self.header() | self._media(image_url)
            return
        self.answer = self.header() | {"imageUUID": self.image_uuid}
        if self.is_upload or not self.wants_base64:  # Runware's SDK wants the URL of an upload, too
            self.answer["imageURL"] = f"{image_url}/{self.file_name}"
        elif self.options["outputType"] == "base64Data":
            self.answer["imageBase64Data"] = outcome.base64
        else:
            self.answer["imageDataURI"] = f"data:{self.media_type};base64,{outcome.base64}"
        if self.is_upload:
            return
        if self.options["includeCost"]:
            self.answer["cost"] = cost
        if self.answer_type == "imageUpscale":
            self.answer["inputImageUUID"] = self.input_image_uuid

    def _media(self, image_url: str) -> Item:
        operation = self.request["operation"]
        if self.is_deletion:
            return {"operation": operation, "mediaUUID": self.input_image_uuid}
        url = f"{image_url}/{self.image_uuid}"
        return {"operation": operation, "mediaUUID": self.image_uuid, "mediaURL": url}

    def fail(self, error: Item) -> None:
        """Record the failure, and the error object that reports it."""
        self.state, self.image, self.last_error = "error", "", None
        self.error = error

    def outcome(self) -> Answer:
        """Return the answer that reports a finished job."""
        data, errors = self.answer, self.error
        return Answer([] if data is None else [data], [] if errors is None else [errors])
