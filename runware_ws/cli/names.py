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

from ..runtime.files import NameTemplate, name_in_url

DEFAULT_NAME = "{name}"
FIELDS = {
    "name": "photo.jpg",
    "stem": "photo",
    "ext": "jpg",
    "parent": "photos",
    "factor": 4,
    "format": "jpg",
}
FORMATS = {"jpg": "JPG", "jpeg": "JPG", "png": "PNG", "webp": "WEBP"}
_SUFFIXES = {"JPG": (".jpg", ".jpeg"), "PNG": (".png",), "WEBP": (".webp",)}
_URL = re.compile(r"https?://[^?#]*([?][^#]*)?", re.I)
_MAX_NAME_LENGTH = 100


def is_url(text: str) -> bool:
    """Return True if an argument is a URL that the service can fetch."""
    return _URL.match(text) is not None


def format_of(source: Path | str, wanted: str | None) -> str:
    """Return the format of a result: the wanted one, or with ``same`` that of the input.

    An input in another format than those of the service gives PNG, which is lossless. A URL
    without a suffix gives JPG, the service's default.
    """
    if wanted != "SAME":
        return wanted or "JPG"
    suffix = PurePath(_name_of(source)).suffix
    return FORMATS.get(suffix[1:].lower(), "PNG" if suffix else "JPG")


def result_name(
    source: Path | str, template: NameTemplate, factor: int, output_format: str
) -> PurePath:
    """Return the name of a result, with the suffix of its format."""
    name = PurePath(_name_of(source))
    text = template.fill(
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
    name = PurePath(name_in_url(source) or "image")
    match = _URL.match(source)
    query = match[1] if match else None
    unique = f"-{hashlib.sha256(query.encode()).hexdigest()[:8]}" if query else ""
    suffix = name.suffix if name.suffix[1:].lower() in FORMATS else ""
    stem = name.name.removesuffix(suffix)[:_MAX_NAME_LENGTH]
    return f"{stem}{unique}{suffix}"
