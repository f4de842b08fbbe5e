"""A local Runware, for trying, testing and working offline; needs the extra ``emulator``.

The service's core, `runware_ws.emulator.service`, is pure and needs nothing of the extra. That is
why `Emulator` is imported only when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .settings import ServiceSettings

if TYPE_CHECKING:
    from .local import Emulator

__all__ = ["Emulator", "ServiceSettings"]


def __getattr__(name: str) -> Any:
    if name != "Emulator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .local import Emulator
    except ModuleNotFoundError as error:
        message = f'the emulator needs {error.name}: pip install "runware-ws[emulator]"'
        raise ImportError(message, name=error.name) from error
    return Emulator
