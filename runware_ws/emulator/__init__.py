"""A local Runware, for trying, testing and working offline; needs the extra ``emulator``.

`Emulator` is the service, `runware_ws.emulator.faults` is what can go wrong with it, and `Relay`
is what can go wrong on the way. The service's core, `runware_ws.emulator.service`, is pure and
needs nothing of the extra. That is why the others are imported only when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .service.settings import ServiceSettings

if TYPE_CHECKING:
    from .relay import Relay
    from .server.emulator import Emulator

__all__ = ["Emulator", "Relay", "ServiceSettings"]

_LATER = {"Emulator": ".server.emulator", "Relay": ".relay"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_LATER[name], __name__), name)
    except ModuleNotFoundError as error:
        message = f'the emulator needs {error.name}: pip install "runware-ws[emulator]"'
        raise ImportError(message, name=error.name) from error
