"""Validation: a task as it was sent becomes a `ValidTask`, or is refused for its first mistake.

The members of an upscale and their limits come from the one table of
`runware_ws.protocol.request`, which the client checks its arguments against, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from ...protocol.request import (
    MEMBERS,
    MODEL,
    Member,
    Problem,
    is_base64,
    is_data_uri,
    is_url,
    is_uuid,
    is_uuid4,
    is_uuid7,
    member_named,
    problem_with,
)
from ...protocol.wire import Item
from .answers import RefusedError

ImageForm: TypeAlias = Literal["uuid", "url", "inline"]

UPSCALE_TYPES = frozenset({"upscale", "imageUpscale"})
_TASK_TYPES = ["upscale", "imageUpscale", "imageUpload", "getResponse", "getTaskDetails", "ping"]
_UPSCALE = frozenset({"taskType", "taskUUID", "model", "inputs"}) | {m.wire for m in MEMBERS}
_UPLOAD = frozenset({"taskType", "taskUUID", "image"})


class TaskImage(NamedTuple):
    """The image of a task, and which of its forms it has: inline is base64 or a data URI."""

    text: str
    form: ImageForm


@dataclass(frozen=True, slots=True)
class ValidTask:
    """A task that the service can run or answer.

    Attributes:
        task: the task as it was sent.
        task_type: its taskType.
        uuid: its taskUUID as it was sent; "" for a ping.
        image: its image, if it has one.
        options: the options of an upscale, by their names on the wire.
    """

    task: Item
    task_type: str
    uuid: str = ""
    image: TaskImage = field(default=TaskImage("", "inline"), repr=False)
    options: Item = field(default_factory=dict)


def parse_task(task: Item, *, accepts_uuid7: bool = False) -> ValidTask:
    """Return a valid task.

    Args:
        task: the task as it was sent.
        accepts_uuid7: take a taskUUID that is a UUID v7, too.

    Raises:
        RefusedError: the first mistake in it.
    """
    task_type = _task_type(task)
    if task_type == "ping":
        return ValidTask(task, task_type)
    uuid = _task_uuid(task, accepts_uuid7)
    if task_type in UPSCALE_TYPES:
        image, options = _upscale(task, older=task_type == "imageUpscale")
        return ValidTask(task, task_type, uuid, image, options)
    if task_type == "imageUpload":
        refuse_unknown(task, _UPLOAD)
        return ValidTask(task, task_type, uuid, _image(_required(task, "image"), "image"))
    return ValidTask(task, task_type, uuid)


def _image_form(text: str) -> ImageForm | None:
    if is_uuid(text):
        return "uuid"
    if is_url(text):
        return "url"
    return "inline" if is_data_uri(text) or is_base64(text) else None


def _task_type(task: Mapping[str, Any]) -> str:
    value = _required(task, "taskType")
    if not isinstance(value, str):
        raise RefusedError("invalidTaskType", "taskType must be a string.", "taskType")
    if value not in _TASK_TYPES:
        message, details = "This taskType is not supported here.", {"allowedValues": _TASK_TYPES}
        raise RefusedError("unsupportedTaskType", message, "taskType", details)
    return value


def _task_uuid(task: Mapping[str, Any], accepts_uuid7: bool) -> str:
    value = _required(task, "taskUUID")
    if not isinstance(value, str) or not (is_uuid4(value) or (accepts_uuid7 and is_uuid7(value))):
        raise RefusedError("invalidTaskUUID", "taskUUID must be a UUID v4.", "taskUUID")
    return value


def _upscale(task: Mapping[str, Any], *, older: bool) -> tuple[TaskImage, Item]:
    """Return the image and the options of an upscale.

    The older form, which Runware's SDKs still send, may have the image as ``inputImage``, and
    needs no model.
    """
    refuse_unknown(task, _UPSCALE | {"inputImage"} if older else _UPSCALE)
    if "model" in task or not older:
        _check_model(_required(task, "model"))
    image = _upscale_image(task)
    members = ((member_named(name), value) for name, value in task.items() if name != "taskUUID")
    return image, {member.wire: _option(member, value) for member, value in members if member}


def _upscale_image(task: Mapping[str, Any]) -> TaskImage:
    if "inputImage" not in task:
        return _inputs_image(_required(task, "inputs"))
    if "inputs" in task:
        _inputs_image(task["inputs"])  # it must be right, though `inputImage` is taken
    return _image(task["inputImage"], "inputImage")


def _check_model(model: Any) -> None:
    if not isinstance(model, str):
        raise RefusedError("invalidModel", "model must be a string.", "model", {"type": "string"})
    if model != MODEL:
        message, details = f"This model is not supported; use {MODEL}.", {"allowedValues": [MODEL]}
        raise RefusedError("unsupportedModel", message, "model", details)


def _inputs_image(inputs: Any) -> TaskImage:
    if not isinstance(inputs, dict):
        details = {"type": "object"}
        raise RefusedError("invalidInputs", "inputs must be an object.", "inputs", details)
    refuse_unknown(inputs, {"image"}, "inputs.")
    return _image(_required(inputs, "image", "inputs."), "inputs.image")


def _image(value: Any, parameter: str) -> TaskImage:
    if not isinstance(value, str):
        message, details = f"{parameter} must be a string.", {"type": "string"}
        raise RefusedError("invalidImage", message, parameter, details)
    if (form := _image_form(value)) is None:
        message = f"{parameter} must be a UUID, a URL, a data URI or base64."
        raise RefusedError("invalidImage", message, parameter)
    return TaskImage(value, form)


def _option(member: Member, value: Any) -> Any:
    if member.kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON Schema counts 2.0 as an integer
    if problem := problem_with(member, value):
        raise _refused_option(member, problem)
    return value


def _refused_option(member: Member, problem: Problem) -> RefusedError:
    details: dict[str, Any] = {}
    if problem.kind == "choice":
        details["allowedValues"] = list(member.choices)
    if problem.kind == "range":
        limits = {"min": member.minimum, "max": member.maximum}
        details |= {name: limit for name, limit in limits.items() if limit is not None}
    code = _code("unsupported" if problem.kind == "choice" else "invalid", member.wire)
    message = f"{member.wire}: {problem.text}; {problem.remedy}."
    return RefusedError(code, message, member.wire, details)


def _required(mapping: Mapping[str, Any], name: str, path: str = "") -> Any:
    if name not in mapping:
        raise RefusedError(_code("missing", name), f"{path}{name} is required.", path + name)
    return mapping[name]


def refuse_unknown(mapping: Mapping[str, Any], known: Collection[str], path: str = "") -> None:
    """Raise RefusedError for the first member that is not known; `path` is where they are."""
    for name in mapping:
        if name not in known:
            parameter = path + name[:100]
            raise RefusedError("unknownParameter", f"{parameter!r} is not supported.", parameter)


def _code(family: str, name: str) -> str:
    return family + name[0].upper() + name[1:]
