"""The API key, and where it comes from."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable

from ..protocol.secret import Secret
from .concurrency import run_in_thread
from .environment import check_key, find_key

KeyFunction = Callable[[], str | Awaitable[str]]
"""A function, plain or asynchronous, that returns the API key of the moment."""

_log = logging.getLogger("runware_ws")


class ApiKey:
    """The key of a client. A function that gives keys is asked again once its key was refused.

    Args:
        given: the key, a function that returns it, or None for that of the environment.

    Attributes:
        secret: the key of the moment.

    Raises:
        InputError: there is none, or it cannot be a key.
    """

    def __init__(self, given: str | KeyFunction | None) -> None:
        self._function = given if callable(given) else None
        self._is_stale = self._function is not None
        try:
            self.secret = Secret("") if callable(given) else find_key(given)
        finally:
            del given  # so that no dump of local variables holds it

    def refused(self) -> None:
        """Take note that the service refused the key."""
        self._is_stale = self._function is not None

    async def ask(self) -> None:
        """Ask for a key, if there is a function to ask and the present key is none or refused.

        Raises:
            InputError: what the function returns cannot be a key.
            Exception: whatever the function raises.
        """
        function = self._function
        if function is None or not self._is_stale:
            return
        # It may block. In a tuple, since trio takes no coroutine out of a thread.
        (answer,) = await run_in_thread(lambda: (function(),), abandon_on_cancel=True)
        try:
            self.secret.replace(check_key(await answer if isawaitable(answer) else answer))
        finally:
            del answer
        self._is_stale = False

    async def ask_again(self) -> None:
        """Ask again where nobody waits: without an answer, the key stays for now."""
        try:
            await self.ask()
        except Exception as error:  # noqa: BLE001  # whatever the caller's function raises
            _log.error("no new key: %s", type(error).__name__)  # its words may hold a secret
