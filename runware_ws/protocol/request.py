"""The members of an upscale request, in one table with their types, limits and meanings.

Source: the service's OpenAPI document. The client checks arguments against this table
before anything is sent, and the emulator checks requests against it as the service would.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import InputError

MODEL = "runware:504@1"
TASK_TYPE = "upscale"
MAX_SIDE = 4096  # pixels of a result, as Runware documents


class Member(NamedTuple):
    """One member of the request.

    Attributes:
        wire: its name on the wire.
        name: its name in snake case, as an argument of the client.
        kind: its JSON type, as a Python type.
        description: a description in one or more sentences.
        choices: the allowed values, or () for any.
        minimum, maximum: limits, both inclusive, or None.
        form: ``uuid4`` or ``uri`` if the text must have that form, else "".
        default: the service's default; None if it documents none.
        only_with: a (wire name, value) without which this member has no effect, or None.
    """

    wire: str
    name: str
    kind: type
    description: str
    choices: tuple[Any, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    form: str = ""
    default: Any = None
    only_with: tuple[str, str] | None = None


# taskType, model and inputs are not here: the first two are constants, and the third is the
# image, which has a module of its own (`runware_ws.inputs`).
MEMBERS: tuple[Member, ...] = (
    Member(
        "taskUUID",
        "task_uuid",
        str,
        "UUID v4 that names the task in all answers. Must be unique per task.",
        form="uuid4",
    ),
    Member(
        "upscaleFactor",
        "upscale_factor",
        int,
        "Factor by which to upscale the image. A value of 2 doubles width and height.",
        choices=(2, 4),
    ),
    Member(
        "outputType",
        "output_type",
        str,
        "Form of the result: a link, base64, or a data URI.",
        choices=("URL", "base64Data", "dataURI"),
        default="URL",
    ),
    Member(
        "outputFormat",
        "output_format",
        str,
        "File format of the result. JPG has no transparency.",
        choices=("JPG", "PNG", "WEBP"),
        default="JPG",
    ),
    Member(
        "outputQuality",
        "output_quality",
        int,
        "Compression quality of the result. Higher values preserve quality but increase file size.",
        minimum=20,
        maximum=99,
        default=95,
    ),
    Member(
        "ttl",
        "ttl",
        int,
        "Time-to-live (TTL) in seconds of the result.",
        minimum=60,
        only_with=("outputType", "URL"),
    ),
    Member(
        "includeCost",
        "include_cost",
        bool,
        "Include the cost of the task in the result.",
        default=False,
    ),
    Member(
        "webhookURL",
        "webhook_url",
        str,
        "URL to which the service POSTs the result as JSON.",
        form="uri",
    ),
    Member(
        "uploadEndpoint",
        "upload_endpoint",
        str,
        "URL to which the service PUTs the file of the result.",
        form="uri",
    ),
    Member(
        "deliveryMethod",
        "delivery_method",
        str,
        "Delivery of the result: pushed when it is ready, or acknowledged and then polled.",
        choices=("sync", "async"),
        default="sync",
    ),
)
# Members that are not in the table, because the client alone sets them.
_FIXED = frozenset({"taskType", "taskUUID", "model", "inputs", "routing"})
_BY_NAME = {member.name: member for member in MEMBERS}
_BY_WIRE = {member.wire: member for member in MEMBERS}
_KINDS = {str: "a string", int: "an integer", bool: "true or false"}
_PORT = r"[0-5]?\d{1,4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5]"
# A regular expression that is valid in both Python and JSON Schema.
URI_PATTERN = (
    r"^[Hh][Tt][Tt][Pp][Ss]?://"
    r"([A-Za-z0-9._~!$&'()*+,;=:%-]*@)?"
    r"([A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])"
    rf"(:({_PORT})?)?"
    r"([/?#][!-~]*)?$"
)
_URI = re.compile(URI_PATTERN, re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_DATA_URI_HEAD = r"data:image/[a-zA-Z]+;base64,"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_PIECE = 64 * 1024


class Problem(NamedTuple):
    """A problem with a value, and the remedy, as texts.

    `kind` is ``type``, ``choice``, ``range`` or ``form``.
    """

    kind: str
    text: str
    remedy: str


def is_uuid4(text: str) -> bool:
    """Return whether a text is a UUID v4 in its usual form, in upper or lower case."""
    return is_uuid(text) and text[14] == "4" and text[19] in "89abAB"


def is_uuid7(text: str) -> bool:
    """Return whether a text is a UUID v7 in its usual form, in upper or lower case."""
    return is_uuid(text) and text[14] == "7" and text[19] in "89abAB"


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID of any version, as sessions and images have them."""
    return len(text) == 36 and _UUID.fullmatch(text) is not None


def is_url(text: str) -> bool:
    """Return whether a text is an http or https URL."""
    return _URI.fullmatch(text) is not None and ("[" not in text or _has_valid_host(text))


