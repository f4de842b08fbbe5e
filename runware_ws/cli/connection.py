"""The connection of a command, to the service or to an emulator that is started for it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from ..client import RunwareClient
from ..errors import ConnectionLostError
from ..runtime.environment import find_url
from .errors import UsageError
from .options import ConnectionArguments

if TYPE_CHECKING:
    from ..emulator import Emulator

_log = logging.getLogger("runware_ws")
_LOST = "lost: "  # the client logs a lost connection with this prefix


def create_emulator(**settings: Any) -> Emulator:
    """Return an emulator that is not started yet.

    Raises:
        UsageError: the extra ``emulator`` is not installed.
    """
    try:
        from ..emulator import Emulator
    except ImportError as error:
        raise UsageError(str(error)) from None
    return Emulator(**settings)


def service_of(arguments: ConnectionArguments) -> str:
    """Return the host that a command connects to; "emulator" for the one that it starts."""
    if arguments.emulator:
        return "emulator"
    try:
        return urlsplit(find_url(arguments.url)).hostname or ""
    except ValueError:  # the client refuses it
        return ""


@asynccontextmanager
async def connect(
    arguments: ConnectionArguments,
    show: Callable[[str], None],
    *,
    first_connect_timeout: float = 15.0,
    verbose: bool = False,
    **settings: Any,
) -> AsyncIterator[RunwareClient]:
    """Return a connected client, as a context manager.

    Args:
        arguments: where to connect.
        show: called with each message for the user.
        first_connect_timeout: seconds to wait for the first connection. It is shorter than
            ``max_reconnect_time``, so that a wrong URL is reported soon.
        verbose: also show connection events, not only problems.
        settings: further arguments of `RunwareClient`.

    Raises:
        UsageError, InputError: an option is wrong, or there is no key.
        AuthenticationError: the service refused the key.
        ConnectionLostError: there is no connection.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(shown_log(show, logging.INFO if verbose else logging.WARNING))
        target = await _target(arguments, stack)
        try:
            client = await stack.enter_async_context(RunwareClient(**target, **settings))
            await _wait_until_connected(client, first_connect_timeout)
        except ConnectionLostError as error:
            reason = error.reason.removeprefix("not connected: ")
            text = f"cannot connect to {_address(target['url'])}: {reason}"
            raise ConnectionLostError(text) from None
        if arguments.emulator:
            show("emulator: images are resampled with Lanczos, and costs are made up")
        yield client


async def _target(arguments: ConnectionArguments, stack: AsyncExitStack) -> dict[str, Any]:
    """Return the URL and key for the client. Start an emulator if asked to."""
    if not arguments.emulator:
        return {"url": arguments.url, "allow_insecure": arguments.allow_insecure}
    if arguments.url is not None:
        raise UsageError("--emulator and --url exclude each other; use one of them")
    emulator = await stack.enter_async_context(create_emulator())
    return {"url": emulator.url, "api_key": emulator.api_key}


async def _wait_until_connected(client: RunwareClient, timeout: float) -> None:
    with anyio.move_on_after(timeout):
        if client.state != "connected":
            async for event in client.events():
                if event.kind == "connected":
                    break
    await client.ping()


def _address(url: str | None) -> str:
    """Return the URL without the user, password and query that it may contain."""
    parts = urlsplit(find_url(url))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def shown_log(show: Callable[[str], None], level: int = logging.WARNING) -> Iterator[None]:
    """Show the log messages of the client until the block ends."""
    handler, former = _MessageHandler(show, level), _log.level
    _log.addHandler(handler)
    if level < logging.WARNING:
        _log.setLevel(level)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(former)


class _MessageHandler(logging.Handler):
    """Show log records as messages, without repetitions."""

    def __init__(self, show: Callable[[str], None], level: int) -> None:
        super().__init__(level)
        self._show = show
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if text == self._last:
            return
        self._last = text
        if text.startswith(_LOST):
            text = f"no connection: {text.removeprefix(_LOST)}; reconnecting"
        self._show(text)
