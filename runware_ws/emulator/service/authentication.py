"""Authentication: check keys, and read the session to resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...protocol.request import is_uuid
from ...protocol.wire import Item
from .answers import RefusedError
from .settings import ServiceSettings
from .validation import refuse_unknown

_MEMBERS = frozenset({"taskType", "apiKey", "connectionSessionUUID"})


def authenticate(task: Mapping[str, Any], settings: ServiceSettings) -> str:
    """Check an authentication, and return the session to resume; "" for none.

    Raises:
        RefusedError: the first mistake in it, or the key is refused.
    """
    refuse_unknown(task, _MEMBERS)
    key = task.get("apiKey")
    if key is None or key == "":
        raise RefusedError("missingApiKey", "An API key is required.", "apiKey")
    session: Any = task.get("connectionSessionUUID", "")
    if session != "" and not (isinstance(session, str) and is_uuid(session)):
        parameter = "connectionSessionUUID"
        raise RefusedError(
            "invalidConnectionSessionUUID", f"{parameter} must be a UUID.", parameter
        )
    _check_key(key, settings)
    return str(session)


def authorized(tasks: list[Item], key: str | None, settings: ServiceSettings) -> list[Item]:
    """Return the tasks of an HTTP request with a valid key.

    The key is the bearer token, if there is one; else the first task must be an authentication.

    Raises:
        RefusedError: there is no key, or it is refused.
    """
    if key is not None:
        _check_key(key, settings)
    if tasks and tasks[0].get("taskType") == "authentication":
        authenticate(tasks[0], settings)
        return tasks[1:]
    if key is None:
        raise RefusedError("missingApiKey", "An API key is required.", "apiKey")
    return tasks


def _check_key(key: object, settings: ServiceSettings) -> None:
    if isinstance(key, str) and key in settings.restricted_keys:
        raise RefusedError("forbidden", "The API key lacks permission for this.", "apiKey")
    if key != settings.api_key:
        message = "Invalid API key. Get one at https://my.runware.ai/signup."
        raise RefusedError("invalidApiKey", message, "apiKey")