def _has_valid_host(text: str) -> bool:
    """Return whether the standard library accepts the text between the brackets of a URL."""
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def is_data_uri(text: str) -> bool:
    """Return whether a text is the data URI of an image, in base64."""
    head = re.match(_DATA_URI_HEAD, text[:64])
    return head is not None and is_base64(text, head.end())


def is_base64(text: str, start: int = 0) -> bool:
    """Return whether a text has only characters of base64 from `start` on, and at least one."""
    if len(text) <= start or not text.isascii():
        return False
    # In pieces, which is faster than a regular expression, and does not copy the whole text.
    starts = range(start, len(text), _PIECE)
    return not any(text[one : one + _PIECE].encode().translate(None, _BASE64) for one in starts)


_FORMS = {
    "uuid4": (is_uuid4, "is not a UUID v4", "pass one such as str(uuid.uuid4())"),
    "uri": (is_url, "is not an http(s) URL", "pass one that starts with http:// or https://"),
}


def member_named(wire: str) -> Member | None:
    """Return the member with this name on the wire, if the request has one."""
    return _BY_WIRE.get(wire)


def problem_with(member: Member, value: object) -> Problem | None:
    """Return the problem with `value` as this member of a request; None if there is none."""
    wrong_kind = not isinstance(value, member.kind)
    if wrong_kind or (isinstance(value, bool) and member.kind is not bool):
        name = type(value).__name__
        return Problem("type", f"{_shown(value)} is of type {name}", f"pass {_KINDS[member.kind]}")
    if member.choices and value not in member.choices:
        allowed = " or ".join(map(repr, member.choices))
        return Problem("choice", f"{_shown(value)} is not allowed", f"pass {allowed}")
    if isinstance(value, int) and not isinstance(value, bool):
        return _range_problem(member, value)
    if member.form:
        is_valid, text, remedy = _FORMS[member.form]
        if not is_valid(str(value)):
            return Problem("form", f"{_shown(value)} {text}", remedy)
    return None


def _range_problem(member: Member, value: int) -> Problem | None:
    low, high = member.minimum, member.maximum
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
    return Problem("range", f"{value} is out of range", f"pass an integer {limits}")


def lonely_member(members: Mapping[str, Any]) -> Member | None:
    """Return the first member that is given without the member that it needs; see `only_with`."""
    for member in MEMBERS:
        if member.only_with is not None and member.wire in members:
            other, value = member.only_with
            if members.get(other, _BY_WIRE[other].default) != value:
                return member
    return None


# US dollars for an image: the example in Runware's documentation. The price of a model may change.
DOCUMENTED_PRICE = 0.0013

# The known upscale models by their identifiers: `MODEL`, and those of Runware's SDKs.
MODELS = {
    MODEL: "Real-ESRGAN",
    "runware:500@1": "Clarity",
    "runware:501@1": "CCSR",
    "runware:502@1": "Latent",
    "runware:503@1": "SwinIR",
    "bria:52@1": "Bria",
    "prunaai:p-image@upscale": "P-Image",
    "topazlabs:wonder@3.5": "Wonder",
}
# Runware's documentation allows only factor 2 with these.
FACTOR_2_ONLY = frozenset({"runware:500@1", "runware:501@1"})


def check_model(model: object, factor: object) -> str:
    """Return the name of a model.

    Raises:
        InputError: it is not a text, or the model has no such factor.
    """
    if not isinstance(model, str) or not model.strip():
        raise InputError("model", f"{_shown(model)} is not a name", f"pass one such as {MODEL!r}")
    if model in FACTOR_2_ONLY and factor not in (None, 2):
        problem = f"{factor} is not allowed with {MODELS[model]} ({model})"
        raise InputError("upscale_factor", problem, "pass 2")
    return model


def check_extra_names(names: Iterable[str]) -> None:
    """Check the names of request members that this package does not know.

    Raises:
        InputError: a name is one that it does know.
    """
    for name in names:
        if name in _BY_WIRE:
            remedy = f"pass {_BY_WIRE[name].name}=… instead"
            raise InputError("extra_members", f"{name!r} is known", remedy)
        if name in _FIXED:
            raise InputError("extra_members", f"{name!r} cannot be replaced", "leave it out")


def request_members(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments in snake case as the members of a request, without those that are None.

    Raises:
        InputError: an argument is unknown, or its value is not allowed.
    """
    members: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None:
            continue
        member = _BY_NAME.get(name)
        if member is None:
            raise InputError(name, "is not a member of an upscale request", "leave it out")
        if problem := problem_with(member, value):
            raise InputError(name, problem.text, problem.remedy)
        members[member.wire] = value
    if (member := lonely_member(members)) and member.only_with:
        other, value = member.only_with
        remedy = f"leave it out, or pass {_BY_WIRE[other].name}={value!r}"
        raise InputError(member.name, f"has no meaning without {other} {value!r}", remedy)
    return members


def _shown(value: object) -> str:
    """Return `value` for an error text: short, and without credentials that a URL may contain."""
    text = repr(value)
    if "://" in text:
        return "the URL given"
    return text if len(text) <= 60 else text[:57] + "..."
