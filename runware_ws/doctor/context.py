"""The context of the probes: connections, questions, and the money that they may spend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Literal

from ..error_codes import code_info
from ..errors import AuthenticationError, ProtocolError
from ..options import new_uuid
from ..protocol.answers import Meaning, meaning_of
from ..protocol.request import DOCUMENTED_PRICE, MODEL, TASK_TYPE
from ..protocol.secret import Secret
from ..protocol.wire import ErrorItem, Item, unwrap
from ..transport import Target
from .findings import Findings, Known
from .picture import noise
from .raw import RawConnection, RawFrame, open_raw

State = Literal["ok", "failed", "unknown", "skipped"]
_TINY = 64


class UnknownError(Exception):
    """A probe has no conclusive result; the text gives the reason."""


class ProbeFailedError(Exception):
    """A probe has found a problem; the text describes it."""


@dataclass(frozen=True, slots=True)
class Times:
    """Durations of the probes, in seconds.

    Attributes:
        answer: time limit for an answer.
        quiet: time limit for further answers after the first.
        result: time limit for a result.
        search: time limit for the search for a finished task.
        outage: time without a connection in which a task finishes.
        replay: time limit for a result that is pushed without being asked for.
        moment, second, minute: delays after which a task is sent again.
    """

    answer: float = 10.0
    quiet: float = 0.5
    result: float = 60.0
    search: float = 5.0
    outage: float = 15.0
    replay: float = 10.0
    moment: float = 0.05
    second: float = 1.0
    minute: float = 60.0


@dataclass(slots=True)
class Allowance:
    """The money that the probes may spend, in US dollars.

    Attributes:
        limit: total that they may spend.
        price: price of an image: that of Runware's example, until a result shows a higher cost.
        spent: total that they have spent.
    """

    limit: float
    price: float = DOCUMENTED_PRICE
    spent: float = 0.0

    def charge(self) -> None:
        """Charge an image that is about to be sent.

        Raises:
            UnknownError: it might cost more than is left.
        """
        if self.spent + self.price > self.limit:
            raise UnknownError(f"not tried: the total could exceed ${self.limit:.2f}")
        self.spent += self.price

    def refund(self) -> None:
        """Refund an image that was not run."""
        self.spent -= self.price

    def correct(self, item: Item) -> None:
        """Replace the charge for an image by its true cost."""
        cost = item.get("cost")
        if isinstance(cost, int | float) and not isinstance(cost, bool) and cost >= 0:
            self.spent += cost - self.price
            self.price = max(self.price, float(cost))


@dataclass(frozen=True, slots=True)
class Reply:
    """The first answer to a task: an item, an error, or neither.

    Attributes:
        at: the time at which it arrived.
        size: the length of its frame in bytes.
    """

    item: Item | None = field(repr=False)
    error: ErrorItem | None = field(repr=False)
    at: float
    size: int

    @property
    def is_conflict(self) -> bool:
        return self.error is not None and code_info(self.error.code).conflict

    @property
    def is_result(self) -> bool:
        return self.item is not None and meaning_of(self.item) is Meaning.RESULT

    def known(self) -> Known:
        """Return what an answer to a question says about its task.

        Raises:
            UnknownError: it is an error that says nothing about the task.
        """
        if self.error is not None:
            return _known_error(self.error)
        if self.item is None:
            return "empty"
        match meaning_of(self.item):
            case Meaning.RESULT:
                return "result"
            case Meaning.ALIVE:
                return "processing"
        return _known_details(self.item)


def _known_error(error: ErrorItem) -> Known:
    if code_info(error.code).not_found:
        return "not found"
    if code_info(error.code).conflict:
        return "refusal"
    raise UnknownError(f"answered with an error: {error_text(error)}")


def _known_details(item: Item) -> Known:
    response = item.get("response")
    try:
        items, errors = unwrap(response) if isinstance(response, dict) else ([], [])
    except ProtocolError:
        items, errors = [], []
    if any(meaning_of(one) is Meaning.RESULT for one in items):
        return "result"
    if errors:
        return _known_error(errors[0])
    if items:
        return "processing"
    return "null" if item.get("request") else "not found"


@dataclass(slots=True)
class ProbeContext:
    """The state that the probes share.

    Attributes:
        target: the service.
        key: the API key.
        times: the time limits and delays.
        allowance: the money.
        findings: the findings so far.
        sync: a synchronous task whose result was delivered: the task, its result, and the time at
            which it was sent.
    """

    target: Target
    key: Secret
    times: Times
    allowance: Allowance
    findings: Findings = field(default_factory=Findings)
    sync: tuple[Item, Item, float] | None = field(default=None, repr=False)

    def record(self, **findings: Any) -> None:
        """Record findings."""
        self.findings = replace(self.findings, **findings)

    def record_duration(self, seconds: float) -> None:
        """Record the duration of a tiny task."""
        shortest = self.findings.shortest_run
        self.record(shortest_run=seconds if shortest is None else min(shortest, seconds))

    # Connections.

    @asynccontextmanager
    async def connected(
        self, session: str | None = None, *, dry: bool = False
    ) -> AsyncIterator[tuple[RawConnection, Authentication]]:
        """Open a connection and authenticate; yield the connection and the authentication.

        Raises:
            AuthenticationError: the key, or the session, was refused.
            OSError, DisconnectedError, TimeoutError: there is no connection.
        """
        target = self.target
        if dry:
            target = Target(f"{target.url}{'&' if '?' in target.url else '?'}dryRun=1")
        async with open_raw(target, self.key) as connection:
            yield connection, await self._authenticate(connection, session)

    async def _authenticate(self, connection: RawConnection, session: str | None) -> Authentication:
        task = {"taskType": "authentication", "apiKey": self.key.reveal()}
        if session is not None:
            task["connectionSessionUUID"] = session
        await connection.send(task)
        early: list[Item] = []
        deadline = monotonic() + self.times.answer
        while frame := await connection.receive(deadline - monotonic()):
            for item in frame.items:
                if item.get("taskType") == "authentication":
                    return Authentication(str(item.get("connectionSessionUUID")), early)
                early.append(item)
            for error in frame.errors:
                raise AuthenticationError(error.message or "no reason given", error.code)
        raise TimeoutError

    # Tasks.

    def tiny(self, **members: Any) -> Item:
        """Return an upscale task with a small image and a new taskUUID."""
        return {
            "taskType": TASK_TYPE,
            "taskUUID": new_uuid(),
            "model": MODEL,
            "inputs": {"image": noise(_TINY)},
            "upscaleFactor": 2,
            "includeCost": True,
            **members,
        }

    async def ask(
        self, connection: RawConnection, task: Item, timeout: float | None = None
    ) -> Reply:
        """Send a task and return the first answer to it; see `reply`."""
        await connection.send(task)
        return await self.reply(connection, task, timeout)

    async def reply(
        self, connection: RawConnection, task: Item, timeout: float | None = None
    ) -> Reply:
        """Return the next answer to a task. No other task may be in flight on the connection.

        Raises:
            UnknownError: no answer came in time.
        """
        limit = self.times.answer if timeout is None else timeout
        deadline = monotonic() + limit
        while frame := await connection.receive(max(0.0, deadline - monotonic())):
            if (reply := _reply_in(frame, task)) is not None:
                return reply
        raise UnknownError(f"no answer within {limit:g} s")

    async def known(self, question: str, task_uuid: str) -> Known:
        """Ask about a task, on a connection that did not send it."""
        async with self.connected() as (connection, _):
            return (await self.ask(connection, question_about(question, task_uuid))).known()


ProbeFunction = Callable[[ProbeContext], Awaitable[str]]
"""Asks the service, records findings, and returns the result as a text."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """An accepted authentication.

    Attributes:
        session: the connectionSessionUUID.
        early: items that came before the answer to the authentication.
    """

    session: str
    early: list[Item] = field(repr=False)


def question_about(question: str, task_uuid: str) -> Item:
    """Return a question about a task: ``getResponse`` or ``getTaskDetails``."""
    return {"taskType": question, "taskUUID": task_uuid}


def error_text(error: ErrorItem) -> str:
    """Return an error of the service as a short text."""
    return f"{error.code}: {error.message[:120]}" if error.message else error.code


def image_of(item: Mapping[str, Any]) -> str:
    """Return a member of a result that identifies its image; "" if it has none."""
    names = ("imageUUID", "mediaUUID", "imageURL", "mediaURL", "imageBase64Data")
    return next((str(item[name]) for name in names if item.get(name)), "")


def _reply_in(frame: RawFrame, task: Item) -> Reply | None:
    """Return the answer to a task in a frame. An answer without a taskUUID counts as one to it."""
    for item in frame.items:
        if _is_about(item.get("taskUUID"), task):
            return Reply(item, None, frame.at, frame.size)
    for error in frame.errors:
        if _is_about(error.task_uuid, task):
            return Reply(None, error, frame.at, frame.size)
    if not frame.items and not frame.errors:
        return Reply(None, None, frame.at, frame.size)
    return None


def _is_about(task_uuid: object, task: Item) -> bool:
    return task_uuid is None or str(task_uuid).lower() == task.get("taskUUID")
