"""A local emulator of Runware, to try, test and work offline; needs the extra ``emulator``.

`Emulator` is the service, `runware_ws.emulator.faults` contains faults to inject, and `Relay` is a
network connection to it that can fail. `ServiceSettings` are the settings of an `Emulator`. `Rules`
are behaviour that Runware does not document; `PRESETS` are named sets of rules.

The pure core, `runware_ws.emulator.service`, does not need the extra, so `Emulator` and `Relay` are
imported only when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError
from .service.rules import PRESETS, Rules
from .service.settings import ServiceSettings

if TYPE_CHECKING:
    from .relay import Relay
    from .server.emulator import Emulator

__all__ = ["PRESETS", "Emulator", "Relay", "Rules", "ServiceSettings"]

_MODULES = {"Emulator": ".server.emulator", "Relay": ".relay"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_MODULES[name], __name__), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError("the emulator", "emulator") from error
