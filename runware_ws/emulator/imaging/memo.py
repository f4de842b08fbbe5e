"""A cache of computed values, so that no value is computed twice."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """A cache of computed values.

    If a value is being computed, other callers wait for it. A failed computation is not cached.

    Args:
        size_of: returns the size of a value with its key, in bytes.
        max_bytes: the total size. Above it, the least recently used values are dropped.
        lifetime: seconds for which a value is cached; None for no limit.
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
        """Return the value for a key, and compute it if it is not cached."""
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
