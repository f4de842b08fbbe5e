"""Answers made of bytes that lie ready: only the taskUUID is put in."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable

__all__ = ["PONG", "Answers", "authenticated", "error", "frame_of", "processing", "uploaded"]

PONG = b'{"data":[{"taskType":"ping","pong":true}]}'
_UUID = b"2c52d7ed-a248-488e-a5c7-a7a3911d313a"
_URL = b"https://im.runware.ai/image/os/a15d18/ws/3/ii/" + _UUID + b".jpg"
_HEAD = b'{"taskType":"imageUpscale","taskUUID":"'


class Answers:
    """The results of one kind.

    Args:
        image_bytes: size of the image, which is sent as base64; 0 for a URL.
    """

    def __init__(self, image_bytes: int) -> None:
        content = b'"imageURL":"' + _URL
        if image_bytes:
            image = b"\xff\xd8\xff\xe0" + random.Random(1).randbytes(image_bytes - 4)
            content = b'"imageBase64Data":"' + base64.b64encode(image)
        self._tail = b'","imageUUID":"' + _UUID + b'",' + content + b'","cost":0.0013}'

    def result(self, uuid: bytes) -> bytes:
        return _HEAD + uuid + self._tail


def processing(uuid: bytes) -> bytes:
    return _HEAD + uuid + b'","status":"processing"}'


def uploaded(uuid: bytes) -> bytes:
    """The answer to imageUpload, which `runware` sends before each task with a file."""
    head = b'{"taskType":"imageUpload","taskUUID":"'
    return head + uuid + b'","imageUUID":"' + _UUID + b'","imageURL":"' + _URL + b'"}'


def error(code: str, uuid: bytes = b"") -> bytes:
    """A frame with one error, which names its task if `uuid` is given."""
    name = b',"taskUUID":"%b"' % uuid if uuid else b""
    return b'{"errors":[{"code":"%b","message":"so it is"%b}]}' % (code.encode(), name)


def authenticated(session: str) -> bytes:
    head = b'{"data":[{"taskType":"authentication","connectionSessionUUID":"'
    return head + session.encode() + b'"}]}'


def frame_of(items: Iterable[bytes]) -> bytes:
    return b'{"data":[' + b",".join(items) + b"]}"
