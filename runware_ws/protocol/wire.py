"""Convert frames to values and back. It is the only module with JSON, and both ends use it.

A client sends arrays of task objects. A server sends objects with ``data`` and/or ``errors``. Some
servers were seen to answer in other shapes. `decode` accepts all of them, and returns a list of
items and a list of `ErrorItem`. It raises only `ProtocolError`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..errors import ProtocolError
from ..escaping import escaped
from .embedded_images import around_images, find_images, put_back_images, take_out_images
from .secret import Secret

Item = dict[str, Any]
# The number of values that a frame may hold, and the number of bytes for each further value. This
# allows ten thousand results of six members each, which take at most a tenth of a second.
_MAX_VALUES = 50_000
_BYTES_PER_VALUE = 256
_MIN_BYTES_OF_MANY = 2 * _MAX_VALUES  # a digit and a comma each, or two brackets
_PIECE_BYTES = 128 * 1024
# From here on, decoding a frame takes longer than taking its images out.
_LARGE_BYTES = 2 * 1024 * 1024
_BYTES = (bytes, bytearray)
_FAILED = ("error", "failed")
_ENVELOPE = frozenset({"data", "errors", "error", "errorId", "errorMessage"})


@dataclass(frozen=True, slots=True)
class ErrorItem:
    """An error from the server, in a uniform shape.

    Attributes:
        code: the error's code; ``unknownError`` if the server sent none.
        message: the message on one line; "" if the server sent none.
        task_uuid: the taskUUID, or None. It is often missing, even in errors of one task.
        task_type: the taskType, or None.
        raw: all members as received.
    """

    code: str
    message: str
    task_uuid: str | None = None
    task_type: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)  # it may hold an image


def decode(
    frame: bytes | bytearray | memoryview | str, secret: Secret | None = None
) -> tuple[list[Item], list[ErrorItem]]:
    """Split a server's frame into its items and its errors.

    Args:
        frame: the frame.
        secret: a secret to remove from them, or None.

    Raises:
        ProtocolError: the frame is not JSON, holds too many values, or has an unknown shape.
    """
    if not isinstance(frame, _BYTES):
        frame = frame.encode() if isinstance(frame, str) else bytes(frame)
    images: Mapping[str, str] = {}
    if len(frame) > _MIN_BYTES_OF_MANY:
        places = find_images(frame)
        _refuse_too_many_values(frame, places)
        if len(frame) > _LARGE_BYTES:
            frame, images = take_out_images(frame, places)
    try:
        root = orjson.loads(frame)
    except orjson.JSONDecodeError:
        frame = _mended(frame) or frame  # in UTF-8, in which the secret is searched for
        root = _loads(frame)
    if secret is not None and secret.may_be_in(frame):
        root = secret.hidden_in(root)
    if images:
        put_back_images(root, images)
    items: list[Item] = []
    faults: list[ErrorItem] = []
    for envelope in root if isinstance(root, list) else (root,):
        if not isinstance(envelope, dict):
            raise ProtocolError(f"a frame holds {_kind(envelope)} where an object was expected")
        _open(envelope, items, faults)
    return items, faults


def _refuse_too_many_values(frame: bytes | bytearray, images: Sequence[tuple[int, int]]) -> None:
    """Raise ProtocolError if a decoded frame would take many times its size in memory.

    Each value but the first has a comma before it or a bracket around it.
    """
    limit = _MAX_VALUES + len(frame) // _BYTES_PER_VALUE
    for start, end in around_images(frame, images):
        for piece in range(start, end, _PIECE_BYTES):  # it stays in the processor's cache
            stop = min(piece + _PIECE_BYTES, end)
            limit -= sum(frame.count(mark, piece, stop) for mark in (b",", b"[", b"{"))
            if limit < 0:
                raise ProtocolError("a frame holds too many values")


def unwrap(envelope: Item) -> tuple[list[Item], list[ErrorItem]]:
    """Split an answer that is a member of another answer, for example of getTaskDetails.

    Raises:
        ProtocolError: it has an unknown shape.
    """
    items: list[Item] = []
    faults: list[ErrorItem] = []
    _open(envelope, items, faults)
    return items, faults


def _open(envelope: Item, items: list[Item], faults: list[ErrorItem]) -> None:
    if len(envelope) == 1 and isinstance(data := envelope.get("data"), list):
        for item in data:  # nearly every frame is like this: no more is asked of it than needed
            if not isinstance(item, dict):
                continue
            if "error" in item or "status" in item:
                _sort(item, items, faults)
            else:
                items.append(item)
        return
    if _ENVELOPE.isdisjoint(envelope):
        _sort(envelope, items, faults)  # a bare item, as in webhook bodies
        return
    for item in _objects(envelope.get("data"), "data"):
        _sort(item, items, faults)
    faults.extend(_fault(error, error) for error in _objects(envelope.get("errors"), "errors"))
    legacy = envelope.get("error")
    if legacy is True or (legacy is None and "errorMessage" in envelope):
        faults.append(_legacy_fault(envelope))
    elif legacy:  # false and null say that there was none
        rest = _without(envelope, "data", "errors", "error")
        faults.extend(_fault(one, {**rest, **one}) for one in _objects(legacy, "error"))


def _sort(item: Item, items: list[Item], faults: list[ErrorItem]) -> None:
    """Add an item to the items, or to the errors if its own members say that it failed."""
    if item.get("status") not in _FAILED and not isinstance(item.get("error"), dict):
        items.append(item)
        return
    errors = _objects(item.get("error"), "error") or _objects(item.get("errors"), "errors")
    errors = errors or ({"code": "taskFailed"} if item.get("status") == "failed" else {},)
    rest = _without(item, "error", "errors")
    faults.extend(_fault(error, {**rest, **error}) for error in errors)


def _objects(value: Any, member: str) -> Sequence[Item]:
    """Return a value as a list of objects. A single object makes a list of one, null an empty list.

    Other values inside a list are skipped, so that they do not spoil the rest of it. A text counts
    as the message of an error.
    """
    if value is None:
        return ()
    if isinstance(value, list):
        return [_object(one) for one in value if isinstance(one, dict | str)]
    if isinstance(value, dict | str):
        return (_object(value),)
    raise ProtocolError(f"{member!r} of a frame is {_kind(value)}, not a list of objects")


def _object(value: Item | str) -> Item:
    return {"message": value} if isinstance(value, str) else value


def _fault(error: Item, raw: Mapping[str, Any]) -> ErrorItem:
    return ErrorItem(
        code=escaped(_text(error.get("code")) or _text(raw.get("code")) or "unknownError"),
        message=escaped(_text(error.get("message")) or _text(raw.get("message")) or ""),
        task_uuid=_text(raw.get("taskUUID")),
        task_type=_text(raw.get("taskType")),
        raw=raw,
    )


def _legacy_fault(envelope: Item) -> ErrorItem:
    """Return the error in ``{"error":true,"errorId":19,"errorMessage":…}``; 19 is a refused key."""
    code = "invalidApiKey" if envelope.get("errorId") == 19 else "unknownError"
    return ErrorItem(
        code=escaped(_text(envelope.get("code")) or code),
        message=escaped(_text(envelope.get("errorMessage")) or ""),
        task_uuid=_text(envelope.get("taskUUID")),
        task_type=_text(envelope.get("taskType")),
        raw=envelope,
    )


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return None if value is None or isinstance(value, dict | list) else str(value)


def _without(mapping: Item, *names: str) -> Item:
    return {name: value for name, value in mapping.items() if name not in names}


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _loads(frame: bytes | bytearray | memoryview | str) -> Any:
    try:
        return orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"a frame is not JSON: {error.msg}") from None


def _mended(frame: bytes | bytearray | memoryview | str) -> bytes | None:
    """Return a frame without valid JSON that cannot be represented here, or None.

    Half a surrogate pair becomes a question mark, and a number that is too large becomes null. They
    may be in a single answer, while the others in the frame are good.
    """
    text = frame if isinstance(frame, str) else bytes(frame)
    try:
        root = json.loads(text, parse_float=_finite, parse_constant=lambda _: None)
        return json.dumps(root, ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float | None:
    return value if math.isfinite(value := float(text)) else None


def encode_task(members: Mapping[str, Any]) -> bytes:
    """Return a task as a frame.

    Raises:
        ProtocolError: a value cannot be represented in JSON.
    """
    return encode_value([members])


def encode_text(text: str) -> bytes:
    """Return a text as JSON, with its quotes."""
    return orjson.dumps(text)


def split_at_uuid(task: bytes) -> tuple[bytes, bytes]:
    """Split an encoded task before and after its taskUUID, which it must have."""
    mark = b'"taskUUID":"'
    start = task.index(mark) + len(mark)
    return task[:start], task[task.index(b'"', start) :]


# An encoded task ends in "}]". This and `IMAGE_TAIL` put an image in its place.
IMAGE_HEAD, IMAGE_TAIL = b',"inputs":{"image":', b"}}]"


def without_image(before_image: bytes) -> bytes:
    """Return an encoded task, from the first of the parts that `around_image` returns."""
    return before_image[: -len(IMAGE_HEAD)] + b"}]"


def around_image(task: bytes) -> tuple[bytes, bytes]:
    """Return the bytes before and after an image that is added to an encoded task."""
    return task[:-2] + IMAGE_HEAD, IMAGE_TAIL


def encode_value(value: object) -> bytes:
    """Return any value as JSON.

    Raises:
        ProtocolError: the value cannot be represented in JSON.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise ProtocolError(f"is not a JSON value: {error}") from None


