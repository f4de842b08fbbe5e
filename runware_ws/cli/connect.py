"""From the options of the command to a client that is connected."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from ..client import RunwareClient
from ..errors import ConnectionLostError
from ..runtime.environment import find_url
from .complaints import UsageError

if TYPE_CHECKING:
    from ..emulator import Emulator

__all__ = ["STARTING_TIME", "Target", "connected", "make_emulator"]

STARTING_TIME = 15.0
_POLL = 0.02
_LOST = "lost: "  # how the client's log begins to tell of a lost connection
_STAND_IN = "emulator: Lanczos stands in for the model, and costs are made up"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where to connect.

    Attributes:
        url: the URL; None for that of the environment, or the service's.
        emulator: whether to start one, and connect to it.
        settings: further arguments of `RunwareClient`.
    """

    url: str | None = None
    emulator: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.emulator and self.url is not None:
            raise UsageError("--emulator and --url exclude each other")


def make_emulator(**arguments: Any) -> Emulator:
    """An emulator, not started.

    Raises:
        UsageError: its extra is not installed.
    """
    try:
        from ..emulator import Emulator
    except ImportError as error:
        raise UsageError(str(error)) from None
    return Emulator(**arguments)


@asynccontextmanager
async def connected(target: Target, note: Callable[[str], None]) -> AsyncIterator[RunwareClient]:
    """A client that is connected.

    Raises:
        InputError: an option is wrong, or there is no key.
        AuthenticationError: the key was refused.
        ConnectionLostError: there is no connection.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_log_to(note))
        where: dict[str, Any] = {"url": target.url}
        if target.emulator:
            emulator = await stack.enter_async_context(make_emulator())
            where = {"url": emulator.url, "api_key": emulator.api_key}
            note(_STAND_IN)
        client = await stack.enter_async_context(RunwareClient(**where, **target.settings))
        await _wait_for_connection(client, where["url"])
        yield client


async def _wait_for_connection(client: RunwareClient, url: str | None) -> None:
    """An address that is wrong is found out at once, not after all the patience with a
    connection that was lost under way."""
    with anyio.move_on_after(STARTING_TIME):
        while client.state not in ("connected", "failed", "closed"):  # noqa: ASYNC110  # no event
            await anyio.sleep(_POLL)
    try:
        await client.ping()
    except ConnectionLostError as error:
        reason = error.reason.removeprefix("not connected: ")
        raise ConnectionLostError(f"cannot connect to {_shown(url)}: {reason}") from None


def _shown(url: str | None) -> str:
    """Where that is, without the user, password and query that a URL may carry."""
    parts = urlsplit(find_url(url))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def _log_to(note: Callable[[str], None]) -> Iterator[None]:
    """Have the client's warnings told as notes, instead of wherever logs go."""
    handler = _Notes(note)
    logger = logging.getLogger("runware_ws")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


class _Notes(logging.Handler):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._note = note
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if text == self._last:  # a server that stays away is no news
            return
        self._last = text
        if text.startswith(_LOST):
            text = f"no connection: {text.removeprefix(_LOST)}; trying again"
        self._note(text)
