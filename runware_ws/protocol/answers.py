"""Decide what an answer says, by tables; others decide what is then done."""

from __future__ import annotations

from enum import Enum, auto

from ..error_codes import code_info
from .wire import ErrorItem, Item

# Any of these in an item means that it is a result and not an acknowledgment. Newer answers have
# `media…` where Runware documents `image…`.
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
    """The subject of an error that names no task."""

    KEY = auto()
    EARLY = auto()
    PING = auto()
    QUESTION = auto()
    TASK = auto()


def meaning_of(item: Item) -> Meaning:
    """Tell a result, the details of a task, and a sign that the server knows it and is not done.

    An acknowledgment, ``processing`` and its older names are all signs of that kind.
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
    """Return the meaning of an item of a task that is no upscale task.

    Its results may have any members, so each that has more than those of an acknowledgment is one.
    """
    if item.get("status") in _IN_PROGRESS:
        return Meaning.ALIVE
    if item.get("taskType") == "getTaskDetails":
        return Meaning.DETAILS
    is_done = item.get("status") == "success" or not item.keys() <= _ACKNOWLEDGMENT
    return Meaning.RESULT if is_done else Meaning.ALIVE


def subject_of(error: ErrorItem, *, ready: bool) -> Subject:
    """Return the subject of an error without a taskUUID, by its own words.

    Before the key is accepted, it may be about the key, since nothing else was asked for, or about
    a task of an earlier connection.
    """
    if error.task_type == "ping":
        return Subject.PING
    parameter = error.raw.get("parameter")
    names_key = isinstance(parameter, str) and parameter in _AUTHENTICATION_PARAMETERS
    # A key may be good and yet not allowed to run such a task.
    about_key = error.task_type is None and code_info(error.code).about_key
    if error.task_type == "authentication" or names_key or about_key:
        return Subject.KEY
    if error.task_type in QUESTIONS or code_info(error.code).not_found:
        return Subject.QUESTION
    if not ready and error.task_type is None:
        return Subject.EARLY
    return Subject.TASK