def decode_value(data: bytes) -> Any:
    """Return the value that `encode_value` has encoded."""
    return _loads(data)


def encode_item(item: Mapping[str, Any]) -> bytes:
    """Return an item as bytes.

    A member that cannot be written is left out, and counted in the member ``notKept``: a value that
    can be read may be nested too deeply for writing.
    """
    try:
        return orjson.dumps(item)
    except orjson.JSONEncodeError:
        kept = {name: value for name, value in item.items() if _can_be_written(name, value)}
        return orjson.dumps({**kept, "notKept": len(item) - len(kept)})


def _can_be_written(name: str, value: object) -> bool:
    try:
        orjson.dumps({name: value})
    except orjson.JSONEncodeError:
        return False
    return True


def decode_item(data: bytes) -> Item:
    """Return the item that `encode_item` has encoded."""
    item = _loads(data)
    if not isinstance(item, dict):
        raise ProtocolError(f"an item was kept as {_kind(item)}")
    return item


def with_uuid(payload: bytes | bytearray, old: str, new: str) -> bytes | bytearray:
    """Return an encoded task with another taskUUID. The taskUUID precedes any free text in it."""
    return payload.replace(old.encode(), new.encode(), 1)


def join_tasks(frames: Sequence[bytes | bytearray]) -> bytes | bytearray:
    """Return frames of one task each as one frame. There must be at least one."""
    if len(frames) == 1:
        return frames[0]
    parts: list[bytes | memoryview] = [b","] * (2 * len(frames) + 1)
    parts[0], parts[-1] = b"[", b"]"
    parts[1::2] = [memoryview(frame)[1:-1] for frame in frames]
    return b"".join(parts)  # once: a task may be of megabytes


def encode_tasks(tasks: Sequence[Mapping[str, Any]]) -> bytes:
    """Return tasks as one frame."""
    return orjson.dumps(tasks)


def decode_tasks(frame: bytes | str) -> list[Item]:
    """Return the tasks of a client's frame, which must be an array of objects.

    Raises:
        ProtocolError: it is something else.
    """
    root = _loads(frame)
    if not isinstance(root, list) or not all(isinstance(one, dict) for one in root):
        raise ProtocolError("a request must be an array of task objects")
    return root


def encode_answer(
    data: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
    errors: Sequence[Mapping[str, Any]] | None = None,
) -> bytes:
    """Return a server's frame; a member that is None is left out."""
    answer: dict[str, Any] = {}
    if data is not None:
        answer["data"] = data
    if errors is not None:
        answer["errors"] = errors
    return orjson.dumps(answer)
