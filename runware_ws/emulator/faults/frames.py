"""What a fault does to a frame: pure functions from bytes to bytes."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ProtocolError
from ...protocol.wire import Item, decode, encode_answer

__all__ = ["garbled", "is_nameable", "items_of", "merged", "nameless", "padded"]


def items_of(frame: bytes) -> tuple[list[Item], list[Item]]:
    """The data and the errors of a frame; none if it was garbled before."""
    try:
        items, faults = decode(frame)
    except ProtocolError:
        return [], []
    return items, [dict(fault.raw) for fault in faults]


def merged(frames: Iterable[bytes]) -> bytes:
    """All that the frames hold, as one."""
    data: list[Item] = []
    errors: list[Item] = []
    for frame in frames:
        some, others = items_of(frame)
        data += some
        errors += others
    return _frame(data, errors)


def garbled(frame: bytes) -> bytes:
    """The first half of a frame: text still, but no JSON any more."""
    return frame[: len(frame) // 2].decode(errors="ignore").encode()


def is_nameable(frame: bytes) -> bool:
    """Whether a frame has an error that names its task."""
    return b'"errors"' in frame and any("taskUUID" in error for error in items_of(frame)[1])


def nameless(frame: bytes) -> bytes:
    """A frame whose errors name no task."""
    data, errors = items_of(frame)
    for error in errors:
        error.pop("taskUUID", None)
    return _frame(data, errors)


def padded(frame: bytes, size: int) -> bytes:
    """A frame of `size` bytes, or of more if it was larger: its first item has a long text."""
    data, errors = items_of(frame)
    first = (data or errors)[0]
    first["padding"] = ""
    first["padding"] = "x" * (size - len(_frame(data, errors)))
    return _frame(data, errors)


def _frame(data: list[Item], errors: list[Item]) -> bytes:
    return encode_answer(data or None, errors or None)
