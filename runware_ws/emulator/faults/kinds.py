"""The faults that the emulator can be told to have; each says what goes wrong, and when.

    Emulator(faults=[Drop(every=10, how="reset"), Lose(probability=0.01), Garble(nth=3)])

Each fault watches one kind of event, its `of`:

- ``connection``: a WebSocket connection is opened
- ``authentication``: a key arrives
- ``request``: a task arrives that asks for work (an upscale or an upload)
- ``question``: any other task arrives: getResponse, getTaskDetails, ping
- ``result``: a finished task is about to be pushed, as a success or as an error
- ``answer``: any other frame is about to be sent: acknowledgments, pongs, answers to questions
- ``call``: an HTTP request arrives

A task and a result are counted one by one, whatever frames they share. Faults stand in a row:
each sees what those before it have left, so ``[Fail(nth=2), Mix(size=10)]`` puts an error among
nine results. Faults of results and answers concern WebSockets only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from ...errors import InputError

__all__ = [
    "KINDS",
    "Anonymous",
    "Delay",
    "Drop",
    "Duplicate",
    "Expire",
    "Fail",
    "Fault",
    "Garble",
    "Lose",
    "Mix",
    "Oversize",
    "Refuse",
    "Reorder",
    "Silence",
    "Status",
    "Stray",
]

_T = TypeVar("_T")
_Check: TypeAlias = Callable[[Any], str]  # what may be instead; "" when the value is right
_MAX_PADDING_BYTES = 1024 * 1024 * 1024
_STATUSES = (400, 401, 402, 403, 429, 500, 503, 504)  # of the REST twin [O][D]


def _checked(default: _T, check: _Check) -> _T:
    """A member of a fault, with what it may be."""
    member: _T = field(default=default, metadata={"check": check})
    return member


def _number(kind: type, low: float, high: float | None, none: bool, value: Any) -> str:
    if none and value is None:
        return ""
    allowed = (int,) if kind is int else (int, float)
    is_one = isinstance(value, allowed) and not isinstance(value, bool)
    if is_one and low <= value <= (value if high is None else high):  # so not-a-number is none
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


_WHENS = ("nth", "every", "probability")
_count = partial(_number, int, 1, None, True)
_seconds = partial(_number, float, 0, 86_400, False)
_flag = partial(_choice, (True, False))


def _of(*events: str) -> Any:
    """What the fault watches; the first is the default."""
    return _checked(events[0], partial(_choice, events))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What all faults have in common: when they strike.

    By default at each event; at most one of `nth`, `every` and `probability` may be given.

    Attributes:
        nth: the first event at which it strikes, counted from 1.
        every: strike at each event whose number is a multiple of this.
        probability: strike with this chance, from 0 to 1, drawn from the emulator's seed.
        times: how often it strikes at most. With `nth`: at how many events in a row, 1 by default.
        match: only events of tasks with these members, by their names on the wire, are counted.
            A ``*`` in a text stands for anything; case does not matter. Results are matched by
            their request, answers by what they say.

    Raises:
        InputError: a member is wrong.
    """

    kind: ClassVar[str] = ""
    of: str = _of("")
    nth: int | None = _checked(None, _count)
    every: int | None = _checked(None, _count)
    probability: float | None = _checked(None, partial(_number, float, 0, 1, True))
    times: int | None = _checked(None, _count)
    match: Mapping[str, Any] | None = _checked(None, _members)

    def __post_init__(self) -> None:
        for member in fields(self):
            value = getattr(self, member.name)
            if remedy := member.metadata["check"](value):
                raise InputError(member.name, f"{value!r} is not allowed", f"give {remedy}")
        whens = [name for name in _WHENS if getattr(self, name) is not None]
        if len(whens) > 1:
            raise InputError(whens[1], f"excludes {whens[0]}", "give one of the two")
        if self.match is not None and self.of == "connection":
            raise InputError("match", "a connection has no task to match", "leave it out")


@dataclass(frozen=True, kw_only=True)
class Refuse(Fault):
    """A connection is answered with an HTTP error in place of the upgrade; or, of
    ``authentication``, the key is refused though it is the right one [S].

    Attributes:
        status: the HTTP status of a refused connection.
        code: of the error that refuses the key; for example ``insufficientCredits``.
    """

    kind: ClassVar[str] = "refuse"
    of: str = _of("connection", "authentication")
    status: int = _checked(503, partial(_number, int, 400, 599, False))
    code: str = _checked("invalidApiKey", partial(_text, False))


@dataclass(frozen=True, kw_only=True)
class Delay(Fault):
    """It comes `seconds` late; what follows overtakes it."""

    kind: ClassVar[str] = "delay"
    of: str = _of("result", "answer", "request", "question", "authentication")
    seconds: float = _checked(1.0, _seconds)


@dataclass(frozen=True, kw_only=True)
class Drop(Fault):
    """The connection ends.

    Attributes:
        moment: ``before`` or ``after`` the result, answer or request gets through. A result that
            does not is replayed to whoever resumes the session [D], a request never arrives.
        how: ``close``: with a WebSocket goodbye. ``abort``: with TCP's goodbye alone; everything
            written arrives. ``reset``: with none, and what stands in the buffers is lost.
        code: the close code of the goodbye.
        written: whether a result that does not get through was already written to the dead
            socket, and so is not replayed either [?].
    """

    kind: ClassVar[str] = "drop"
    of: str = _of("result", "answer", "request", "question", "authentication", "connection")
    moment: Literal["before", "after"] = _checked("before", partial(_choice, ("before", "after")))
    how: Literal["close", "abort", "reset"] = _checked(
        "abort", partial(_choice, ("close", "abort", "reset"))
    )
    code: int = _checked(1001, partial(_number, int, 1000, 4999, False))
    written: bool = _checked(False, _flag)


