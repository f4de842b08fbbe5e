"""Webhooks of the service: their bodies, the secret in their URL, and repeated deliveries.

A task with ``webhook_url`` has its result POSTed there. The service wants an answer with a status
of 2xx within about five seconds and repeats the delivery otherwise, so a receiver answers first and
works afterwards, and takes each delivery once. There is no signature: the only thing that tells a
genuine delivery is a secret in the URL. `examples/webhooks.py` is such a receiver.
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
        body: the body as it was received: the result itself, or an object with ``data`` or
            ``errors``.

    Raises:
        TaskError: the task failed; the class is that for the code of the error.
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
    """Return the outcome that an item is; None for an acknowledgment and other news."""
    if meaning_of(item) is Meaning.RESULT:
        return UpscaleResult(str(item.get("taskUUID") or "").lower(), item)
    code, message = item.get("code"), item.get("message")
    if isinstance(code, str):  # an error that is the whole body
        task_uuid = item.get("taskUUID")
        name = task_uuid if isinstance(task_uuid, str) else None
        return task_error(code, str(message or ""), name, item)
    return None


def _task_error(error: ErrorItem) -> TaskError:
    return task_error(error.code, error.message, error.task_uuid, error.raw)


def with_secret(url: str, secret: str) -> str:
    """Return the URL of a webhook with a secret in its query, to be passed as ``webhook_url``.

    Args:
        url: the URL of the receiver.
        secret: a text that nobody can guess, such as one of `secrets.token_urlsafe`.

    Raises:
        InputError: the secret is empty.
    """
    if not secret:
        raise InputError("secret", "is empty", "pass one such as secrets.token_urlsafe()")
    parts = urlsplit(url)
    token = f"{_PARAMETER}={quote(secret, safe='')}"
    return parts._replace(query=f"{parts.query}&{token}" if parts.query else token).geturl()


def has_secret(url: str, secret: str) -> bool:
    """Return whether the URL of a request holds the secret that `with_secret` put into it.

    It takes as long for a wrong secret that is nearly right as for any other.

    Raises:
        InputError: the secret is empty.
    """
    if not secret:
        raise InputError("secret", "is empty", "pass that of `with_secret`")
    given = parse_qs(urlsplit(url).query).get(_PARAMETER, [""])
    return len(given) == 1 and hmac.compare_digest(given[0].encode(), secret.encode())


class Deliveries:
    """The deliveries that were taken, so that each result is taken once. Threads may share it.

    It lasts as long as the process. A receiver of several processes, or one that must not take a
    delivery again after a restart, needs a unique key in its database instead.

    Args:
        max_size: number of results to remember; the oldest are forgotten first. Deliveries repeat
            within minutes.
    """

    def __init__(self, max_size: int = 10_000) -> None:
        self._max_size = max_size
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def take(self, outcome: UpscaleResult | TaskError) -> bool:
        """Return True for a result or error that is new, and False from then on.

        An error that names no task cannot be told from another one, and is always new.
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
        """Take the next delivery of this result as a new one: this one could not be worked on."""
        if outcome.task_uuid is not None:
            with self._lock:
                self._taken.pop(outcome.task_uuid, None)

    def __len__(self) -> int:
        return len(self._taken)
