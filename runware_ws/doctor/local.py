"""Checks of this machine: Python, packages, the key, and the connection to the service."""

from __future__ import annotations

import platform
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from time import monotonic

import anyio

from ..errors import InputError
from ..protocol.secret import Secret
from ..runtime.environment import find_key
from ..transport import Receiver, Target, open_stream
from ..transport.proxy import ProxyError, parse_proxy
from .table import Row

_PACKAGE = "runware-ws"
_OLDEST_PYTHON = (3, 11)
_TIMEOUT = 15.0


def check_python() -> Row:
    """Check the version of Python."""
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info >= _OLDEST_PYTHON:
        return Row("Python", text)
    return Row("Python", f"{text} is older than 3.11", "failed")


def check_packages() -> Row:
    """Check the versions of the required packages."""
    found: list[str] = []
    problems: list[str] = []
    for name, oldest in _requirements():
        try:
            present = version(name)
        except PackageNotFoundError:
            problems.append(f"{name} is not installed")
            continue
        found.append(f"{name} {present}")
        if _numbers(present) < _numbers(oldest):
            problems.append(f"{name} {present} is older than {oldest}")
    if problems:
        return Row("packages", "; ".join(problems), "failed")
    return Row("packages", ", ".join([f"{_PACKAGE} {version(_PACKAGE)}", *found]))


def _requirements() -> Iterator[tuple[str, str]]:
    """Yield each package that a base install needs, with its oldest supported version."""
    for requirement in requires(_PACKAGE) or ():
        match = re.fullmatch(r"([\w.-]+)\s*>=\s*([\d.]+)", requirement)
        if match is not None:  # the requirement of an extra ends with a marker
            yield match[1], match[2]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", text)[:3])


def check_key() -> tuple[Row, Secret | None]:
    """Look for the key, and return it. The row does not show it."""
    try:
        found = find_key(None)
    except InputError as error:
        return Row("key", f"RUNWARE_API_KEY {error.problem}: {error.remedy}", "failed"), None
    return Row("key", "found in RUNWARE_API_KEY"), found


async def check_connection(target: Target) -> AsyncIterator[Row]:
    """Check the proxy, the name of the host, and the connection."""
    try:
        url = target.proxy()
        proxy = None if url is None else parse_proxy(url)
    except ProxyError as error:
        yield Row("proxy", str(error), "failed")
        return
    if proxy is None:
        yield Row("proxy", "none")
        host, port = target.host, target.port
    else:
        host, port = str(proxy.hostname), proxy.port or target.port
        yield Row("proxy", f"{proxy.scheme} at {host}:{port}, from the environment")
    yield await _checked("DNS", _resolve(host, port))
    name = "TLS" if target.is_secure else "TCP"
    yield await _checked(name, _open(target))


async def _checked(name: str, check: Awaitable[str]) -> Row:
    try:
        with anyio.fail_after(_TIMEOUT):
            return Row(name, await check)
    except TimeoutError:
        return Row(name, f"no answer within {_TIMEOUT:g} s", "failed")
    except ssl.SSLCertVerificationError as error:
        return Row(name, f"the certificate is refused: {error.verify_message}", "failed")
    except OSError as error:
        return Row(name, str(error) or type(error).__name__, "failed")


async def _resolve(host: str, port: int) -> str:
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return (
        f"{host} is at {addresses[0]}{more}" if host != addresses[0] else "the host is an address"
    )


class _IgnoringReceiver(Receiver):
    """Ignores all data."""

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def write_ready(self) -> None:
        pass


async def _open(target: Target) -> str:
    started = monotonic()
    async with open_stream(target, _IgnoringReceiver()):
        taken = f"{(monotonic() - started) * 1000:.0f} ms"
        if target.is_secure:
            return f"the certificate is valid, {taken}"
        return f"connected, {taken}; ws:// is not encrypted"