@dataclass(frozen=True, kw_only=True)
class Lose(Fault):
    """It vanishes while the connection lives. The service holds a result for delivered; of a
    lost request it has never heard."""

    kind: ClassVar[str] = "lose"
    of: str = _of("result", "answer", "request", "question", "authentication")


@dataclass(frozen=True, kw_only=True)
class Duplicate(Fault):
    """It comes `copies` more times, at once or `seconds` later."""

    kind: ClassVar[str] = "duplicate"
    of: str = _of("result", "answer")
    copies: int = _checked(1, partial(_number, int, 1, 1000, False))
    seconds: float = _checked(0.0, _seconds)


@dataclass(frozen=True, kw_only=True)
class Reorder(Fault):
    """Results are held back until there are `size`, and then sent in the opposite order; after
    `timeout` seconds those that there are."""

    kind: ClassVar[str] = "reorder"
    of: str = _of("result", "answer")
    size: int = _checked(2, partial(_number, int, 2, 100_000, False))
    timeout: float = _checked(0.5, _seconds)


@dataclass(frozen=True, kw_only=True)
class Mix(Fault):
    """Results, and errors among them, are held back until there are `size`, and then sent in one
    frame with ``data`` and ``errors`` [D]; after `timeout` seconds those that there are."""

    kind: ClassVar[str] = "mix"
    of: str = _of("result", "answer")
    size: int = _checked(10, partial(_number, int, 2, 100_000, False))
    timeout: float = _checked(0.5, _seconds)


@dataclass(frozen=True, kw_only=True)
class Garble(Fault):
    """The frame is cut off in the middle of its JSON; the service holds it for delivered, and
    the faults after this one do not see it."""

    kind: ClassVar[str] = "garble"
    of: str = _of("result", "answer")


@dataclass(frozen=True, kw_only=True)
class Anonymous(Fault):
    """The errors of a frame lose their taskUUID, as they often do [D]. Frames without errors
    that have one are not counted."""

    kind: ClassVar[str] = "anonymous"
    of: str = _of("any", "result", "answer")


@dataclass(frozen=True, kw_only=True)
class Fail(Fault):
    """A task fails with an error. Of ``request``: it is refused, not run, and not known
    afterwards. Of ``result``: it was run, and has failed.

    Attributes:
        code, message, parameter: as the error carries them; any code will do.
        anonymous: whether the error lacks its taskUUID.
        finished: whether the task is finished all the same, so that asking for it gives its
            result: as after a wait that ended with ``timeout`` [D]. Only of ``result``.
    """

    kind: ClassVar[str] = "fail"
    of: str = _of("result", "request")
    code: str = _checked("inferenceError", partial(_text, False))
    message: str = _checked("The fault script says so.", partial(_text, False))
    parameter: str | None = _checked(None, partial(_text, True))
    anonymous: bool = _checked(False, _flag)
    finished: bool = _checked(False, _flag)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.finished and self.of != "result":
            raise InputError("finished", f"excludes of={self.of!r}", "leave one of them out")


@dataclass(frozen=True, kw_only=True)
class Stray(Fault):
    """An error that names no task, and belongs to none, comes before it."""

    kind: ClassVar[str] = "stray"
    of: str = _of("result", "answer")
    code: str = _checked("internalServerError", partial(_text, False))
    message: str = _checked("The fault script says so.", partial(_text, False))


@dataclass(frozen=True, kw_only=True)
class Expire(Fault):
    """The connection's session is forgotten, so that it cannot be resumed; the connection goes
    on. To see it, drop the connection: ``[Expire(nth=5), Drop(nth=5)]``."""

    kind: ClassVar[str] = "expire"
    of: str = _of("result", "answer", "request", "question")


@dataclass(frozen=True, kw_only=True)
class Silence(Fault):
    """From here on nothing is sent on the connection and nothing that arrives is heard; there is
    no close, and TCP stays open: half-open, as it happens in the field [S].

    Attributes:
        written: whether results were written to the dead socket, and are lost [?]. Otherwise
            they are replayed to whoever resumes.
    """

    kind: ClassVar[str] = "silence"
    of: str = _of("result", "answer", "request", "question", "authentication", "connection")
    written: bool = _checked(False, _flag)


@dataclass(frozen=True, kw_only=True)
class Oversize(Fault):
    """The frame is padded to `frame_bytes` with a member that nobody knows."""

    kind: ClassVar[str] = "oversize"
    of: str = _of("result", "answer")
    frame_bytes: int = _checked(2_000_000, partial(_number, int, 1, _MAX_PADDING_BYTES, False))


@dataclass(frozen=True, kw_only=True)
class Status(Fault):
    """An HTTP request is answered with this status [O][D], and nothing of it is run.

    Attributes:
        status: 400, 401, 402, 403, 429, 500, 503 or 504.
        code: of the error in the body; by default one that fits the status.
    """

    kind: ClassVar[str] = "status"
    of: str = _of("call")
    status: int = _checked(503, partial(_choice, _STATUSES))
    code: str | None = _checked(None, partial(_text, True))


KINDS: dict[str, type[Fault]] = {
    cls.kind: cls
    for cls in (
        *(Refuse, Delay, Drop, Lose, Duplicate, Reorder, Mix, Garble, Anonymous, Fail, Stray),
        *(Expire, Silence, Oversize, Status),
    )
}
