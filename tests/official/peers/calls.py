"""Take calls from the tests, one a line of JSON on the standard input, and answer each.

A call names a function and its arguments; the next one comes when it is answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Functions", "serve"]

Functions = dict[str, Callable[..., Awaitable[Any]]]


def serve(functions: Functions) -> None:
    """Answer calls of these until the input ends."""
    asyncio.run(_serve(functions))


async def _serve(functions: Functions) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await _answer(functions, json.loads(line))


async def _answer(functions: Functions, call: dict[str, Any]) -> None:
    answer: dict[str, Any] = {}
    try:
        answer["value"] = await functions[call["function"]](**call["arguments"])
    except Exception as error:  # noqa: BLE001  # it is what the test asks for
        code = getattr(error, "code", None)
        answer["error"] = {
            "type": type(error).__name__,
            "code": None if code is None else str(code),
            "message": str(error),
        }
    print(json.dumps(answer), flush=True)  # noqa: T201  # the channel to the test
