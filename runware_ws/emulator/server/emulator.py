"""The emulator: a service with its faults and settings, served in the background."""

from __future__ import annotations

import random
import secrets
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx

from ..faults.injector import FaultInjector
from ..faults.kinds import Fault
from ..imaging.pictures import UpscaleFunction, upscale
from ..service.core import Service
from ..service.history import ReceivedTask
from ..service.rules import Rules
from ..service.settings import ServiceSettings
from .background import BackgroundServer
from .host import Host, HttpFactory
from .http_server import serving

_T = TypeVar("_T")
_HTTP_TIMEOUT = 30.0


def _new_http_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=_HTTP_TIMEOUT)


class Emulator(BackgroundServer):
    """A local emulator of Runware, which needs no key, no credit and no network.

    It behaves like the service, and really upscales, with Lanczos resampling instead of
    Real-ESRGAN. One port serves everything: ``/v1`` is the WebSocket and, for POST, the REST API;
    ``/openapi.json`` describes the REST API; ``/image/…`` serves the results.

    Use it with ``async with`` on asyncio or trio::

        async with Emulator() as emulator:
            client = RunwareClient(api_key=emulator.api_key, url=emulator.url)

    or with ``with`` in a plain thread. It runs in a background thread, so it can be used from any
    event loop, or none.

    Args:
        host: the address to listen on. The key travels in clear text: keep it on loopback.
        port: the port to listen on; 0 for a free one.
        api_key: the key to accept; None for a random one.
        faults: faults to inject; see `runware_ws.emulator.faults`. Their counts are reset by each
            `start`.
        seed: the seed of random faults; None for a random one.
        upscaler: replaces the Lanczos resampling. It is called in a worker thread with the content
            of the image file, the factor, the output format and the quality, and returns the
            content of the result. Results are cached.
        allow_hosts: the hosts to which webhooks and uploads may go, besides this machine; ``"*"``
            for all. Without this limit, any client with the key could make the emulator send
            requests to any host.
        http_client: returns the client for downloads, webhooks and uploads.
        rules: behaviour that Runware does not document.
        settings: the other attributes of `ServiceSettings`, such as `latency` or `credit`.

    Raises:
        TypeError: a setting is unknown, or a fault is not a `Fault`.
        ValueError: a setting is not allowed.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        *,
        faults: Sequence[Fault] = (),
        seed: int | None = None,
        upscaler: UpscaleFunction = upscale,
        allow_hosts: Collection[str] = (),
        http_client: HttpFactory = _new_http_client,
        rules: Rules = Rules(),  # noqa: B008 - it is frozen
        **settings: Any,
    ) -> None:
        super().__init__(host, port)
        self.api_key = api_key or secrets.token_urlsafe(24)
        self.seed = secrets.randbelow(2**32) if seed is None else seed
        self._faults = tuple(faults)
        for fault in self._faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"{fault!r} is not a Fault; pass faults such as Drop(every=10)")
        self._upscaler = upscaler
        self._http_client = http_client
        self._allow_hosts = tuple(allow_hosts)
        self._settings = ServiceSettings(api_key=self.api_key, rules=rules, **settings)
        self._reset()

    @property
    def url(self) -> str:
        """The URL for WebSocket clients. The port is known after `start`."""
        return f"ws://{self._authority}/v1"

    @property
    def http_url(self) -> str:
        """The root URL for HTTP. The REST API is at ``/v1`` below it."""
        return f"http://{self._authority}"

    @property
    def executions(self) -> Counter[str]:
        """The number of times that each task was run, by taskUUID in lower case."""
        return self.inspect(lambda service: Counter(service.history.executions))

    @property
    def requests(self) -> list[ReceivedTask]:
        """The tasks that have arrived, in order. Keys are masked, and long texts are cut."""
        return self.inspect(lambda service: list(service.history.requests))

    @property
    def billed(self) -> float:
        """The cost of all tasks, in US dollars."""
        return self.inspect(lambda service: service.history.billed)

    @property
    def faults_struck(self) -> Counter[str]:
        """The number of times that each kind of fault struck, for example ``{"drop": 3}``."""
        return self._call(lambda: self._injector.struck)

    def inspect(self, view: Callable[[Service], _T]) -> _T:
        """Inspect the service, from any thread, even after it was stopped.

        Args:
            view: a function that reads from the service without changing it, and returns copies.
        """
        return self._call(lambda: view(self._service))

    def __repr__(self) -> str:
        return f"<Emulator {self.url} {self._state}>"

    def _reset(self) -> None:
        """Create a new service without any state."""

        def random_for(place: int) -> Callable[[], float]:
            return random.Random(f"{self.seed}/{place}").random  # noqa: S311 - no secret

        settings = replace(self._settings, image_url=f"{self.http_url}/image")
        self._service = Service(settings, new_uuid=lambda: str(uuid.uuid4()))
        self._injector = FaultInjector(self._service, self._faults, random_for)

    @asynccontextmanager
    async def _serving(self, listening: socket.socket) -> AsyncIterator[None]:
        self._reset()
        host = Host(
            self._injector,
            self._settings,
            http=self._http_client,
            upscaler=self._upscaler,
            allow_hosts=self._allow_hosts,
        )
        try:
            async with serving(host, listening, self._settings.max_frame_bytes):
                yield
        finally:
            await host.aclose()
