"""Everything that can be set, checked once, in one frozen object."""

from __future__ import annotations

import ipaddress
import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from .errors import InputError
from .protocol.records import Limits, SessionSettings
from .protocol.secret import Secret

__all__ = [
    "MEBIBYTE",
    "Endpoint",
    "Settings",
    "check_bool",
    "check_journal",
    "check_number",
    "check_timeout",
    "find_key",
    "find_url",
    "is_loopback",
]

DEFAULT_URL = "wss://ws-api.runware.ai/v1"  # [D]
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and how; durations in seconds."""

    url: str
    connect_timeout: float
    max_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a client; durations in seconds, sizes in bytes. See `RunwareClient`."""

    url: str
    max_in_flight: int
    max_in_flight_bytes: int
    max_retries: int
    timeout: float | None
    connect_timeout: float
    auth_timeout: float
    keepalive: float
    ping_timeout: float
    max_reconnect_time: float | None
    max_size: int
    max_tasks_per_frame: int
    max_frame_bytes: int
    allow_insecure: bool

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type in ("int", "float", "float | None"):
                check_number(field.name, field.type, getattr(self, field.name))
        check_bool("allow_insecure", self.allow_insecure)
        _check_url(self.url, self.allow_insecure)

    def for_session(self, *, journaled: bool) -> SessionSettings:
        """The part that the session holds to."""
        return SessionSettings(
            limits=Limits(self.max_tasks_per_frame, self.max_frame_bytes),
            max_retries=self.max_retries,
            auth_timeout=self.auth_timeout,
            keepalive=self.keepalive,
            ping_timeout=self.ping_timeout,
            max_reconnect_time=self.max_reconnect_time,
            journaled=journaled,
        )

    def endpoint(self) -> Endpoint:
        """The part that the transport needs."""
        return Endpoint(self.url, self.connect_timeout, self.max_size)


_MAY_BE_ZERO = frozenset({"max_retries", "max_reconnect_time"})


def check_number(name: str, kind: str, value: object) -> None:
    """Raise InputError unless `value` is an ``int``, a ``float`` or a ``float | None``, as `kind`
    says, and within its limits."""
    if value is None and kind.endswith("None"):
        return
    wanted = "an integer" if kind == "int" else "a number of seconds"
    allowed = int if kind == "int" else int | float
    if not isinstance(value, allowed) or isinstance(value, bool):
        raise InputError(name, f"{value!r} is of type {type(value).__name__}", f"pass {wanted}")
    too_small = value < 0 or (value == 0 and name not in _MAY_BE_ZERO)
    if too_small or not value <= sys.float_info.max:  # nor is NaN
        limit = "of at least 0" if name in _MAY_BE_ZERO else "greater than 0"
        none = ", or None for no limit" if kind.endswith("None") else ""
        raise InputError(name, f"{value} is out of range", f"pass {wanted} {limit}{none}")


def check_bool(name: str, value: object) -> None:
    """Raise InputError unless `value` is True or False: a text such as "no" would be true."""
    if not isinstance(value, bool):
        raise InputError(name, f"is of type {type(value).__name__}", "pass True or False")


def check_journal(path: object) -> None:
    """Raise InputError unless `path` can be that of a file, or is None."""
    remedy = "pass the path of a file, or leave it out"
    if path is None:
        return
    if not isinstance(path, str | os.PathLike):
        raise InputError("journal", f"is of type {type(path).__name__}", remedy)
    if not os.fspath(path):
        raise InputError("journal", "is empty", remedy)
    if Path(path).is_dir():
        raise InputError("journal", "is a folder", remedy)


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
        raise InputError("url", "has a fragment, or white space in it", remedy)
    if parts.scheme == "ws" and not allow_insecure and not is_loopback(host):
        raise InputError(
            "url",
            f"would send the key to {host} unencrypted",
            "use wss://, or allow_insecure=True on a network that you trust",
        )


def is_loopback(host: str | None) -> bool:
    """Whether a host name surely means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def find_url(url: str | None) -> str:
    """The URL given, that of the environment, or the service's."""
    return os.environ.get("RUNWARE_URL") or DEFAULT_URL if url is None else url


def find_key(api_key: str | None) -> Secret:
    """The key given, or that of the environment.

    Raises:
        InputError: there is none, or it cannot be one.
    """
    how = "pass api_key=… or set RUNWARE_API_KEY; keys are made at https://my.runware.ai/keys"
    key = os.environ.get("RUNWARE_API_KEY") if api_key is None else api_key
    if problem := _problem_with_key(key):
        del api_key, key  # so that it is in no dump of local variables
        raise InputError("api_key", problem, how)
    return Secret(str(key).strip())


def _problem_with_key(key: object) -> str:
    if key is None:
        return "is missing"
    if not isinstance(key, str):
        return f"is of type {type(key).__name__}"
    if any("\ud800" <= character <= "\udfff" for character in key):
        return "is not Unicode text"  # as bytes of the environment that are none
    return "" if key.strip() else "is empty"
