"""The names of results. A name depends only on its input and on the options.

By default a result has the name of its input, followed by the suffix of its format unless it has
that already: ``photo.jpg`` gives ``photo.jpg``, and ``photo.png`` gives ``photo.png.jpg``. So the
results of two inputs in one folder never share a name, whatever files are added or removed.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePath
from string import Formatter
from urllib.parse import unquote

from .errors import UsageError, one_line

DEFAULT_NAME = "{name}"
FIELDS = ("name", "stem", "ext", "parent", "factor", "format")
FORMATS = {"jpg": "JPG", "jpeg": "JPG", "png": "PNG", "webp": "WEBP"}
_SUFFIXES = {"JPG": (".jpg", ".jpeg"), "PNG": (".png",), "WEBP": (".webp",)}
_URL = re.compile(r"https?://[^/?#]*(?P<path>[^?#]*)(?P<query>[?][^#]*)?", re.I)
_MAX_NAME_LENGTH = 100


def is_url(text: str) -> bool:
    """Return True if an argument is a URL that the service can fetch."""
    return _URL.match(text) is not None


def check_name(template: str) -> None:
    """Raise UsageError unless `template` is one for the names of results."""
    remedy = "use " + ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        fields = [(name, spec, conv) for _, name, spec, conv in Formatter().parse(template)]
    except ValueError as error:
        raise UsageError(f"--name: {error}; {remedy}") from None
    for name, spec, conversion in fields:
        if name is not None and (name not in FIELDS or spec or conversion):
            raise UsageError(f"--name: {{{one_line(name)}}} is not known; {remedy}")
    path = PurePath(template)
    if not template.strip("/ ") or path.is_absolute() or ".." in path.parts:
        problem = f"{one_line(template)!r} is not a path inside the output folder"
        raise UsageError(f"--name: {problem}; {remedy}")


def format_of(source: Path | str, wanted: str | None) -> str:
    """Return the format of a result: the wanted one, or with ``same`` that of the input.

    An input in another format than those of the service gives PNG, which is lossless. A URL
    without a suffix gives JPG, the service's default.
    """
    if wanted != "SAME":
        return wanted or "JPG"
    suffix = PurePath(_name_of(source)).suffix
    return FORMATS.get(suffix[1:].lower(), "PNG" if suffix else "JPG")


def result_name(source: Path | str, template: str, factor: int, output_format: str) -> PurePath:
    """Return the name of a result, with the suffix of its format."""
    name = PurePath(_name_of(source))
    text = template.format(
        name=name.name,
        stem=name.stem,
        ext=name.suffix[1:],
        parent=PurePath(absolute_path(source)).parent.name if isinstance(source, Path) else "",
        factor=factor,
        format=output_format.lower(),
    )
    suffixes = _SUFFIXES[output_format]
    text = text.lstrip("/")  # a URL has no parent
    return PurePath(text if text.lower().endswith(suffixes) else text + suffixes[0])


def absolute_path(path: Path) -> str:
    """Return the absolute path without following links."""
    return os.path.abspath(path)  # noqa: PTH100  # resolve() would follow links


def _name_of(source: Path | str) -> str:
    """Return the name of an input. The name of a URL is valid on every system.

    URLs that differ only in their queries lead to different images.
    """
    if isinstance(source, Path):
        return source.name
    match = _URL.match(source)
    path = unquote(match["path"]) if match else ""
    plain = re.sub(r"[^\w.,+@=() -]", "_", path.rstrip("/").rpartition("/")[2]).strip(" .")
    name = PurePath(plain or "image")
    query = match["query"] if match else None
    unique = f"-{hashlib.sha256(query.encode()).hexdigest()[:8]}" if query else ""
    suffix = name.suffix if name.suffix[1:].lower() in FORMATS else ""
    stem = name.name.removesuffix(suffix)[:_MAX_NAME_LENGTH]
    return f"{stem}{unique}{suffix}"
