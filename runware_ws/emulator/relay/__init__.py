"""A TCP relay between clients and a server that can be cut, silenced, delayed and throttled."""

from __future__ import annotations

from .relay import Direction, Relay

__all__ = ["Direction", "Relay"]
