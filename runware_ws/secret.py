"""A text that is never shown by accident."""

from __future__ import annotations

from typing import Any

__all__ = ["Secret"]

_LONGEST_WORDS = 64 * 1024
_SHORTEST = 8  # a shorter one, as in tests, may be a part of other words


class Secret:
    """Holds the API key, so that no repr, log or dump of local variables shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def hidden_in(self, words: Any) -> Any:
        """What a server says, without the secret, if it quotes it. Long frames hold images."""
        if not isinstance(words, str | bytes | bytearray) or len(words) > _LONGEST_WORDS:
            return words
        secret = self._text if isinstance(words, str) else self._text.encode()
        if len(secret) < _SHORTEST or secret not in words:  # type: ignore[operator]  # of one kind
            return words
        hidden = "(the key)" if isinstance(words, str) else b"(the key)"
        return words.replace(secret, hidden)  # type: ignore[arg-type]  # likewise

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled")
