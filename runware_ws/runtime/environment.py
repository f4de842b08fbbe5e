"""Values that come from the environment unless the caller gives them: the key and the URL."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..protocol.secret import Secret
from ..settings import DEFAULT_URL


def find_url(url: str | None) -> str:
    """Return the URL given, that of ``RUNWARE_URL``, or the service's."""
    return os.environ.get("RUNWARE_URL") or DEFAULT_URL if url is None else url


def find_key(api_key: str | None) -> Secret:
    """Return the key given, or that of ``RUNWARE_API_KEY``.

    Raises:
        InputError: there is none, or it cannot be a key.
    """
    remedy = "pass api_key=… or set RUNWARE_API_KEY; keys are made at https://my.runware.ai/keys"
    key = os.environ.get("RUNWARE_API_KEY") if api_key is None else api_key
    if problem := _problem_with_key(key):
        del api_key, key  # so that no dump of local variables holds it
        raise InputError("api_key", problem, remedy)
    return Secret(str(key).strip())


def _problem_with_key(key: object) -> str:
    if key is None:
        return "is missing"
    if not isinstance(key, str):
        return f"is of type {type(key).__name__}"
    if any("\ud800" <= character <= "\udfff" for character in key):
        return "is not Unicode text"  # as an environment variable that is not
    return "" if key.strip() else "is empty"


def check_journal(path: object) -> None:
    """Raise InputError unless `path` can be the path of a file, or is None."""
    remedy = "pass the path of a file, or leave it out"
    if path is None:
        return
    if not isinstance(path, str | os.PathLike):
        raise InputError("journal", f"is of type {type(path).__name__}", remedy)
    if not os.fspath(path):
        raise InputError("journal", "is empty", remedy)
    if os.fspath(path) == ":memory:":
        raise InputError("journal", "':memory:' would not survive the process", remedy)
    if Path(path).is_dir():
        raise InputError("journal", "is a folder", remedy)
