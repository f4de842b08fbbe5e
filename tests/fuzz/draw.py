"""Turn bytes into decisions: what a fuzzer mutates becomes frames that are nearly right.

JSON is parsed by native code, of which the fuzzer sees no coverage; so it is given the choice of
the members and values that matter, and only now and then of the raw bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

__all__ = ["UUIDS", "Draw"]

_T = TypeVar("_T")

UUIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 5)]
_NAMES = [
    *("data", "errors", "error", "taskType", "taskUUID", "code", "message", "status", "parameter"),
    *("connectionSessionUUID", "apiKey", "pong", "ping", "imageURL", "imageUUID", "mediaURL"),
    *("imageBase64Data", "imageDataURI", "response", "request", "errorId", "errorMessage", "cost"),
    *("model", "inputs", "image", "inputImage", "upscaleFactor", "outputType", "outputFormat"),
    *("outputQuality", "ttl", "includeCost", "webhookURL", "uploadEndpoint", "deliveryMethod"),
    *("progress", "documentation", "allowedValues", "", "é\u2028", "novel"),
]
_TEXTS = [
    *("upscale", "imageUpscale", "imageUpload", "getResponse", "getTaskDetails", "authentication"),
    *("ping", "runware:504@1", "success", "error", "processing", "URL", "base64Data", "PNG"),
    *("sync", "async", "conflictTaskUUID", "taskNotFound", "invalidApiKey", "timeout", "apiKey"),
    *("rateLimitExceeded", "forbidden", "internalServerError", "insufficientCredits"),
    *("https://example.com/a.jpg", "http://[", "data:image/png;base64,QUJD", "QUJD", "", "\x00"),
]
_ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    2,
    4,
    19,
    -1,
    2**63,
    2**64,
    10**30,
    0.5,
    2.0,
    1e308,
    [],
    {},
    [[]],
]


class Draw:
    """Decisions out of bytes; out of nothing when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)

    def number(self, below: int) -> int:
        """From 0, and less than `below`, which is 256 at most."""
        if self.is_over:
            return 0
        self._at += 1
        return self._data[self._at - 1] % below

    def one_of(self, values: Sequence[_T]) -> _T:
        return values[self.number(len(values))]

    def raw(self) -> bytes:
        """A stretch of the bytes themselves."""
        start, length = self._at, self.number(256)
        self._at = min(self._at + length, len(self._data))
        return self._data[start + 1 : self._at]

    def text(self) -> str:
        kind = self.number(8)
        if kind == 0:
            return self.raw().decode(errors="replace")
        text = self.one_of(UUIDS) if kind < 4 else self.one_of(_TEXTS)
        return text.upper() if kind == 7 else text

    def value(self, depth: int = 4) -> Any:
        kind = self.number(8)
        if kind < 3 or not depth:
            return self.text()
        if kind == 3:
            return self.one_of(_ODD)
        if kind == 4:
            return [self.value(depth - 1) for _ in range(self.number(4))]
        return self.members(depth - 1)

    def members(self, depth: int = 3) -> dict[str, Any]:
        return {self.one_of(_NAMES): self.value(depth) for _ in range(self.number(7))}

    def frame(self, value: Any) -> bytes:
        """The value as JSON; now and then garbled, or other bytes altogether."""
        kind = self.number(16)
        encoded = json.dumps(value, ensure_ascii=kind % 2 == 0).encode(errors="replace")
        if kind == 0:
            return self.raw()
        return encoded[: -1 - self.number(9)] if kind == 1 else encoded
