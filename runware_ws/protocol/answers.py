"""What an answer means: the decision tables, apart from what is then done."""

from __future__ import annotations

from enum import Enum, auto

from ..error_codes import code_info
from ..errors import AuthenticationError
from .wire import ErrorItem, Item

__all__ = ["QUESTIONS", "Meaning", "Subject", "is_fatal", "meaning_of", "refusal", "subject_of"]

# Any of these in an item means that it is a result, not an acknowledgment [D][S].
_CONTENT = tuple(
    kind + member
    for kind in ("image", "media")
    for member in ("UUID", "URL", "Base64Data", "DataURI")
)
_UNDER_WAY = ("processing", "pending", "queued")
QUESTIONS = frozenset({"getResponse", "getTaskDetails"})
_AUTHENTICATION_PARAMETERS = frozenset({"apiKey", "connectionSessionUUID"})


class Meaning(Enum):
    """What an item of a task says."""

    RESULT = auto()
    ALIVE = auto()
    DETAILS = auto()


class Subject(Enum):
    """What an error that names no task speaks of."""

    KEY = auto()
    EARLY = auto()
    PING = auto()
    QUESTION = auto()
    TASK = auto()


def meaning_of(item: Item) -> Meaning:
    """A result, details of the task, or a sign that the server knows it and is not done.

    An acknowledgment, ``processing`` and its older names all mean the last [D][C].
    """
    status = item.get("status")
    if status not in _UNDER_WAY and _holds_content(item):
        return Meaning.RESULT
    if item.get("taskType") == "getTaskDetails":
        return Meaning.DETAILS
    return Meaning.RESULT if status == "success" else Meaning.ALIVE


def _holds_content(item: Item) -> bool:
    for member in _CONTENT:  # noqa: SIM110  # most have the first: a generator would cost more
        if item.get(member) is not None:
            return True
    return False


def subject_of(fault: ErrorItem, *, ready: bool) -> Subject:
    """What an error without a taskUUID is about: by its own words. Before the key is accepted, it
    may be about the key, since nothing else was asked for, or about an earlier connection's task.
    """
    if fault.task_type == "ping":
        return Subject.PING
    parameter = fault.raw.get("parameter")
    names_key = isinstance(parameter, str) and parameter in _AUTHENTICATION_PARAMETERS
    # A key may be good and yet not allowed to run such a task.
    refused = fault.task_type is None and code_info(fault.code).about_key
    if fault.task_type == "authentication" or names_key or refused:
        return Subject.KEY
    if fault.task_type in QUESTIONS or code_info(fault.code).not_found:
        return Subject.QUESTION
    if not ready and fault.task_type is None:
        return Subject.EARLY
    return Subject.TASK


def refusal(fault: ErrorItem) -> AuthenticationError:
    """An error in answer to the authentication, as an exception."""
    return AuthenticationError(fault.message or "the key was refused", fault.code)


def is_fatal(fault: ErrorItem) -> bool:
    """Whether an error in answer to the first authentication says that no retry can help."""
    return not code_info(fault.code).retryable
