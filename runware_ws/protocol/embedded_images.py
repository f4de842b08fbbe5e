"""Find the images in a large frame, and keep them from the JSON decoder.

The decoder copies a string several times. For an image of 16 MiB that takes 40 ms, for which the
event loop stands still; without the image it takes less than half of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# The members of a result that hold nothing but an image.
IMAGE_MEMBERS = frozenset({"imageBase64Data", "imageDataURI", "mediaBase64Data", "mediaDataURI"})
_MARKS = tuple(f'"{name}":"'.encode() for name in sorted(IMAGE_MEMBERS))
_WITHIN_BYTES = 64 * 1024  # in which the first image begins
# Stands for an image. No text of a service has a NUL in it, and if one had, it would only be taken
# for one of the images in its own frame.
_PLACE = "\0{}"


def find_images(frame: bytes | bytearray) -> list[tuple[int, int]]:
    """Return the start and end of each image.

    There are none if anything about one is unusual, such as an escape, or if the frame is not JSON.
    """
    mark = next((one for one in _MARKS if frame.find(one, 0, _WITHIN_BYTES) >= 0), None)
    images: list[tuple[int, int]] = []
    end = 0
    while mark is not None and (at := frame.find(mark, end)) >= 0:
        start = at + len(mark)
        end = frame.find(b'"', start)
        if end < 0 or frame.find(b"\\", start, end) >= 0:
            return []
        images.append((start, end))
    return images


def around_images(
    frame: bytes | bytearray, images: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each part of a frame that is no image."""
    begin = 0
    for start, end in images:
        yield begin, start
        begin = end
    yield begin, len(frame)


def take_out_images(
    frame: bytes | bytearray, images: Sequence[tuple[int, int]]
) -> tuple[bytes | bytearray, dict[str, str]]:
    """Return a frame with short texts in place of its images, and the images by these texts."""
    by_place: dict[str, str] = {}
    parts: list[bytes | bytearray] = []
    for begin, start in around_images(frame, images):
        parts += (frame[begin:start], b"\\u0000%d" % (len(parts) // 2))
    try:
        for number, (start, end) in enumerate(images):
            text = str(memoryview(frame)[start:end], "ascii")
            by_place[_PLACE.format(number)] = text
    except UnicodeDecodeError:
        return frame, {}
    return b"".join(parts[:-1]), by_place


def put_back_images(root: Any, images: Mapping[str, str]) -> None:
    """Replace the texts that stand for images in a decoded frame."""
    todo = [root]
    while todo:
        value = todo.pop()
        if isinstance(value, list):
            todo += value
        elif isinstance(value, dict):
            for name, one in value.items():
                if isinstance(one, str):
                    value[name] = images.get(one, one)
                else:
                    todo.append(one)
