"""A text that is never shown by accident."""

from __future__ import annotations

from typing import Any

__all__ = ["Secret"]

_LONGEST_WORDS = 64 * 1024
_SHORTEST = 8  # a shorter one, as in tests, may be a part of other words


class Secret:
    """Holds the API key, so that no repr, log or dump of local variables shows it."""

    __slots__ = ("_bytes", "_text")

    def __init__(self, text: str) -> None:
        self.replace(text)

    def replace(self, text: str) -> None:
        """Hold another text from now on."""
        self._text = text
        self._bytes = text.encode()

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def hidden_in(self, words: Any) -> Any:
        """Return the words of a server without the secret, if they quote it.

        Long frames hold images, and are returned as they are.
        """
        if len(words) > _LONGEST_WORDS or len(self._text) < _SHORTEST:
            return words
        if isinstance(words, str):
            return words.replace(self._text, "(the key)")
        if isinstance(words, memoryview):
            words = bytes(words)
        return words.replace(self._bytes, b"(the key)") if self._bytes in words else words

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled")
