"""The emulator as a whole: a thread with its own event loop, and a server on one port."""

from __future__ import annotations

import functools
import random
import secrets
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.to_thread

from ..faults.injector import FaultyService
from ..faults.kinds import Fault
from ..service.core import Service
from ..service.history import Seen
from ..service.settings import ServiceSettings
from .host import Host
from .serving import ServerThread, listener

__all__ = ["Emulator"]

_T = TypeVar("_T")


class Emulator:
    """A Runware on this machine: no key to buy, no credit, no network.

    It keeps the promises of the service, and really upscales, though with Lanczos resampling in
    place of Real-ESRGAN. One port has all: ``/v1`` is the WebSocket and, for POST, the REST twin;
    ``/image/…`` serves the results.

    Use it from asyncio or trio::

        async with Emulator() as emulator:
            client = RunwareClient(api_key=emulator.api_key, url=emulator.url)

    or, from a plain thread, with `start` and `stop`. It runs in a thread of its own, so it may be
    used from any event loop, or none.

    Args:
        host: the address to listen on. The key travels in clear text: keep it on loopback.
        port: the port to listen on; 0 takes a free one.
        api_key: the key to accept; by default a random one is made.
        latency: seconds that each upscale takes longer, as if a model were at work.
        workers: how many images are worked on at once; by default one per processor, 8 at most.
        max_frame_bytes: the largest frame that is accepted.
        max_image_bytes: how much of inputs and results is held in memory; the oldest go first.
        faults: what is to go wrong; see `runware_ws.emulator.faults`. With each start they
            begin anew.
        seed: of the faults that are left to chance; by default another one each time.
        settings: the other attributes of `ServiceSettings`; `image_url` is set by itself.

    Raises:
        OSError: on start, when the port cannot be listened on.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        *,
        latency: float = 0.0,
        workers: int | None = None,
        max_frame_bytes: int = 256 * 1024 * 1024,
        max_image_bytes: int = 512 * 1024 * 1024,
        faults: Sequence[Fault] = (),
        seed: int | None = None,
        **settings: Any,
    ) -> None:
        self._address = (host, port)
        self.api_key = api_key or secrets.token_urlsafe(24)
        self._settings = ServiceSettings(api_key=self.api_key, **settings)
        self._make_host = functools.partial(
            Host, latency=latency, workers=workers, max_image_bytes=max_image_bytes
        )
        self._max_frame_bytes = max_frame_bytes
        self._lock = threading.Lock()
        self._faults = tuple(faults)
        for fault in self._faults:
            if not isinstance(fault, Fault):
                raise TypeError(f"{fault!r} is no fault; pass faults such as Drop(every=10)")
        self.seed = secrets.randbelow(2**32) if seed is None else seed
        self._service = self._new_service()
        self._faulty = self._with_faults()
        self._thread: ServerThread | None = None

    # Life

    def start(self) -> None:
        """Start, and return once connections are accepted.

        Started again after `stop`, it has the same port and remembers nothing.
        """
        if self._thread is not None:
            raise RuntimeError("the emulator is running")
        listening = listener(*self._address)
        self._address = (self._address[0], listening.getsockname()[1])
        self._service = self._new_service()
        self._faulty = self._with_faults()
        make_host = functools.partial(self._make_host, self._faulty, self._lock)
        thread = ServerThread(listening, make_host, self._max_frame_bytes)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Close all connections and stop; returns within seconds. May be called again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # What there is to see

    @property
    def url(self) -> str:
        """The address for WebSocket clients; the port is known once it has started."""
        return f"ws://{self._authority}/v1"

    @property
    def http_url(self) -> str:
        """The root for HTTP: the REST twin is ``/v1`` below it."""
        return f"http://{self._authority}"

    @property
    def executions(self) -> Counter[str]:
        """How often each task was run, by taskUUID in lower case: a copy."""
        return self.look(lambda service: Counter(service.record.executions))

    @property
    def requests(self) -> list[Seen]:
        """The tasks that have arrived, in order: a copy. Keys are masked, long texts cut."""
        return self.look(lambda service: list(service.record.requests))

    @property
    def billed(self) -> float:
        """What all tasks have cost, in US dollars."""
        return self.look(lambda service: service.record.billed)

    @property
    def faults_struck(self) -> Counter[str]:
        """How often each kind of fault has struck, for example ``{"drop": 3}``: a copy."""
        with self._lock:
            return self._faulty.struck

    def look(self, view: Callable[[Service], _T]) -> _T:
        """Read from the service, safely from any thread, also after it has stopped.

        Args:
            view: gets the service, must not change it, and returns copies only.
        """
        with self._lock:
            return view(self._service)

    def __repr__(self) -> str:
        state = "running" if self._thread is not None else "stopped"
        return f"<Emulator {self.url} {state}>"

    # Inside

    @property
    def _authority(self) -> str:
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _new_service(self) -> Service:
        settings = replace(self._settings, image_url=f"{self.http_url}/image")
        return Service(settings, new_uuid=lambda: str(uuid.uuid4()))

    def _with_faults(self) -> FaultyService:
        def dice(place: int) -> Callable[[], float]:
            return random.Random(f"{self.seed}/{place}").random  # noqa: S311 - chance, no secret

        return FaultyService(self._service, self._faults, dice)
