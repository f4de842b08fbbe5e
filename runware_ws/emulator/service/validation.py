"""Validate tasks: each becomes a `ValidTask`, or is refused because of its first mistake.

The members of an upscale and their limits come from the table in `runware_ws.protocol.request`,
which the client also uses to check its arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from ...protocol.request import (
    FACTOR_2_ONLY,
    MEMBERS,
    MODELS,
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
_COMMON = frozenset({"taskType", "taskUUID"})
_UPSCALE = _COMMON | {"model", "inputs", "routing"} | {m.wire for m in MEMBERS}
_UPLOAD = _COMMON | {"image"}
_MEDIA = _COMMON | {"operation", "media"}
_ACCOUNT = _COMMON | {"operation", "startDate", "endDate", "models", "apiKeys"}
_ACCOUNT |= {"groupBy", "timezone"}
_SEARCH = _COMMON | {"search", "source", "category", "type", "architecture", "tags"}
_SEARCH |= {"capabilities", "conditioning", "visibility", "limit", "offset", "sort"}
_MEDIA_OPERATIONS = ["upload", "delete"]
_ACCOUNT_OPERATIONS = ["getDetails", "getUsageActivity"]
_TASK_TYPES = [
    *("upscale", "imageUpscale", "imageUpload", "mediaStorage", "getResponse", "getTaskDetails"),
    *("accountManagement", "modelSearch", "ping"),
]


class TaskImage(NamedTuple):
    """The image of a task, and its form: ``inline`` is base64 or a data URI."""

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

    task: Item = field(repr=False)
    task_type: str
    uuid: str = ""
    image: TaskImage = field(default=TaskImage("", "inline"), repr=False)
    options: Item = field(default_factory=dict)


def parse_task(task: Item, *, accepts_uuid7: bool = False) -> ValidTask:
    """Return a valid task.

    Args:
        task: the task as it was sent.
        accepts_uuid7: also accept a taskUUID that is a UUID v7.

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
    if task_type == "mediaStorage":
        return ValidTask(task, task_type, uuid, _media(task))
    if task_type == "accountManagement":
        refuse_unknown(task, _ACCOUNT)
        _check_operation(task, _ACCOUNT_OPERATIONS)
    if task_type == "modelSearch":
        _check_search(task)
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

    The older form, which Runware's SDKs still send, may contain the image as ``inputImage``, and
    needs no model.
    """
    refuse_unknown(task, _UPSCALE | {"inputImage"} if older else _UPSCALE)
    if "model" in task or not older:
        _check_model(_required(task, "model"), task.get("upscaleFactor"))
    if not isinstance(task.get("routing", {}), dict):
        details = {"type": "object"}
        raise RefusedError("invalidRouting", "routing must be an object.", "routing", details)
    image = _upscale_image(task)
    members = ((member_named(name), value) for name, value in task.items() if name != "taskUUID")
    return image, {member.wire: _option(member, value) for member, value in members if member}


def _upscale_image(task: Mapping[str, Any]) -> TaskImage:
    if "inputImage" not in task:
        return _inputs_image(_required(task, "inputs"))
    if "inputs" in task:
        _inputs_image(task["inputs"])  # it must be right, though `inputImage` is taken
    return _image(task["inputImage"], "inputImage")


def _check_model(model: Any, factor: Any) -> None:
    if not isinstance(model, str):
        raise RefusedError("invalidModel", "model must be a string.", "model", {"type": "string"})
    if model not in MODELS:
        message, details = "This model is not supported here.", {"allowedValues": list(MODELS)}
        raise RefusedError("unsupportedModel", message, "model", details)
    if model in FACTOR_2_ONLY and factor not in (None, 2):
        message = f"{MODELS[model]} has no other factor than 2."
        limits = {"allowedValues": [2]}
        raise RefusedError("unsupportedUpscaleFactor", message, "upscaleFactor", limits)


def _media(task: Mapping[str, Any]) -> TaskImage:
    """Return the image to store, or the UUID of the image to delete."""
    refuse_unknown(task, _MEDIA)
    _check_operation(task, _MEDIA_OPERATIONS)
    media = _image(_required(task, "media"), "media")
    if (media.form == "uuid") is not (task["operation"] == "delete"):
        message = "A UUID can be deleted, and only a URL, a data URI or base64 be uploaded."
        raise RefusedError("invalidMedia", message, "media")
    return media


def _check_operation(task: Mapping[str, Any], allowed: list[str]) -> None:
    if _required(task, "operation") not in allowed:
        message, details = "This operation is not supported here.", {"allowedValues": allowed}
        raise RefusedError("unsupportedOperation", message, "operation", details)


def _check_search(task: Mapping[str, Any]) -> None:
    refuse_unknown(task, _SEARCH)
    for name in ("search", "category", "architecture"):
        if not isinstance(task.get(name, ""), str):
            message = f"{name} must be a string."
            raise RefusedError(_code("invalid", name), message, name, {"type": "string"})
    for name, low, high in (("limit", 1, 100), ("offset", 0, 10_000)):
        value = task.get(name, low)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            message, details = f"{name} must be an integer.", {"min": low, "max": high}
            raise RefusedError(_code("invalid", name), message, name, details)


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
    """Raise RefusedError for the first unknown member. `path` is the prefix of their names."""
    for name in mapping:
        if name not in known:
            parameter = path + name[:100]
            raise RefusedError("unknownParameter", f"{parameter!r} is not supported.", parameter)


def _code(family: str, name: str) -> str:
    return family + name[0].upper() + name[1:]
