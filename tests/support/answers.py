"""Make answers as the service gives them, written down once more and by hand."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

__all__ = ["JPEG", "PNG", "WEBP", "Item", "base64_of", "error", "result"]

Item = dict[str, Any]

JPEG = b"\xff\xd8\xff\xe0 no real image, but it begins like one \xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n no real image either"
WEBP = b"RIFF\x24\x00\x00\x00WEBP nor this"
_CONTENT = {"JPG": JPEG, "PNG": PNG, "WEBP": WEBP}


def base64_of(data: bytes) -> str:
    """`data` in base64, as a text."""
    return base64.b64encode(data).decode()


def result(task: Item, **members: Any) -> Item:
    """The result of an upscale task, in the form that it asks for.

    Args:
        task: the task as received.
        members: members to add or to replace; None takes one away.
    """
    data = _CONTENT[task.get("outputFormat", "JPG")]
    image = str(uuid4())
    item: Item = {
        "x-served-by": {"name": "scripted", "unknown": [1, None]},
        "imageUUID": image,
        "inputImageUUID": str(uuid4()),
        "taskUUID": task["taskUUID"],
        "taskType": "imageUpscale",
    }
    match task.get("outputType", "URL"):
        case "base64Data":
            item["imageBase64Data"] = base64_of(data)
        case "dataURI":
            item["imageDataURI"] = f"data:image/jpeg;base64,{base64_of(data)}"
        case _:
            item["imageURL"] = f"https://im.runware.invalid/image/{image}.jpg"
    if task.get("includeCost"):
        item["cost"] = 0.0013
    changed = {**item, **members}
    return {name: value for name, value in changed.items() if value is not None}


def error(code: str, task: Item | None = None, **members: Any) -> Item:
    """An error object; it names `task` if one is given."""
    item: Item = {"message": f"This is {code}.", "code": code}
    if task is not None:
        item.update(taskUUID=task["taskUUID"], taskType=task["taskType"])
    return {**item, **members}
