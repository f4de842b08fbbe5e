"""Receive webhooks of the service: parse bodies, check the secret in the URL, skip repetitions.

The service POSTs the result of a task to its ``webhook_url``. It repeats the delivery unless it
gets an answer with a status of 2xx within about five seconds. So a receiver should answer first and
work afterwards, and should process each delivery once. Deliveries have no signature: only a secret
in the URL distinguishes them from forgeries. `examples/webhooks.py` is such a receiver.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from threading import Lock
from urllib.parse import parse_qs, quote, urlsplit

from .errors import InputError, ProtocolError, TaskError, task_error
from .protocol.answers import Meaning, meaning_of
from .protocol.wire import ErrorItem, Item, decode
from .results import UpscaleResult

__all__ = ["Deliveries", "has_secret", "parse", "parse_all", "with_secret"]

_PARAMETER = "token"


def parse(body: bytes | str) -> UpscaleResult:
    """Return the result in the body of a webhook, as `RunwareClient.upscale` returns it.

    Its ``task_uuid`` is that of the attempt, which is one of the ``attempt_uuids`` of the task.

    Args:
        body: the body as received: the result itself, or an object with ``data`` or ``errors``.

    Raises:
        TaskError: the task failed; the class depends on the code of the error.
        ProtocolError: the body cannot be read, or does not hold one result or one error.
    """
    outcomes = parse_all(body)
    if len(outcomes) != 1:
        raise ProtocolError(f"the webhook holds {len(outcomes)} results: use `parse_all`")
    if isinstance(outcomes[0], TaskError):
        raise outcomes[0]
    return outcomes[0]


def parse_all(body: bytes | str) -> list[UpscaleResult | TaskError]:
    """Return all results and errors in the body of a webhook; see `parse`.

    Raises:
        ProtocolError: the body cannot be read.
    """
    items, errors = decode(body)
    outcomes = [outcome for item in items if (outcome := _outcome(item)) is not None]
    return [*outcomes, *map(_task_error, errors)]


def _outcome(item: Item) -> UpscaleResult | TaskError | None:
    """Return the outcome in an item; None if it is an acknowledgment or the like."""
    if meaning_of(item) is Meaning.RESULT:
        return UpscaleResult(str(item.get("taskUUID") or "").lower(), item)
    code, message = item.get("code"), item.get("message")
    if isinstance(code, str):  # the whole body is an error
        task_uuid = item.get("taskUUID")
        name = task_uuid if isinstance(task_uuid, str) else None
        return task_error(code, str(message or ""), name, item)
    return None


def _task_error(error: ErrorItem) -> TaskError:
    return task_error(error.code, error.message, error.task_uuid, error.raw)


def with_secret(url: str, secret: str) -> str:
    """Return a URL with a secret in its query, to be passed as ``webhook_url``.

    Args:
        url: the URL of the receiver.
        secret: an unguessable text, such as one from `secrets.token_urlsafe`.

    Raises:
        InputError: the secret is empty.
    """
    if not secret:
        raise InputError("secret", "is empty", "pass a text such as secrets.token_urlsafe()")
    parts = urlsplit(url)
    token = f"{_PARAMETER}={quote(secret, safe='')}"
    return parts._replace(query=f"{parts.query}&{token}" if parts.query else token).geturl()


def has_secret(url: str, secret: str) -> bool:
    """Return whether the URL of a request contains the secret that `with_secret` added.

    The comparison takes constant time.

    Raises:
        InputError: the secret is empty.
    """
    if not secret:
        raise InputError("secret", "is empty", "pass the secret that was passed to `with_secret`")
    given = parse_qs(urlsplit(url).query).get(_PARAMETER, [""])
    return len(given) == 1 and hmac.compare_digest(given[0].encode(), secret.encode())


class Deliveries:
    """The deliveries that were processed, to process each result once. Threads may share it.

    It is kept in memory. A receiver with several processes, or one that must not process a delivery
    again after a restart, needs a unique key in its database instead.

    Args:
        max_size: number of results to remember; the oldest are forgotten first. Repeated deliveries
            come within minutes.
    """

    def __init__(self, max_size: int = 10_000) -> None:
        self._max_size = max_size
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def take(self, outcome: UpscaleResult | TaskError) -> bool:
        """Return True for a new result or error, and False for each repetition.

        An error without a taskUUID cannot be distinguished from another one, and is always new.
        """
        if outcome.task_uuid is None:
            return True
        with self._lock:
            if outcome.task_uuid in self._taken:
                return False
            self._taken[outcome.task_uuid] = None
            if len(self._taken) > self._max_size:
                self._taken.popitem(last=False)
            return True

    def give_back(self, outcome: UpscaleResult | TaskError) -> None:
        """Treat the next delivery of this result as new, as this one could not be processed."""
        if outcome.task_uuid is not None:
            with self._lock:
                self._taken.pop(outcome.task_uuid, None)

    def __len__(self) -> int:
        return len(self._taken)
