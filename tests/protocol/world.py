"""Join the client's core and the emulator's core, with no network between them.

A `World` has one clock, one client, one service and the wires between: two queues of frames a
connection, on which anything can be done that a network does, and some things that none does.
Nothing happens by itself; a test calls for each step, and `heal` lets everything run its course.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from runware_ws.emulator.service import effects as server_effects
from runware_ws.emulator.service.core import Service
from runware_ws.emulator.service.jobs import Failed, Job, Succeeded
from runware_ws.emulator.service.sessions import ServiceConnection
from runware_ws.errors import RunwareError
from runware_ws.protocol.effects import Connect, Disconnect, Settle
from runware_ws.protocol.request import MODEL
from runware_ws.protocol.secret import Secret
from runware_ws.protocol.session import Session
from runware_ws.protocol.tasks import Task
from runware_ws.protocol.wire import decode_tasks, encode_task
from runware_ws.settings import Settings
from tests.support.rules import service_settings

KEY = "a-key-that-is-good"
BUSY = "rateLimitExceeded"
SETTINGS = Settings(
    max_tasks_per_frame=5,
    max_frame_bytes=4096,
    max_retries=2,
    auth_timeout=10.0,
    keepalive=20.0,
    ping_timeout=10.0,
    max_reconnect_time=None,
)
Outcome = dict[str, Any] | RunwareError
# Within this time everything settles once nothing is in the way any more.
PATIENCE = 4 * 3600.0


class NumberedTask(Task):
    """A task that knows the number of its image."""

    __slots__ = ("number",)

    def __init__(
        self,
        number: int,
        uuid: str,
        payload: bytes = b"",
        timeout: float | None = None,
        now: float = 0.0,
    ) -> None:
        super().__init__(uuid, payload, timeout, now)
        self.number = number


def number_of(task: Task) -> int:
    """The number of the image of a task that a `World` has made."""
    assert isinstance(task, NumberedTask)
    return task.number


@dataclass(eq=False)
class Wire:
    """A connection: what is on its way to the server, and to the client."""

    link: ServiceConnection
    up: deque[bytes] = field(default_factory=deque)
    down: deque[server_effects.Push] = field(default_factory=deque)


class World:
    """See the module's text.

    Args:
        seed: of the UUIDs and the jitter.
        on_doubt: the client's setting.
        client_settings: its other settings.
        settings: settings and rules of the service.
    """

    journaled = False

    def __init__(
        self,
        seed: int = 0,
        *,
        on_doubt: Literal["resend", "fail"] = "resend",
        client_settings: Settings = SETTINGS,
        **settings: Any,
    ) -> None:
        self._client_settings = replace(client_settings, on_doubt=on_doubt)
        self.rng = random.Random(seed)
        self.now = 1000.0
        self.new_uuid: Callable[[], str] = lambda: _uuid4(self.rng)
        self.service = Service(service_settings(KEY, settings), new_uuid=self.new_uuid)
        self.wire: Wire | None = None
        self.dead: list[Wire] = []
        self.jobs: list[Job] = []
        self.runs_of_image: Counter[str] = Counter()
        self.made_from: dict[str, str] = {}  # images, by the UUIDs of what was made from them
        self.failures: defaultdict[str, set[str]] = defaultdict(set)
        self.submitted = 0
        self.start()

    def start(self) -> None:
        """The client's process begins."""
        self.tasks: list[NumberedTask] = []
        self.settled: dict[int, list[Outcome]] = {}
        self.wants_connection = False
        self.client = Session(
            self._client_settings,
            api_key=Secret(KEY),
            new_uuid=self.new_uuid,
            rng=self.rng.random,
            journaled=self.journaled,
        )
        self.client.start(self.now)
        self.take_up()
        self.tick(0.0)

    def take_up(self) -> None:
        """Take up what an earlier process has left, if there can be any."""

    # What people do.

    def submit(
        self, *, delivery: str = "sync", timeout: float | None = None, image: str | None = None
    ) -> NumberedTask:
        """Submit a task for an image of its own."""
        uuid = self.new_uuid()
        members = {"taskType": "upscale", "taskUUID": uuid, "model": MODEL}
        if delivery == "async":
            members["deliveryMethod"] = "async"
        number = self.submitted
        self.submitted += 1
        image = image or image_of(number)
        payload = encode_task({**members, "inputs": {"image": image}})
        task = NumberedTask(number, uuid, payload, timeout, self.now)
        task.polled = delivery == "async"
        self.expect(task)
        self.client.submit(task, self.now)
        self.pump()
        return task

    def expect(self, task: NumberedTask) -> None:
        """Somebody waits for a task."""
        self.tasks.append(task)
        self.settled[task.number] = []

    def cancel(self, task: Task) -> None:
        self.client.cancel(task)
        self.pump()

    # What the network does.

    def connect(self) -> None:
        """The connection that the client wants comes about."""
        self.wants_connection = False
        self.wire = Wire(self.service.connect(self.now))
        self.client.main.connected(self.now)
        self.pump()

    def refuse(self) -> None:
        """It does not."""
        self.wants_connection = False
        self.client.main.lost("refused", self.now)
        self.pump()

    def carry_up(self, index: int = 0) -> None:
        """A frame reaches the server."""
        assert self.wire is not None
        frame = self.wire.up[index]
        del self.wire.up[index]
        self.service.receive(self.wire.link, frame, self.now)
        self.pump()

    def turn_away(self, *, named: bool = True) -> None:
        """Refuse a frame's tasks before the server sees them, whether it knows them or not.

        What else is in the frame gets through.
        """
        assert self.wire is not None
        tasks = decode_tasks(self.wire.up.popleft())
        upscales = [task for task in tasks if task["taskType"] == "upscale"]
        for task in upscales:
            self.failures[task["inputs"]["image"]].add(BUSY)
        refusals = [
            {"code": BUSY, "message": "Busy.", "taskType": "upscale"}
            | ({"taskUUID": task["taskUUID"]} if named else {})
            for task in upscales
        ]
        others = [task for task in tasks if task not in upscales]
        if others:
            self.service.receive(self.wire.link, json.dumps(others).encode(), self.now)
        if refusals:
            frame = json.dumps({"errors": refusals}).encode()
            self.wire.down.append(server_effects.Push(self.wire.link, frame))
        self.pump()

    def carry_down(self, index: int = 0) -> None:
        """A frame reaches the client."""
        assert self.wire is not None
        push = self.wire.down[index]
        del self.wire.down[index]
        self.client.main.receive(push.frame, self.now)
        self.pump()

    def garble(self) -> None:
        """A frame reaches the client unreadable. (Its result is lost.)"""
        assert self.wire is not None
        push = self.wire.down.popleft()
        self.client.main.receive(push.frame[: len(push.frame) // 2], self.now)
        self.pump()

    def cut(self, *, server_knows: bool, frames_count_as_undelivered: bool) -> None:
        """The connection ends, with whatever is on it; see `arrive_late`."""
        self.hang_up(server_knows, frames_count_as_undelivered)
        self.client.main.lost("cut", self.now)
        self.pump()

    def hang_up(self, server_knows: bool, frames_count_as_undelivered: bool) -> None:
        """The connection, if there is one, ends without the client's being told."""
        wire, self.wire = self.wire, None
        if wire is None:
            return
        if server_knows:
            unsent = list(wire.down) if frames_count_as_undelivered else []
            self.service.disconnect(wire.link, self.now, unsent)
        else:
            self.dead.append(wire)

    def arrive_late(self, wire: Wire) -> None:
        """A frame from a connection that was cut reaches the server, which does not know that."""
        self.service.receive(wire.link, wire.up.popleft(), self.now)
        self.pump()

    def server_notices(self) -> None:
        """The server finds out about the connections that were cut."""
        for wire in self.dead:
            self.service.disconnect(wire.link, self.now)
        self.dead.clear()
        self.pump()

    def tick(self, seconds: float) -> None:
        """Time passes; timers on both sides are called at their moments."""
        end = self.now + seconds
        while (moment := self.next_timer()) is not None and moment <= end:
            self.now = max(self.now, moment)
            self.client.handle_timer(self.now)
            self.service.handle_timer(self.now)
            self.pump()
        self.now = end

    def next_timer(self) -> float | None:
        moments = [self.client.next_timer(), self.service.next_timer()]
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def is_ready(self) -> bool:
        """Return whether the client was let in on the present connection."""
        return self.wire is not None and self.client.main.reconnector.state == "connected"

    # What the server's engine does.

    def finish(self, index: int = 0, failure: str | None = None) -> None:
        """A job ends."""
        job = self.jobs.pop(index)
        outcome = Succeeded() if failure is None else Failed(failure, "It failed.")
        if failure is None:
            self.runs_of_image[job.image] += 1
            self.made_from[job.image_uuid] = job.image
        else:
            self.failures[job.image].add(failure)
        self.service.finished(job, outcome, self.now)
        self.pump()

    # The plumbing.

    def pump(self) -> None:
        """Perform what both cores want done."""
        while True:
            mine, theirs = self.client.take_effects(), self.service.take_effects()
            frame = None if self.wire is None else self.client.main.next_frame(self.now)
            if frame is not None and self.wire is not None:
                self.wire.up.append(bytes(frame.data))
                self.client.main.written(frame, self.now)
            if not mine and not theirs and frame is None:
                return
            for effect in mine:
                self._client_wants(effect)
            for other in theirs:
                self._server_wants(other)

    def _client_wants(self, effect: Any) -> None:
        if isinstance(effect, Settle):
            self.settle(effect)
        elif isinstance(effect, Connect):
            self.wants_connection = True
        elif isinstance(effect, Disconnect) and self.wire is not None:
            wire, self.wire = self.wire, None
            self.service.disconnect(wire.link, self.now, list(wire.down))

    def settle(self, effect: Settle) -> None:
        """A task has its outcome."""
        self.settled[number_of(effect.task)].append(effect.outcome)

    def _server_wants(self, effect: server_effects.ServiceEffect) -> None:
        if isinstance(effect, server_effects.Run):
            self.jobs.append(effect.job)
        elif isinstance(effect, server_effects.Push):
            if self.wire is not None and effect.connection is self.wire.link:
                self.wire.down.append(effect)
        elif (
            isinstance(effect, server_effects.Close)
            and self.wire is not None
            and effect.connection is self.wire.link
        ):
            self.wire = None
            self.client.main.lost("closed by the server", self.now)

    def heal(self) -> None:
        """From now on all goes well; wait until everything is settled."""
        end = self.now + PATIENCE
        self.server_notices()
        while self.client.tasks and self.now < end:
            self.settle_down()
            if not self.client.tasks:
                break
            moment = self.next_timer()
            assert moment is not None, (
                f"nobody will ever look at {list(self.client.tasks.values())}"
            )
            self.tick(max(0.0, moment - self.now))

    def settle_down(self, *, finish: bool = True) -> None:
        """Carry all frames and finish all jobs, if they are to be, with no time passing."""
        while True:
            if self.wants_connection:
                self.connect()
            elif self.wire is not None and self.wire.up:
                self.carry_up()
            elif self.wire is not None and self.wire.down:
                self.carry_down()
            elif self.jobs and finish:
                self.finish()
            else:
                return


def image_of(number: int) -> str:
    """The image of the task with this number."""
    return f"https://images.test/{number}.jpg"


def _uuid4(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    variant = "89ab"[rng.getrandbits(2)]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
