"""The host, which reports events to the service and performs its effects, on one event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx

from ...protocol.wire import encode_answer
from ...settings import is_loopback
from ..faults.injector import FaultInjector
from ..imaging.engine import HTTP_ERRORS, Engine, ImageStore
from ..imaging.pictures import UpscaleFunction
from ..service.answers import HttpCall
from ..service.effects import (
    Close,
    Cut,
    Delivery,
    Push,
    Respond,
    Run,
    ServiceEffect,
    Upload,
    Webhook,
)
from ..service.jobs import Job
from ..service.sessions import ServiceConnection
from ..service.settings import ServiceSettings

HttpFactory: TypeAlias = Callable[[], httpx.AsyncClient]
_log = logging.getLogger(__name__)


class Host:
    """Reports events to the service, and performs its effects in order.

    Everything runs in the thread of the event loop, so there are no locks.
    """

    def __init__(
        self,
        service: FaultInjector,
        settings: ServiceSettings,
        *,
        http: HttpFactory,
        upscaler: UpscaleFunction,
        allow_hosts: Collection[str] = (),
    ) -> None:
        self.store = ImageStore(settings.max_image_bytes)
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._writers: dict[ServiceConnection, Callable[[Push | Close | Cut], None]] = {}
        self._replies: dict[HttpCall, asyncio.Future[Respond]] = {}
        self._new_client = http
        self._client: httpx.AsyncClient | None = None
        self._settings = settings
        self._allow_hosts = frozenset(allow_hosts)
        self._engine = Engine(
            self.store, settings, clock=self._loop.time, http=self._http, upscaler=upscaler
        )

    # Events

    @property
    def now(self) -> float:
        """The time of the service, in seconds."""
        return self._loop.time()

    def connection_status(self) -> int | None:
        """Return the HTTP status that refuses the next connection; None if it is accepted."""
        return self._service.connection_status()

    def connect(
        self, write: Callable[[Push | Close | Cut], None], *, dry_run: bool = False
    ) -> ServiceConnection:
        """Report a new connection, and return its handle. `write` performs effects on it."""
        connection = self._service.connect(self.now, dry_run=dry_run)
        self._writers[connection] = write
        self._perform()
        return connection

    def receive(self, connection: ServiceConnection, frame: bytes | str) -> None:
        """Handle a frame."""
        self._service.receive(connection, frame, self.now)
        self._perform()

    def disconnect(self, connection: ServiceConnection, unsent: Sequence[Push]) -> None:
        """Report the end of a connection, and the pushes that could not be written."""
        del self._writers[connection]
        self._service.disconnect(connection, self.now, unsent)
        self._perform()

    def max_body_bytes(self, beginning: bytes | bytearray, key: str | None) -> int:
        """Return the size limit for the body of an HTTP request with the key; 0 without the key."""
        expected = self._settings.api_key
        is_known = key == expected or expected.encode() in beginning
        return self._settings.max_frame_bytes if is_known else 0

    async def request(self, body: bytes, key: str | None, *, dry_run: bool = False) -> Respond:
        """Return the answer to an HTTP request."""
        call = self._service.request(body, key, self.now, dry_run=dry_run)
        reply: asyncio.Future[Respond] = self._loop.create_future()
        self._replies[call] = reply
        self._perform()
        try:
            return await reply
        finally:
            del self._replies[call]
            self._service.hang_up(call)

    def refuse_requests(self) -> None:
        """Answer all pending HTTP requests with 503, because the emulator stops."""
        error = {"code": "serviceUnavailable", "message": "The emulator was stopped."}
        for call, reply in self._replies.items():
            if not reply.done():
                reply.set_result(Respond(call, 503, encode_answer(errors=[error])))

    async def aclose(self) -> None:
        """Cancel all jobs and deliveries in progress."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
        self._engine.close()

    # Effects

    def _perform(self) -> None:
        for effect in self._service.take_effects():
            self._do(effect)
        self._set_timer(self._service.next_timer())

    def _do(self, effect: ServiceEffect) -> None:
        match effect:
            case Push() | Close() | Cut():
                if effect.connection in self._writers:
                    self._writers[effect.connection](effect)
            case Run():
                self._start(self._run(effect.job))
            case Respond():
                reply = self._replies.get(effect.call)
                if reply is not None and not reply.done():
                    reply.set_result(effect)
            case Webhook() | Upload():
                self._start(self._deliver(effect))

    def _set_timer(self, due: float | None) -> None:
        # A timer that fires early finds nothing due and is set again. So it is only moved to an
        # earlier time, and not with each message, which moves an idle timeout to a later one.
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._service.handle_timer(self.now)
        self._perform()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job) -> None:
        outcome = await self._engine.run(job)
        self._service.finished(job, outcome, self.now)
        self._perform()

    async def _deliver(self, delivery: Delivery) -> None:
        accepted = False
        try:
            accepted = await self._send(delivery)
        except HTTP_ERRORS as error:
            _log.info("%s of task %s: %r", type(delivery).__name__, delivery.task_uuid, error)
        self._service.delivered(delivery, accepted, self.now)
        self._perform()

    async def _send(self, delivery: Delivery) -> bool:
        """Send a webhook or upload, and return True if it was accepted."""
        host = urlsplit(delivery.url).hostname
        if not is_loopback(host) and self._allow_hosts.isdisjoint((host, "*")):
            _log.warning("nothing is sent to %s unless it is allowed: see allow_hosts", host)
            return False
        if isinstance(delivery, Webhook):
            headers = {"Content-Type": "application/json"}
            response = await self._http().post(
                delivery.url,
                content=delivery.body,
                headers=headers,
                timeout=self._settings.webhook_timeout,
            )
            return response.is_success
        image = self.store.get(delivery.image_uuid, self.now)
        if image is None:  # it was dropped in favour of newer ones
            return False
        headers = {"Content-Type": image.media_type}
        request = self._http().put(delivery.url, content=image.content, headers=headers)
        return (await request).is_success

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = self._new_client()
        return self._client
