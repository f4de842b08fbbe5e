"""Files: names made from templates and from inputs, and writing without half-written files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from string import Formatter
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from ..errors import InputError

MAX_NAME_BYTES = 200  # of the 255 that most systems allow; the suffix needs some
_BINARY = getattr(os, "O_BINARY", 0)  # on Windows
# They are compiled when they are first used, which few programs do.
_INVALID = r'[\x00-\x1f/\\:*?"<>|]'  # on one of the usual systems
_URL_PATH = r"(?i)[a-z]+://[^/?#]*([^?#]*)"


class NameTemplate:
    """A template for the names of files, in the syntax of `str.format`.

    Args:
        text: the template, such as ``{stem}-{factor}x``. It may contain folders.
        examples: the fields that it may have, each with an example of a value.

    Attributes:
        fields: the fields that it has.

    Raises:
        InputError: it is not a template with these fields, or leads out of its folder.
    """

    def __init__(self, text: str, examples: Mapping[str, Any]) -> None:
        self._text = text
        self.remedy = "use " + ", ".join(f"{{{name}}}" for name in examples)
        self.fields: set[str] = set()
        try:
            for _, name, _, conversion in Formatter().parse(text):
                if name is not None and (name not in examples or conversion):
                    raise InputError("name", f"{{{name}}} is not known", self.remedy)
                self.fields.update(() if name is None else (name,))
            example = text.format(**examples)
        except (ValueError, IndexError, KeyError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("name", str(error), self.remedy) from None
        check_file_name(example, self.remedy)

    def fill(self, **values: Any) -> str:
        """Return the name with these values of the fields."""
        return self._text.format(**values)


def check_file_name(name: object, remedy: str) -> None:
    """Raise InputError with this remedy unless `name` is the name of a file within its folder."""
    if not isinstance(name, str):
        raise InputError("name", f"is of type {type(name).__name__}", remedy)
    path = PureWindowsPath(name)  # which knows every separator
    if path.anchor or ".." in path.parts:
        raise InputError("name", f"{name!r} leads out of the folder", remedy)
    if not path.name or "\0" in name or name[-1] in "/\\":
        raise InputError("name", f"{name!r} is not the name of a file", remedy)
    if any(len(part.encode(errors="replace")) > MAX_NAME_BYTES for part in path.parts):
        raise InputError("name", f"has more than {MAX_NAME_BYTES} bytes", remedy)


def valid_name(text: str) -> str:
    """Return a text without the characters that a file name must not have on some system."""
    return re.sub(_INVALID, "_", text).strip(". ")


def name_in_url(url: str) -> str:
    """Return the last part of a URL's path as a valid file name; "" if there is none."""
    match = re.match(_URL_PATH, url)
    path = unquote(match[1]) if match else ""
    return valid_name(path.rstrip("/").rpartition("/")[2])


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that has either its former content or all of the new one. It blocks.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
