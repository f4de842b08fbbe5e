"""Escape control characters in text from the service."""

from __future__ import annotations

import re

# Control characters, and those that break lines or change the direction of text.
_HIDDEN = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def escaped(text: str) -> str:
    """Return a text on one line, with invisible characters replaced by escapes.

    A terminal would obey control characters, and a line break in a log would forge an entry.
    """
    if text.isprintable():
        return text
    return re.sub(_HIDDEN, lambda found: found[0].encode("unicode_escape").decode(), text)
