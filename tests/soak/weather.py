"""Change the weather on the line: one change at a time, and a fine day after each."""

from __future__ import annotations

import random
from collections import Counter

import anyio

from runware_ws import RunwareClient
from runware_ws.emulator import Relay
from runware_ws.emulator.relay import Direction

__all__ = ["Weather"]

_DIRECTIONS: tuple[Direction, ...] = ("up", "down", "both")


class Weather:
    """Does to the line of a client what networks do.

    Args:
        relay: the line.
        client: who uses it.
        dice: for how long, how bad, and in which direction.

    Attributes:
        struck: how often each kind of weather came.
    """

    def __init__(self, relay: Relay, client: RunwareClient, dice: random.Random) -> None:
        self.struck: Counter[str] = Counter()
        self._relay = relay
        self._client = client
        self._dice = dice
        self._lock = anyio.Lock()

    async def change(self, kind: str) -> None:
        """Let it be bad for a while, once it is fine."""
        async with self._lock:
            self.struck[kind] += 1
            try:
                await self._worsen(kind)
            finally:
                self._relay.resume()

    async def _worsen(self, kind: str) -> None:
        direction = self._dice.choice(_DIRECTIONS)
        match kind:
            case "cut" | "reset":
                self._relay.cut(reset=kind == "reset")
                return
            case "silent":
                await self._fall_silent(direction)
                return
            case "refused":
                self._relay.refuse()
                self._relay.cut()
            case "late":
                self._relay.delay(self._dice.uniform(0.01, 0.2), direction)
            case "slow":
                self._relay.throttle(self._dice.uniform(5_000, 100_000), direction)
            case "split":
                self._relay.split(self._dice.randint(1, 9), direction)
        await anyio.sleep(self._dice.uniform(0.1, 0.5))

    async def _fall_silent(self, direction: Direction) -> None:
        """For so long that it is noticed, or only for a moment."""
        events = self._client.events()
        self._relay.silence(direction, swallow=self._dice.random() < 0.5)
        if self._dice.random() < 0.3:
            await anyio.sleep(self._dice.uniform(0.05, 0.3))
            return
        async for event in events:
            if event.kind == "lost":
                return
