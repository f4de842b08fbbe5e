"""Make clients whose key is easily found again, and which do not wait for long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio

from runware_ws import RunwareClient, UpscaleTask
from runware_ws.emulator import Emulator
from runware_ws.protocol.timing import Timing
from tests.support.scripted import Script, ScriptedServer

__all__ = ["IMAGE", "KEY", "QUICK", "client_of", "hasty", "outcome_of", "served", "submitted"]

KEY = "rw_Key4711SecretOfTheTests"
IMAGE = "https://example.com/photo.jpg"
# Waits that are cut short where nothing but time would pass. Those for an answer are not: a busy
# machine may need them.
QUICK = Timing(
    replay_quiet=0.1,
    living_window=0.5,
    poll=(0.01, 0.1),
    retry=(0.01, 0.1),
    reconnect=(0.01, 0.1),
    breaker=(0.05, 0.2),
    early_grace=0.3,
)


def client_of(
    server: ScriptedServer | Emulator, *, timing: Timing = QUICK, **options: Any
) -> RunwareClient:
    """Return a client that is not yet open. The server is never late to find a task."""
    key = server.api_key if isinstance(server, Emulator) else KEY
    usual = {"url": server.url, "doubt_window": 0.1, "connections": 1}
    return hasty(RunwareClient(key, **{**usual, **options}), timing)


def hasty(client: RunwareClient, timing: Timing) -> RunwareClient:
    """Give a client that is not yet open other durations than those that are its settings."""
    client._settings = replace(client._settings, timing=timing)
    return client


@asynccontextmanager
async def served(
    *scripts: Script | None, **options: Any
) -> AsyncIterator[tuple[ScriptedServer, RunwareClient]]:
    """A server that plays these scripts, and an open client of it."""
    with ScriptedServer(*scripts) as server:
        async with client_of(server, **options) as client:
            yield server, client


async def submitted(client: RunwareClient, count: int, **options: Any) -> list[UpscaleTask]:
    """So many tasks, handed in."""
    return [await client.submit(IMAGE, **options) for _ in range(count)]


async def outcome_of(task: UpscaleTask) -> Any:
    """The result of a task or its error, whichever it is."""
    with anyio.fail_after(20):
        try:
            return await task
        except Exception as error:  # noqa: BLE001  # it is what is asked for
            return error
