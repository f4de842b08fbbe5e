"""The API key and its source."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable

from ..protocol.secret import Secret
from .concurrency import run_in_thread
from .environment import check_key, find_key

KeyFunction = Callable[[], str | Awaitable[str]]
"""A plain or asynchronous function that returns the current API key."""

_log = logging.getLogger("runware_ws")


class ApiKey:
    """The key of a client. A key function is called again after its key was refused.

    Args:
        given: the key, a function that returns it, or None for the key of the environment.

    Attributes:
        secret: the current key.

    Raises:
        InputError: there is no key, or it is not valid.
    """

    def __init__(self, given: str | KeyFunction | None) -> None:
        self._function = given if callable(given) else None
        self._is_stale = self._function is not None
        try:
            self.secret = Secret("") if callable(given) else find_key(given)
        finally:
            del given  # so that no dump of local variables holds it

    def refused(self) -> None:
        """Record that the service refused the key."""
        self._is_stale = self._function is not None

    async def ask(self) -> None:
        """Call the key function, if there is one and the current key is missing or was refused.

        Raises:
            InputError: the function returned a value that is not a valid key.
            Exception: the exception that the function raised.
        """
        function = self._function
        if function is None or not self._is_stale:
            return
        # It may block. The result is in a tuple, because trio refuses coroutines from a thread.
        (answer,) = await run_in_thread(lambda: (function(),), abandon_on_cancel=True)
        try:
            self.secret.replace(check_key(await answer if isawaitable(answer) else answer))
        finally:
            del answer
        self._is_stale = False

    async def ask_again(self) -> None:
        """Call the function in the background. If it fails, the key stays as it is for now."""
        try:
            await self.ask()
        except Exception as error:  # noqa: BLE001  # whatever the caller's function raises
            _log.error("no new key: %s", type(error).__name__)  # its message may contain a secret
