"""A memory of what was made before, so that nothing is made twice."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """Values by what they are made of.

    Whoever asks for one that is being made waits for it. One that cannot be made is not remembered.

    Args:
        size_of: returns the size of a value with its key, in bytes.
        max_bytes: their total size. Beyond it, those that were not asked for the longest are
            forgotten.
        lifetime: seconds for which a value is remembered; None for no limit.
    """

    def __init__(
        self,
        size_of: Callable[[Hashable, T], int],
        max_bytes: int,
        lifetime: float | None = None,
    ) -> None:
        self._size_of = size_of
        self._max_bytes = max_bytes
        self._lifetime = lifetime
        self._values: OrderedDict[Hashable, asyncio.Future[T]] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}
        self._bytes = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Return the value for a key, which is made unless it is there."""
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = asyncio.ensure_future(make())
            value.add_done_callback(partial(self._made, key))
        self._values.move_to_end(key)
        return await asyncio.shield(value)  # others may wait for it, too

    def _made(self, key: Hashable, value: asyncio.Future[T]) -> None:
        if value.cancelled() or value.exception() is not None:
            self._forget(key)
            return
        self._sizes[key] = self._size_of(key, value.result())
        self._bytes += self._sizes[key]
        while self._bytes > self._max_bytes:
            self._forget(next(one for one in self._values if one in self._sizes))
        if self._lifetime is not None:
            asyncio.get_running_loop().call_later(self._lifetime, self._forget, key)

    def _forget(self, key: Hashable) -> None:
        self._values.pop(key, None)
        self._bytes -= self._sizes.pop(key, 0)
