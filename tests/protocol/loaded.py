"""Extend the world with a service that has little room, and with time for frames and tasks.

A `LoadedWorld` needs no steps: `run` lets everything happen at its own moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

from runware_ws.emulator.service import effects as server_effects
from runware_ws.protocol.wire import decode_tasks
from runware_ws.settings import Settings
from tests.protocol.world import BUSY, World

__all__ = ["LoadedWorld"]


class LoadedWorld(World):
    """See the module's text.

    Args:
        room: how many tasks the service works on at once; it refuses the rest.
        latency: seconds that a task takes, give or take a tenth.
        way: seconds that a frame takes in either direction.
        answers_after: seconds that an answer to a question takes.
        refuses_questions: whether a service that is full refuses questions as well.
        settings: see `World`.

    Attributes:
        frames: how many frames the client has written.
        refused: how many tasks were refused.
    """

    def __init__(
        self,
        room: int,
        latency: float,
        *,
        way: float = 0.001,
        answers_after: float = 0.0,
        refuses_questions: bool = False,
        **settings: Any,
    ) -> None:
        self.frames = self.refused = 0
        self._way = way
        self._room = room
        self._latency = latency
        self._answers_after = answers_after
        self._refuses_questions = refuses_questions
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        super().__init__(client_settings=Settings(), max_running=room, **settings)

    def run(self) -> float:
        """Let everything happen until all tasks are settled. Return the seconds that it took."""
        began = self.now
        while self.client.tasks:
            if self.wants_connection:
                self.connect()
            timer = self.next_timer()
            if self._coming and (timer is None or self._coming[0][0] <= timer):
                self.now, _, happens = heappop(self._coming)
                happens()
            else:
                assert timer is not None
                self.tick(max(0.0, timer - self.now))
        return self.now - began

    def pump(self) -> None:
        super().pump()
        wire = self.wire
        if wire is None:
            return
        while wire.up:
            self.frames += 1
            self._happens_in(self._way, partial(self._arrives, wire.up.popleft()))
        while wire.down:
            self._happens_in(self._way, partial(self._comes, wire.down.popleft()))

    def _arrives(self, frame: bytes) -> None:
        assert self.wire is not None
        for task in decode_tasks(frame):
            is_question = task["taskType"] in ("getResponse", "getTaskDetails")
            is_full = len(self.jobs) >= self._room
            if is_full and is_question and self._refuses_questions:
                error = {"code": BUSY, "message": "Busy."}
                answer = json.dumps({"errors": [error]}).encode()
                self.wire.down.append(server_effects.Push(self.wire.link, answer))
            else:
                self.refused += is_full and task["taskType"] == "upscale"
                if is_question and self._answers_after:
                    self._happens_in(self._answers_after, partial(self._is_handled, task))
                else:
                    self._is_handled(task)
        self.pump()

    def _is_handled(self, task: dict[str, Any]) -> None:
        assert self.wire is not None
        self.service.receive(self.wire.link, json.dumps([task]).encode(), self.now)
        self.pump()

    def _comes(self, push: server_effects.Push) -> None:
        self.client.main.receive(push.frame, self.now)
        self.pump()

    def _server_wants(self, effect: server_effects.ServiceEffect) -> None:
        super()._server_wants(effect)
        if isinstance(effect, server_effects.Run):
            seconds = self._latency * (0.9 + 0.2 * self.rng.random())
            job = effect.job
            self._happens_in(seconds, lambda: self.finish(self.jobs.index(job)))

    def _happens_in(self, seconds: float, happens: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._coming, (self.now + seconds, self._count, happens))
