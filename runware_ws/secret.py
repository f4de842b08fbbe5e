"""A text that is never shown by accident."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret:
    """Holds the API key, so that no repr, log or dump of local variables shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled")
