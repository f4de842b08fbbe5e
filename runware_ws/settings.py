"""The settings of a client, in one frozen object that is checked once."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from .errors import InputError
from .protocol.timing import Timing

if TYPE_CHECKING:
    from ssl import SSLContext

DEFAULT_URL = "wss://ws-api.runware.ai/v1"
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a client; durations in seconds, sizes in bytes. See `RunwareClient`.

    The default values are defined here. `RunwareClient` takes those of its arguments from this
    class.

    Attributes:
        delivery_method: the delivery method of tasks that are given none; set by a profile.
        max_input_bytes: size of the largest encoded input; set by a profile.
        timing: the durations that no argument of the client sets, as a record of their own, which
            tests and profiles replace.
    """

    url: str = DEFAULT_URL
    max_in_flight: int = 1024
    adaptive: bool = True
    connections: int = 2
    max_in_flight_bytes: int = 128 * MEBIBYTE
    max_retries: int = 2
    timeout: float | None = 300.0
    connect_timeout: float = 10.0
    auth_timeout: float = 10.0
    keepalive: float = 20.0
    ping_timeout: float = 10.0
    max_reconnect_time: float | None = None
    max_size: int = 256 * MEBIBYTE
    max_tasks_per_frame: int = 100
    max_frame_bytes: int = 64 * 1024
    allow_insecure: bool = False
    on_doubt: Literal["resend", "fail"] = "resend"
    doubt_window: float = 2.0
    budget: float | None = None
    max_download_bytes: int = 512 * MEBIBYTE  # several times a PNG of 4096 x 4096 pixels
    download_timeout: float | None = 300.0
    delivery_method: Literal["sync", "async"] | None = None
    max_input_bytes: int | None = None
    reuse_inputs: bool = False
    ssl: SSLContext | None = None
    proxy: str | bool = field(default=True, repr=False)  # it may hold a password
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.type in ("int", "float", "float | None"):
                check_number(one.name, one.type, getattr(self, one.name))
            elif one.type == "bool":
                check_bool(one.name, getattr(self, one.name))
        _check_url(self.url, self.allow_insecure)
        if self.on_doubt not in ("resend", "fail"):
            raise InputError(
                "on_doubt", f"{self.on_doubt!r} is not allowed", "pass 'resend' or 'fail'"
            )


_LARGEST = 2.0**1023
_MAY_BE_ZERO = frozenset({"max_retries", "max_reconnect_time"})


def check_number(name: str, kind: str, value: object) -> None:
    """Check a number.

    Args:
        name: name of the parameter.
        kind: ``int``, ``float`` or ``float | None``; a float is a number of seconds, or of US
            dollars if it is the budget.
        value: the given value.

    Raises:
        InputError: it is of another type, or out of range.
    """
    if value is None and kind.endswith("None"):
        return
    unit = "US dollars" if name == "budget" else "seconds"
    wanted = "an integer" if kind == "int" else f"a number of {unit}"
    allowed = int if kind == "int" else int | float
    if not isinstance(value, allowed) or isinstance(value, bool):
        raise InputError(name, f"{value!r} is of type {type(value).__name__}", f"pass {wanted}")
    too_small = value < 0 or (value == 0 and name not in _MAY_BE_ZERO)
    too_large = value > _LARGEST or (isinstance(value, float) and math.isnan(value))
    if too_small or too_large:
        limit = "of at least 0" if name in _MAY_BE_ZERO else "greater than 0"
        none = ", or None for no limit" if kind.endswith("None") else ""
        raise InputError(name, f"{value} is out of range", f"pass {wanted} {limit}{none}")


def check_bool(name: str, value: object) -> None:
    """Raise InputError unless `value` is True or False. A text such as "no" would be truthy."""
    if not isinstance(value, bool):
        raise InputError(name, f"is of type {type(value).__name__}", "pass True or False")


def check_timeout(timeout: object) -> None:
    """Raise InputError unless `timeout` is a number of seconds greater than 0, or None."""
    check_number("timeout", "float | None", timeout)


def _check_url(url: object, allow_insecure: bool) -> None:
    remedy = f"pass one such as {DEFAULT_URL}"
    if not isinstance(url, str):
        raise InputError("url", f"is of type {type(url).__name__}", remedy)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError("url", "is not a URL", remedy) from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise InputError("url", "is not a WebSocket URL", remedy)
    if parts.fragment or any(character.isspace() for character in url):
        raise InputError("url", "has a fragment, or whitespace in it", remedy)
    if parts.scheme == "ws" and not allow_insecure and not is_loopback(host):
        raise InputError(
            "url",
            f"would send the key to {host} unencrypted",
            "use wss://, or allow_insecure=True on a network that you trust",
        )


def is_loopback(host: str | None) -> bool:
    """Return whether a host is ``localhost`` or a loopback address. Names are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
