"""Read the key, the URL and settings from the environment, unless the caller passes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from ssl import SSLContext
from typing import Any, TypeVar, cast

from ..errors import InputError
from ..protocol.secret import Secret
from ..settings import DEFAULT_URL
from ..transport.proxy import ProxyError, parse_proxy

F = TypeVar("F", bound=Callable[..., None])

_NONE = "none"
# By their annotations, which are texts. Booleans are left out: it must be visible in the code, for
# example, whether the key may be sent unencrypted.
_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "float | None": lambda text: None if text.lower() == _NONE else float(text),
    "Literal['resend', 'fail']": str,
    "str | os.PathLike[str] | None": str,
}


def from_environment(init: F) -> F:
    """Decorate the constructor of a client, so that settings come from the environment.

    A number or text that the caller does not pass is read from ``RUNWARE_WS_`` plus its name, for
    example ``RUNWARE_WS_MAX_IN_FLIGHT``, if that is set.
    """
    settings = [one for one in signature(init).parameters.values() if _reader_of(one) is not None]

    @wraps(init)
    def made(self: Any, *args: Any, **options: Any) -> None:
        try:
            for one in settings:
                name = f"RUNWARE_WS_{one.name.upper()}"
                if one.name not in options and (text := os.environ.get(name)):
                    options[one.name] = _read(one, name, text)
            init(self, *args, **options)
        finally:
            del args, options  # so that no dump of local variables holds the key

    return cast(F, made)


def _reader_of(parameter: Parameter) -> Callable[[str], Any] | None:
    return _READERS.get(str(parameter.annotation).replace('"', "'"))


def _read(parameter: Parameter, name: str, text: str) -> Any:
    reader = _reader_of(parameter)
    try:
        return text if reader is None else reader(text.strip())
    except ValueError:
        wanted = "an integer" if parameter.annotation == "int" else "a number"
        remedy = f"set {name} to {wanted}, or unset it"
        raise InputError(parameter.name, f"{name} is {text!r}", remedy) from None


def find_url(url: str | None) -> str:
    """Return the given URL, or ``RUNWARE_URL``, or else the URL of the service."""
    return os.environ.get("RUNWARE_URL") or DEFAULT_URL if url is None else url


def find_key(api_key: object) -> Secret:
    """Return the given key, or ``RUNWARE_API_KEY``.

    Raises:
        InputError: there is no key, or it is not valid.
    """
    key = os.environ.get("RUNWARE_API_KEY") if api_key is None else api_key
    del api_key  # so that no dump of local variables holds it
    try:
        return Secret(check_key(key))
    finally:
        del key


def check_key(key: object) -> str:
    """Return a key without surrounding whitespace.

    Raises:
        InputError: it is not a valid key.
    """
    remedy = "pass api_key=… or set RUNWARE_API_KEY; keys are made at https://my.runware.ai/keys"
    if problem := _problem_with_key(key):
        del key  # so that no dump of local variables holds it
        raise InputError("api_key", problem, remedy)
    return str(key).strip()


def _problem_with_key(key: object) -> str:
    if key is None:
        return "is missing"
    if not isinstance(key, str):
        return f"is of type {type(key).__name__}"
    if any("\ud800" <= character <= "\udfff" for character in key):
        return "is not Unicode text"  # as an environment variable that is not
    return "" if key.strip() else "is empty"


def check_journal(path: object) -> None:
    """Raise InputError unless `path` is a valid path for a file, or None."""
    remedy = "pass the path of a file, or leave it out"
    if path is None:
        return
    if not isinstance(path, str | os.PathLike):
        raise InputError("journal", f"is of type {type(path).__name__}", remedy)
    if not os.fspath(path):
        raise InputError("journal", "is empty", remedy)
    if os.fspath(path) == ":memory:":
        raise InputError("journal", "':memory:' would not survive the process", remedy)
    if Path(path).is_dir():
        raise InputError("journal", "is a folder", remedy)


def check_ssl(context: object) -> SSLContext | None:
    """Return TLS settings. Raise InputError unless they are an SSLContext or None."""
    if context is None or isinstance(context, SSLContext):
        return context
    remedy = "pass a value such as ssl.create_default_context(), or leave it out"
    raise InputError("ssl", f"is of type {type(context).__name__}", remedy)


def check_proxy(proxy: object) -> str | bool:
    """Return a proxy, or raise InputError if it is not valid. The error does not quote it."""
    remedy = "pass a value such as http://host:3128, or True or False"
    if isinstance(proxy, bool):
        return proxy
    if not isinstance(proxy, str):
        raise InputError("proxy", f"is of type {type(proxy).__name__}", remedy)
    try:
        parse_proxy(proxy)
    except ProxyError as error:
        raise InputError("proxy", str(error), remedy) from None
    return proxy
