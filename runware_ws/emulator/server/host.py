"""Performs what the service decides: one event loop, many connections, no decisions."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from ...protocol.wire import encode_answer
from ..faults.injector import FaultyService
from ..imaging.engine import Engine
from ..imaging.store import ImageStore
from ..service.calls import Call
from ..service.effects import Close, Cut, Effect, Push, Respond, Run, Upload, Webhook
from ..service.jobs import Job
from ..service.sessions import Link

__all__ = ["Host", "Outbox"]

_log = logging.getLogger(__name__)
_TIMEOUT = 30.0
_CLOSE_GRACE = 2.0


class Outbox:
    """What is to be written to one connection, in order.

    Args:
        abort: cuts the connection off.
    """

    def __init__(self, abort: Callable[[], None]) -> None:
        self.abort = abort
        self._waiting: deque[Push | Close | Cut] = deque()
        self._arrived = asyncio.Event()

    def put(self, effect: Push | Close | Cut) -> None:
        self._waiting.append(effect)
        self._arrived.set()

    async def next(self) -> Push | Close | Cut:
        """The next effect, which stays here until `done` says that it was performed."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting[0]

    def done(self) -> None:
        self._waiting.popleft()

    def unsent(self) -> list[Push]:
        return [effect for effect in self._waiting if isinstance(effect, Push)]


class Host:
    """Feeds the service and performs its effects, in order, on one event loop.

    Args:
        service: the core, with the faults that were asked for.
        lock: held whenever the service is touched, so that other threads can read it.
        max_image_bytes: how much of inputs and results is held.
        latency: see `Engine`.
        workers: see `Engine`.
    """

    def __init__(
        self,
        service: FaultyService,
        lock: threading.Lock,
        *,
        max_image_bytes: int,
        latency: float,
        workers: int | None,
    ) -> None:
        self.store = ImageStore(max_image_bytes)
        self._service = service
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._engine = Engine(
            self.store, self._loop.time, self._http, latency=latency, workers=workers
        )
        self._outboxes: dict[Link, Outbox] = {}
        self._replies: dict[Call, asyncio.Future[Respond]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What happens, told to the service

    @property
    def now(self) -> float:
        """The clock of the service, in seconds."""
        return self._loop.time()

    def refusal(self) -> int | None:
        """The HTTP status that answers a connection in place of the upgrade, if any."""
        with self._lock:
            return self._service.refusal()

    def connect(self, abort: Callable[[], None]) -> tuple[Link, Outbox]:
        """A connection was opened, which `abort` cuts; its frames arrive in the outbox."""
        outbox = Outbox(abort)
        with self._lock:
            link = self._service.connect(self.now)
        self._outboxes[link] = outbox
        self._perform()
        return link, outbox

    def receive(self, link: Link, frame: bytes | str) -> None:
        with self._lock:
            self._service.receive(link, frame, self.now)
        self._perform()

    def disconnect(self, link: Link) -> None:
        unsent = self._outboxes.pop(link).unsent()
        with self._lock:
            self._service.disconnect(link, self.now, unsent)
        self._perform()

    async def request(self, body: bytes, key: str | None) -> Respond:
        """Have an HTTP request answered."""
        with self._lock:
            call = self._service.request(body, key, self.now)
        reply: asyncio.Future[Respond] = self._loop.create_future()
        self._replies[call] = reply
        self._perform()
        try:
            return await reply
        finally:
            del self._replies[call]
            self._service.hang_up(call)

    def refuse_requests(self) -> None:
        """Answer every HTTP request that waits with 503 [O]: the emulator is about to stop."""
        error = {"code": "serviceUnavailable", "message": "The emulator was stopped."}
        for call, reply in self._replies.items():
            if not reply.done():
                reply.set_result(Respond(call, 503, encode_answer(errors=[error])))

    async def aclose(self) -> None:
        """Give up all that is under way."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
        self._engine.close()

    # What the service decides, performed

    def _perform(self) -> None:
        with self._lock:
            effects = self._service.take_effects()
            due = self._service.next_timer()
        for effect in effects:
            self._do(effect)
        self._set_timer(due)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Push() | Close() | Cut():
                self._write(effect)
            case Run():
                self._start(self._run(effect.job))
            case Respond():
                reply = self._replies.get(effect.call)
                if reply is not None and not reply.done():
                    reply.set_result(effect)
            case Webhook() | Upload():
                self._start(self._call(effect))

    def _write(self, effect: Push | Close | Cut) -> None:
        outbox = self._outboxes.get(effect.link)
        if outbox is None:
            return
        outbox.put(effect)
        if not isinstance(effect, Push):
            # A peer that reads nothing never gets to see the close.
            self._loop.call_later(_CLOSE_GRACE, outbox.abort)

    def _set_timer(self, due: float | None) -> None:
        # A timer that fires early finds nothing due and sets itself again, so it is moved only
        # to an earlier time: with each message the idle deadline moves to a later one.
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        with self._lock:
            self._service.handle_timer(self.now)
        self._perform()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job) -> None:
        outcome = await self._engine.run(job)
        with self._lock:
            self._service.finished(job, outcome, self.now)
        self._perform()

    async def _call(self, effect: Webhook | Upload) -> None:
        accepted = False
        try:
            accepted = (await self._sent(effect)).is_success
        except (httpx.HTTPError, httpx.InvalidURL, _GoneError) as error:
            _log.info("%s of task %s: %r", type(effect).__name__, effect.task_uuid, error)
        with self._lock:
            self._service.called(effect, accepted, self.now)
        self._perform()

    async def _sent(self, effect: Webhook | Upload) -> httpx.Response:
        if isinstance(effect, Webhook):
            headers = {"Content-Type": "application/json"}
            return await self._http().post(effect.url, content=effect.body, headers=headers)
        image = self.store.get(effect.image_uuid, self.now)
        if image is None:
            raise _GoneError
        headers = {"Content-Type": image.media_type}
        return await self._http().put(effect.url, content=image.content, headers=headers)

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_TIMEOUT)
        return self._client


class _GoneError(Exception):
    """The image to be uploaded has made room for others meanwhile."""
