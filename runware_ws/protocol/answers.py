"""Classify answers by tables. Other modules decide what follows from them."""

from __future__ import annotations

from enum import Enum, auto

from ..error_codes import code_info
from .wire import ErrorItem, Item

# An item with any of these is a result, not an acknowledgment. Newer answers have `media…` where
# Runware documents `image…`.
_CONTENT = tuple(
    kind + member
    for kind in ("image", "media")
    for member in ("UUID", "URL", "Base64Data", "DataURI")
)
_ACKNOWLEDGMENT = frozenset({"taskType", "taskUUID", "status", "progress"})
_IN_PROGRESS = ("processing", "pending", "queued")
QUESTIONS = frozenset({"getResponse", "getTaskDetails"})
_AUTHENTICATION_PARAMETERS = frozenset({"apiKey", "connectionSessionUUID"})


class Meaning(Enum):
    """The meaning of an item of a task."""

    RESULT = auto()
    ALIVE = auto()
    DETAILS = auto()


RESULT = Meaning.RESULT  # looked up once, since that takes long


class Subject(Enum):
    """The subject of an error that does not name a task."""

    KEY = auto()
    EARLY = auto()
    PING = auto()
    QUESTION = auto()
    TASK = auto()


def meaning_of(item: Item) -> Meaning:
    """Return the meaning of an item: a result, details, or a sign that the task is not finished.

    Such a sign is an acknowledgment, ``processing`` or one of its older names.
    """
    status = item.get("status")
    if status not in _IN_PROGRESS:
        for member in _CONTENT:
            if item.get(member) is not None:
                return RESULT
    if item.get("taskType") == "getTaskDetails":
        return Meaning.DETAILS
    return Meaning.RESULT if status == "success" else Meaning.ALIVE


def meaning_of_other(item: Item) -> Meaning:
    """Return the meaning of an item of a task that is not an upscale task.

    Its results may have any members. So an item with more members than an acknowledgment is one.
    """
    if item.get("status") in _IN_PROGRESS:
        return Meaning.ALIVE
    if item.get("taskType") == "getTaskDetails":
        return Meaning.DETAILS
    is_done = item.get("status") == "success" or not item.keys() <= _ACKNOWLEDGMENT
    return Meaning.RESULT if is_done else Meaning.ALIVE


def subject_of(error: ErrorItem, *, ready: bool) -> Subject:
    """Return the subject of an error without a taskUUID, derived from its members.

    Before the key is accepted, it may be about the key, because nothing else was sent, or about a
    task of an earlier connection.
    """
    if error.task_type == "ping":
        return Subject.PING
    parameter = error.raw.get("parameter")
    names_key = isinstance(parameter, str) and parameter in _AUTHENTICATION_PARAMETERS
    # A key may be valid, but not allowed to run such a task.
    about_key = error.task_type is None and code_info(error.code).about_key
    if error.task_type == "authentication" or names_key or about_key:
        return Subject.KEY
    if error.task_type in QUESTIONS or code_info(error.code).not_found:
        return Subject.QUESTION
    if not ready and error.task_type is None:
        return Subject.EARLY
    return Subject.TASK
