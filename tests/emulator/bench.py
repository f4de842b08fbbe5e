"""Drive a service without a network: the test owns its clock, its UUIDs and its engine."""

from __future__ import annotations

import base64
import io
import json
from itertools import count
from typing import Any

from PIL import Image

from runware_ws.emulator.service.answers import HttpCall
from runware_ws.emulator.service.core import Service
from runware_ws.emulator.service.effects import Close, Push, Respond, Run, Upload, Webhook
from runware_ws.emulator.service.jobs import Failed, Job, JobOutcome, Succeeded
from runware_ws.protocol.request import MODEL
from tests.support.rules import service_settings

KEY = "the-key-of-the-bench"
LINK = "https://example.com/cat.jpg"

_numbers = count(1)


def new_uuid() -> str:
    """A UUID v4, another one each time, the same ones in each run."""
    number = next(_numbers)
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def picture(
    size: tuple[int, int] = (8, 6), mode: str = "RGB", form: str = "PNG", colour: Any = None
) -> bytes:
    """A small image file."""
    output = io.BytesIO()
    Image.new(mode, size, colour if colour is not None else 128).save(output, form)
    return output.getvalue()


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def upscale(image: Any = LINK, **members: Any) -> dict[str, Any]:
    """An upscale task; a member given as None is left out."""
    task = {
        "taskType": "upscale",
        "taskUUID": new_uuid(),
        "model": MODEL,
        "inputs": {"image": image},
        **members,
    }
    return {name: value for name, value in task.items() if value is not None}


class Peer:
    """One connection, and all that was sent to it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.connection = bench.service.connect(bench.now)
        self.frames: list[dict[str, Any]] = []
        self.closed: Close | None = None

    def send(self, *tasks: Any) -> list[dict[str, Any]]:
        """Send one frame; gives the frames that it made the service send."""
        return self.send_raw(json.dumps(tasks).encode())

    def send_raw(self, frame: bytes | str) -> list[dict[str, Any]]:
        before = len(self.frames)
        self.bench.service.receive(self.connection, frame, self.bench.now)
        self.bench.perform()
        return self.frames[before:]

    def authenticate(self, key: str = KEY, session: str | None = None) -> list[dict[str, Any]]:
        task = {"taskType": "authentication", "apiKey": key}
        return self.send(task if session is None else task | {"connectionSessionUUID": session})

    def drop(self) -> None:
        self.bench.service.disconnect(self.connection, self.bench.now)
        self.bench.perform()

    @property
    def session(self) -> str:
        assert self.connection.session is not None
        return self.connection.session.uuid

    @property
    def items(self) -> list[dict[str, Any]]:
        """All items of all frames."""
        data = [frame.get("data", []) for frame in self.frames]
        return [item for one in data for item in (one if isinstance(one, list) else [one])]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [error for frame in self.frames for error in frame.get("errors", [])]


class Bench:
    """The service with a clock that is moved by hand; its settings and rules are keywords."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        self.settings = service_settings(KEY, settings)
        self.service = Service(self.settings, new_uuid=new_uuid)
        self.jobs: list[Job] = []
        self.webhooks: list[Webhook] = []
        self.uploads: list[Upload] = []
        self.responses: dict[HttpCall, tuple[int, dict[str, Any]]] = {}
        self.peers: list[Peer] = []

    def peer(self, session: str | None = None, *, authenticated: bool = True) -> Peer:
        peer = Peer(self)
        self.peers.append(peer)
        if authenticated:
            peer.authenticate(session=session)
        return peer

    def post(self, *tasks: Any, key: str | None = KEY) -> HttpCall:
        return self.post_raw(json.dumps(tasks).encode(), key)

    def post_raw(self, body: bytes, key: str | None = KEY) -> HttpCall:
        call = self.service.request(body, key, self.now)
        self.perform()
        return call

    def answer(self, *tasks: Any, key: str | None = KEY) -> tuple[int, dict[str, Any]]:
        """Post, let the engine do its work, and give the status and the body."""
        call = self.post(*tasks, key=key)
        self.finish()
        return self.responses[call]

    def finish(self, outcome: JobOutcome | None = None) -> None:
        """Let the engine be done with all its jobs."""
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            self.service.finished(job, outcome or Succeeded("QUJD"), self.now)
            self.perform()

    def fail(self, code: str = "inferenceError", message: str = "It broke.") -> None:
        self.finish(Failed(code, message))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while (due := self.service.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.service.handle_timer(self.now)
            self.perform()
        self.now = end

    def perform(self) -> None:
        for effect in self.service.take_effects():
            match effect:
                case Push():
                    self._peer(effect).frames.append(json.loads(effect.frame))
                case Close():
                    self._peer(effect).closed = effect
                case Run():
                    self.jobs.append(effect.job)
                case Respond():
                    self.responses[effect.call] = (effect.status, json.loads(effect.body))
                case Webhook():
                    self.webhooks.append(effect)
                case Upload():
                    self.uploads.append(effect)

    def _peer(self, effect: Push | Close) -> Peer:
        return next(peer for peer in self.peers if peer.connection is effect.connection)
