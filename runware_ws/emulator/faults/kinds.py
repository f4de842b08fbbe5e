"""The classes of faults; see `runware_ws.emulator.faults`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from ...error_codes import code_info
from ...errors import InputError

_T = TypeVar("_T")
_Check: TypeAlias = Callable[[Any], str]  # returns what is allowed; "" if the value is
_MAX_PADDING_BYTES = 1024 * 1024 * 1024
# An error code for each HTTP status that the service documents.
STATUS_CODES = {
    code_info(code).http_status: code
    for code in (
        *("invalidRequest", "invalidApiKey", "insufficientCredits", "forbidden"),
        *("rateLimitExceeded", "internalServerError", "serviceUnavailable", "timeout"),
    )
}
MESSAGE = "Injected by a fault."


def _checked(default: _T, check: _Check) -> _T:
    """Return a field of a fault, with the check of its value."""
    member: _T = field(default=default, metadata={"check": check})
    return member


def _number(kind: type, low: float, high: float | None, none: bool, value: Any) -> str:
    if none and value is None:
        return ""
    is_number = isinstance(value, int if kind is int else int | float)
    highest = value if high is None else high
    if is_number and not isinstance(value, bool) and low <= value <= highest:  # NaN is not
        return ""
    limits = f"of {low} or more" if high is None else f"from {low} to {high}"
    return f"{'an integer' if kind is int else 'a number'} {limits}"


def _choice(choices: tuple[Any, ...], value: Any) -> str:
    if any(type(value) is type(one) and value == one for one in choices):
        return ""
    return "one of " + ", ".join(repr(one) for one in choices)


def _text(none: bool, value: Any) -> str:
    if (none and value is None) or (isinstance(value, str) and value):
        return ""
    return "a text that is not empty"


def _members(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping) and value and all(isinstance(name, str) for name in value):
        return ""
    return 'members of the task and their values, such as {"upscaleFactor": 4}'


_CONDITIONS = ("nth", "every", "probability")
_count = partial(_number, int, 1, None, True)
_size = partial(_number, int, 2, 100_000, False)
_seconds = partial(_number, float, 0, 86_400, False)
_flag = partial(_choice, (True, False))


def _of(*events: str) -> Any:
    """Return the field for the watched event; the first event is the default."""
    return _checked(events[0], partial(_choice, events))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Base class of all faults. It defines when a fault strikes.

    A fault strikes at each event that it watches, unless one of `nth`, `every` and `probability`
    is given.

    Attributes:
        kind: the name of its class in lower case, as in scripts.
        of: the kind of event that it watches.
        nth: strike at this event, counted from 1.
        every: strike at each event whose number is a multiple of this.
        probability: strike with this probability, drawn from the emulator's seed.
        times: the maximum number of strikes. With `nth`, the number of events in a row at which to
            strike; default 1.
        match: count only events of tasks that have these members, by their names on the wire. A
            ``*`` in a text matches anything, and case does not matter. For a result, the members
            of its request are compared.

    Raises:
        InputError: a value is not allowed.
    """

    kind: ClassVar[str]
    of: str = _of("")
    nth: int | None = _checked(None, _count)
    every: int | None = _checked(None, _count)
    probability: float | None = _checked(None, partial(_number, float, 0, 1, True))
    times: int | None = _checked(None, _count)
    match: Mapping[str, Any] | None = _checked(None, _members)

    def __init_subclass__(cls) -> None:
        cls.kind = cls.__name__.lower()

    def __post_init__(self) -> None:
        for member in fields(self):
            value = getattr(self, member.name)
            if remedy := member.metadata["check"](value):
                raise InputError(member.name, f"{value!r} is not allowed", f"give {remedy}")
        given = [name for name in _CONDITIONS if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(given[1], f"excludes {given[0]}", "give one of the two")
        if self.match is not None and self.of == "connection":
            raise InputError("match", "a connection has no task to match", "leave it out")


@dataclass(frozen=True, kw_only=True)
class Refuse(Fault):
    """Answer a connection with an HTTP error instead of the upgrade, or refuse a valid key.

    Attributes:
        status: the HTTP status of a refused connection.
        code: the error code of a refused key; for example ``insufficientCredits``.
    """

    of: str = _of("connection", "authentication")
    status: int = _checked(503, partial(_number, int, 400, 599, False))
    code: str = _checked("invalidApiKey", partial(_text, False))


@dataclass(frozen=True, kw_only=True)
class Delay(Fault):
    """Delay one event by `seconds`. Later events overtake it."""

    of: str = _of("result", "answer", "request", "question", "authentication")
    seconds: float = _checked(1.0, _seconds)


@dataclass(frozen=True, kw_only=True)
class Drop(Fault):
    """End the connection.

    Attributes:
        moment: ``before`` or ``after`` the event gets through. A result that does not get through
            is replayed to the connection that resumes the session. A request that does not is
            unknown to the service.
        how: ``close`` sends a WebSocket close frame. ``abort`` sends FIN without one, after all
            that was written. ``reset`` sends RST, and what is still in the buffers is lost.
        code: the code of the close frame.
        written: treat a result that does not get through as written, so that it is not replayed.
    """

    of: str = _of("result", "answer", "request", "question", "authentication", "connection")
    moment: Literal["before", "after"] = _checked("before", partial(_choice, ("before", "after")))
    how: Literal["close", "abort", "reset"] = _checked(
        "abort", partial(_choice, ("close", "abort", "reset"))
    )
    code: int = _checked(1001, partial(_number, int, 1000, 4999, False))
    written: bool = _checked(False, _flag)


@dataclass(frozen=True, kw_only=True)
class Lose(Fault):
    """Lose the event, without ending the connection. The service treats a lost result as
    delivered, and never sees a lost request."""

    of: str = _of("result", "answer", "request", "question", "authentication")


@dataclass(frozen=True, kw_only=True)
class Duplicate(Fault):
    """Send the frame `copies` more times, at once or `seconds` later."""

    of: str = _of("result", "answer")
    copies: int = _checked(1, partial(_number, int, 1, 1000, False))
    seconds: float = _checked(0.0, _seconds)


@dataclass(frozen=True, kw_only=True)
class Reorder(Fault):
    """Hold frames back until there are `size`, and send them in reverse order. After `timeout`
    seconds, send the frames so far."""

    of: str = _of("result", "answer")
    size: int = _checked(2, _size)
    timeout: float = _checked(0.5, _seconds)


@dataclass(frozen=True, kw_only=True)
class Mix(Fault):
    """Hold frames back until there are `size`, and send their items and errors in one frame.
    After `timeout` seconds, send the frames so far."""

    of: str = _of("result", "answer")
    size: int = _checked(10, _size)
    timeout: float = _checked(0.5, _seconds)


@dataclass(frozen=True, kw_only=True)
class Garble(Fault):
    """Cut a frame off in the middle of its JSON. The service treats it as delivered, and later
    faults do not see it."""

    of: str = _of("result", "answer")


@dataclass(frozen=True, kw_only=True)
class Anonymous(Fault):
    """Remove the taskUUID from the errors of a frame. Only frames with such errors are counted."""

    of: str = _of("any", "result", "answer")


@dataclass(frozen=True, kw_only=True)
class Fail(Fault):
    """Make a task fail. A failed ``request`` is refused, not run, and unknown afterwards. A failed
    ``result`` is that of a task that was run.

    Attributes:
        code, message, parameter: the members of the error; any code is allowed.
        anonymous: leave the taskUUID out of the error.
        finished: the task succeeds in spite of the error, so that polling returns its result, as
            after a synchronous wait that ended with ``timeout``. Only for results.
    """

    of: str = _of("result", "request")
    code: str = _checked("inferenceError", partial(_text, False))
    message: str = _checked(MESSAGE, partial(_text, False))
    parameter: str | None = _checked(None, partial(_text, True))
    anonymous: bool = _checked(False, _flag)
    finished: bool = _checked(False, _flag)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.finished and self.of != "result":
            raise InputError("finished", f"excludes of={self.of!r}", "leave one of them out")


@dataclass(frozen=True, kw_only=True)
class Stray(Fault):
    """Send an error that belongs to no task, before the frame."""

    of: str = _of("result", "answer")
    code: str = _checked("internalServerError", partial(_text, False))
    message: str = _checked(MESSAGE, partial(_text, False))


@dataclass(frozen=True, kw_only=True)
class Expire(Fault):
    """Forget the session of the connection, so that it cannot be resumed. The connection stays
    open; drop it to see the effect: ``[Expire(nth=5), Drop(nth=5)]``."""

    of: str = _of("result", "answer", "request", "question")


@dataclass(frozen=True, kw_only=True)
class Silence(Fault):
    """Make the connection half-open: send nothing more, ignore all input, and leave TCP open.

    Attributes:
        written: treat results as written, so that they are lost. Otherwise they are replayed to
            the connection that resumes the session.
    """

    of: str = _of("result", "answer", "request", "question", "authentication", "connection")
    written: bool = _checked(False, _flag)


@dataclass(frozen=True, kw_only=True)
class Oversize(Fault):
    """Pad the frame to `frame_bytes` with an unknown member."""

    of: str = _of("result", "answer")
    frame_bytes: int = _checked(2_000_000, partial(_number, int, 1, _MAX_PADDING_BYTES, False))


@dataclass(frozen=True, kw_only=True)
class Status(Fault):
    """Answer an HTTP request with an error, and run none of its tasks.

    Attributes:
        status: the HTTP status: 400, 401, 402, 403, 429, 500, 503 or 504.
        code: the code of the error in the body; by default one that fits the status.
    """

    of: str = _of("call")
    status: int = _checked(503, partial(_choice, tuple(STATUS_CODES)))
    code: str | None = _checked(None, partial(_text, True))


KINDS: dict[str, type[Fault]] = {cls.kind: cls for cls in Fault.__subclasses__()}
