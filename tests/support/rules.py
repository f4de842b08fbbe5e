"""Take the settings of a service by keyword, whether or not they are rules."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from runware_ws.emulator import Rules, ServiceSettings

__all__ = ["service_settings"]

_RULES = {member.name for member in fields(Rules)}


def service_settings(key: str, settings: dict[str, Any]) -> ServiceSettings:
    """The settings of a service with this key; rules among them change those in ``rules``."""
    others = {name: value for name, value in settings.items() if name not in _RULES}
    changes = {name: value for name, value in settings.items() if name in _RULES}
    rules = replace(others.pop("rules", Rules()), **changes)
    return ServiceSettings(api_key=key, rules=rules, **others)
