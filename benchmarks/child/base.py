"""What a client must be able to do to be driven."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MODEL", "Api", "Image"]

MODEL = "runware:504@1"
Image = str | Path


@dataclass(frozen=True)
class Api:
    """A client that is connected.

    Attributes:
        upscale: hand an image in, and await its result.
        submit: hand an image in; gives what can be awaited. None if the client has no such call.
        error: what is raised when an image fails.
    """

    upscale: Callable[[Image], Awaitable[Any]]
    submit: Callable[[Image], Awaitable[Awaitable[Any]]] | None = None
    error: type[Exception] = Exception
