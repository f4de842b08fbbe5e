"""Keep the API key out of reprs and logs."""

from __future__ import annotations

from typing import Any

from .embedded_images import IMAGE_MEMBERS

_SMALL_BYTES = 64 * 1024
_SHORTEST = 8  # a shorter one, as in tests, may be a part of other words
_MAX_FORMER = 4  # keys that were replaced, and may still be quoted
_MAX_DEPTH = 100
_BACKSLASH = ord("\\")
_USUAL_ANSWER = (
    b'{"data":[{"taskType":"upscale","taskUUID":"0123456789abcdef-4","cost":0.1,"imageUUID":"-",'
    b'"imageURL":"https://im.runware.ai/image/ws/2/ii/-.jpg"}]}'
)
_IN_ITS_PLACE = "(the key)"


class Secret:
    """Holds the API key, so that no repr, log or dump of local variables shows it."""

    __slots__ = ("_bytes", "_former", "_rarest", "_text")

    def __init__(self, text: str) -> None:
        self._former: tuple[Secret, ...] = ()
        self._set(text)

    def replace(self, text: str) -> None:
        """Replace the text by another one. The last few are still hidden in answers."""
        if text != self._text:
            self._former = (Secret(self._text), *self._former[: _MAX_FORMER - 1])
            self._set(text)

    def _set(self, text: str) -> None:
        self._text = text
        self._bytes = text.encode()
        self._rarest = min(self._bytes, key=_USUAL_ANSWER.count, default=0)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def may_be_in(self, frame: bytes | bytearray) -> bool:
        """Return whether the values of a frame have to be searched for the secret.

        An escape may stand for any of its characters. Searching a large frame takes longer than
        searching its values, because most of it is an image.
        """
        if self._former and any(former.may_be_in(frame) for former in self._former):
            return True
        if len(self._text) < _SHORTEST:
            return False
        if len(frame) > _SMALL_BYTES or _BACKSLASH in frame:
            return True
        return self._rarest in frame and self._bytes in frame  # a byte is found much faster

    def hidden_in(self, value: Any, depth: int = 0) -> Any:
        """Return a value from the server, with the secret removed wherever it is quoted.

        Args:
            value: a text or a JSON value. Values that are nested too deeply in it are left out.
            depth: the depth at which the value itself is nested.
        """
        if isinstance(value, str):
            for former in self._former:
                value = former.hidden_in(value)
            hides = len(self._text) >= _SHORTEST and self._text in value
            return value.replace(self._text, _IN_ITS_PLACE) if hides else value
        if depth > _MAX_DEPTH:
            return None
        if isinstance(value, list):
            return [self.hidden_in(one, depth + 1) for one in value]
        if isinstance(value, dict):
            return {
                # An image needs no search, which would take long.
                self.hidden_in(name): (
                    one if name in IMAGE_MEMBERS else self.hidden_in(one, depth + 1)
                )
                for name, one in value.items()
            }
        return value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled")
