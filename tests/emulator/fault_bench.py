"""Put faults between the service of the bench and its peers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from runware_ws.emulator.faults import Fault
from runware_ws.emulator.faults.injector import FaultInjector
from runware_ws.emulator.service.core import Service
from runware_ws.emulator.service.effects import Close, Cut, Push, Respond, Run
from runware_ws.emulator.service.sessions import ServiceConnection
from tests.emulator.bench import Bench, Peer, upscale


class FaultBench(Bench):
    """A service with faults, driven by hand; its peers see only the frames that are JSON.

    Attributes:
        injector: the service with its faults; `core` is the one without.
        raw: all that was written, by connection.
        ended: how connections were ended: ``close``, ``abort`` or ``reset``.
        unsent: what was to be written after that.
    """

    def __init__(
        self,
        *faults: Fault,
        random_for: Callable[[int], Callable[[], float]] = lambda _: lambda: 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.core = self.service
        self.injector = FaultInjector(self.core, faults, random_for)
        self.service = cast(Service, self.injector)
        self.raw: dict[ServiceConnection, list[bytes]] = {}
        self.ended: dict[ServiceConnection, str] = {}
        self.unsent: dict[ServiceConnection, list[Push]] = {}

    def perform(self) -> None:
        """As the host does: what comes for a connection that was ended stays unsent."""
        for effect in self.injector.take_effects():
            match effect:
                case Push() if effect.connection in self.ended:
                    self.unsent.setdefault(effect.connection, []).append(effect)
                case Push():
                    self.raw.setdefault(effect.connection, []).append(effect.frame)
                case Close() | Cut():
                    self.ended.setdefault(effect.connection, getattr(effect, "how", "close"))
                case Run():
                    self.jobs.append(effect.job)
                case Respond():
                    self.responses[effect.call] = (effect.status, json.loads(effect.body))
        for peer in self.peers:
            peer.frames = [
                frame for raw in self.raw.get(peer.connection, []) if (frame := _json(raw))
            ]

    def end(self, peer: Peer) -> None:
        """The connection has ended; what was not written goes back to the service."""
        self.injector.disconnect(peer.connection, self.now, self.unsent.pop(peer.connection, []))
        self.perform()

    def run(self, peer: Peer, count: int = 1, **members: Any) -> list[str]:
        """Send so many tasks in one frame, and let the engine finish them; their UUIDs."""
        tasks = [upscale(**members) for _ in range(count)]
        peer.send(*tasks)
        self.finish()
        return [task["taskUUID"] for task in tasks]


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def ask(*uuids: str) -> list[dict[str, Any]]:
    return [{"taskType": "getResponse", "taskUUID": uuid} for uuid in uuids]


def results(peer: Peer) -> list[str]:
    """The tasks whose results have come, in their order."""
    return [item["taskUUID"] for item in peer.items if "imageUUID" in item]
