"""The client: one long-lived connection, many upscale tasks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable
from types import EllipsisType, TracebackType
from typing import Self, TypeVar, Unpack
from urllib.parse import urlsplit
from uuid import UUID

import anyio
import anyio.to_thread

from .batch import Outcomes, Window, check_images
from .errors import ClientClosedError, InputError
from .events import Events
from .inputs import Image
from .journal.recovery import Recovered, find, take_up
from .memory import keep_large_blocks
from .options import UpscaleOptions, check_names, template_for
from .protocol.reconnector import State
from .protocol.request import is_uuid4
from .results import UpscaleResult
from .runtime.submission import Intake
from .settings import (
    MEBIBYTE,
    Settings,
    check_bool,
    check_journal,
    check_number,
    check_timeout,
    find_key,
    find_url,
)
from .stats import Stats, take_stats
from .task import UpscaleTask
from .transport import require_extra

__all__ = ["RunwareClient"]

AnyImage = TypeVar("AnyImage", bound=Image)
_CLOSE_LIMIT = 5.0


class RunwareClient:
    """A client of the Runware upscale API (Real-ESRGAN) over one persistent WebSocket.

        async with RunwareClient() as client:
            result = await client.upscale(Path("photo.jpg"), upscale_factor=4)
            await result.save("photo-large.jpg")

    It works on asyncio and on trio, may be closed in another task, and reconnects by itself.

    Args:
        api_key: the key; default: the environment variable ``RUNWARE_API_KEY``.
        url: where to connect; default: ``RUNWARE_URL``, else the service [D].
        max_in_flight: how many tasks may be under way at once; `submit` waits above it. The
            service states no limit [?]. Default 64.
        max_in_flight_bytes: how many bytes of encoded input may be held at once. Default 128 MiB.
        max_retries: how often a task is run again after the service said that it failed for a
            cause that may pass, each time under a new taskUUID. Default 2; 0 switches it off.
        timeout: default ``timeout`` of a task, in seconds; None for no limit. Default 300.
        connect_timeout: seconds for one attempt to connect. Default 10.
        auth_timeout: seconds for the reply to the authentication. Default 10.
        keepalive: seconds of silence after which a ping is sent. Default 20; the service closes
            a connection after 120 s of silence [D].
        ping_timeout: seconds of silence after a ping that mean that the connection is dead.
            Default 10.
        max_reconnect_time: seconds without a connection after which the client gives up; None,
            the default, for never.
        max_size: the largest frame that is accepted, in bytes. Default 256 MiB.
        max_tasks_per_frame: how many tasks travel in one frame. Default 100 [?].
        max_frame_bytes: how large a frame of several tasks may get. Default 1 MiB [?].
        allow_insecure: whether ``ws://`` may carry the key to another machine. Default False.
        journal: a file in which tasks survive the process; see `recovered`. Default: none.

    Raises:
        InputError: an argument is wrong, or there is no key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        url: str | None = None,
        max_in_flight: int = 64,
        max_in_flight_bytes: int = 128 * MEBIBYTE,
        max_retries: int = 2,
        timeout: float | None = 300.0,
        connect_timeout: float = 10.0,
        auth_timeout: float = 10.0,
        keepalive: float = 20.0,
        ping_timeout: float = 10.0,
        max_reconnect_time: float | None = None,
        max_size: int = 256 * MEBIBYTE,
        max_tasks_per_frame: int = 100,
        max_frame_bytes: int = MEBIBYTE,
        allow_insecure: bool = False,
        journal: str | os.PathLike[str] | None = None,
    ) -> None:
        try:
            self._key = find_key(api_key)
        finally:
            del api_key  # so that it is in no dump of local variables
        self._settings = Settings(
            url=find_url(url),
            max_in_flight=max_in_flight,
            max_in_flight_bytes=max_in_flight_bytes,
            max_retries=max_retries,
            timeout=timeout,
            connect_timeout=connect_timeout,
            auth_timeout=auth_timeout,
            keepalive=keepalive,
            ping_timeout=ping_timeout,
            max_reconnect_time=max_reconnect_time,
            max_size=max_size,
            max_tasks_per_frame=max_tasks_per_frame,
            max_frame_bytes=max_frame_bytes,
            allow_insecure=allow_insecure,
        )
        check_journal(journal)
        self._journal = journal
        self._intake: Intake | None = None
        self._recovered = Recovered()
        self._opening = anyio.Lock()
        self._closed = False

    # Life.

    async def connect(self) -> None:
        """Open the client; ``async with`` does it too.

        Returns when the first attempt to connect has ended. If it failed for the network's
        sake, the client goes on trying, and what is submitted waits.

        Raises:
            AuthenticationError: the key was refused.
            ConnectionLostError: there was no connection within ``max_reconnect_time``.
            ClientClosedError: the client was closed before or meanwhile; it cannot be opened again.
            JournalError: the journal cannot be used.
            MissingExtraError: it runs on trio, and the extra ``trio`` is not installed.
        """
        try:
            async with self._opening:
                self._refuse_if_closed()
                intake = self._intake or await self._open()
            await intake.driver.first_attempt()
            if intake.session.failure is not None:
                raise intake.session.failure
            self._refuse_if_closed()
        except BaseException:
            await self.aclose()
            raise

    async def _open(self) -> Intake:
        require_extra()
        keep_large_blocks()
        found = None
        if self._journal is not None:
            with anyio.CancelScope(shield=True):  # nobody else would close what is opened there
                found = await anyio.to_thread.run_sync(find, self._journal)
                if self._closed:
                    found.journal.close()
            self._refuse_if_closed()
        intake = Intake(self._settings, self._key, None if found is None else found.journal)
        if found is not None:
            self._recovered = take_up(found, intake, self._settings.timeout)
        self._intake = intake
        return intake

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ClientClosedError("the client is closed, and cannot be opened again: make one")

    async def aclose(self) -> None:
        """Close the client for good. It returns within seconds, also with the network dead.

        Whatever waits fails with `ClientClosedError`, which names the task: `attach` finds it
        again. Closing twice does nothing.
        """
        self._closed = True
        if self._intake is None:
            return
        with anyio.move_on_after(_CLOSE_LIMIT, shield=True):
            await self._intake.driver.close("the client was closed")

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # Tasks.

    async def upscale(self, image: Image, **options: Unpack[UpscaleOptions]) -> UpscaleResult:
        """Upscale an image and wait for the result. Cancelled, the task is given up.

        Args:
            image: see `Image`.
            options: see `UpscaleOptions`.

        Raises:
            InputError: an argument is wrong; nothing was sent.
            TaskError: the service refused the task or failed; see `runware_ws.errors`.
            TaskTimeoutError: it took longer than ``timeout``.
            ResultLostError: the outcome cannot be found out any more.
            ProtocolError: its answer, or the task itself, is larger than a frame may be.
            ConnectionLostError, ClientClosedError, AuthenticationError, JournalError: the client
                ended.
        """
        task = await self._opened().submit(image, options)
        try:
            await task.end()
        except BaseException:
            task.cancel()
            task.when_settled(task.take)  # its result may just have been on its way
            raise
        return task.take_or_raise()

    async def submit(self, image: Image, **options: Unpack[UpscaleOptions]) -> UpscaleTask:
        """Hand an image in; returns when it is on its way or queued for it.

        Waits while ``max_in_flight`` or ``max_in_flight_bytes`` is reached. The image is read
        and encoded after that. Cancelled, nothing was sent.

        Args:
            image: see `Image`.
            options: see `UpscaleOptions`.

        Raises:
            InputError: an argument is wrong, or the image cannot be read; nothing was sent.
            TaskTimeoutError: ``timeout`` passed before it was admitted; nothing was sent.
            ConnectionLostError, ClientClosedError, AuthenticationError, JournalError: the client
                ended.
        """
        return await self._opened().submit(image, options)

    async def attach(
        self, task_uuid: str | UUID, *, timeout: float | EllipsisType | None = ...
    ) -> UpscaleTask:
        """Find a task again by its taskUUID, from any process and after any interruption.

        The service is asked for its result. It settles with `TaskNotFoundError` when the service
        does not know it, or no longer.

        Args:
            task_uuid: the taskUUID.
            timeout: seconds to find it in; default: the client's ``timeout``.

        Raises:
            InputError: `task_uuid` is not a UUID v4.
            TaskTimeoutError: `timeout` passed before it was admitted.
            ConnectionLostError, ClientClosedError, AuthenticationError, JournalError: the client
                ended.
        """
        intake = self._opened()
        name = str(task_uuid).lower()
        if not is_uuid4(name):
            raise InputError("task_uuid", "is not a UUID v4", "pass the task_uuid of a task")
        options = {} if timeout is ... else {"timeout": timeout}
        return await intake.attach(name, options)

    def upscale_many(
        self,
        images: Iterable[AnyImage] | AsyncIterable[AnyImage],
        *,
        max_in_flight: int | None = None,
        ordered: bool = False,
        **options: Unpack[UpscaleOptions],
    ) -> Outcomes[AnyImage]:
        """Upscale many images in flat memory, however many there are.

            async for outcome in client.upscale_many(Path("photos").glob("*.jpg")):
                if outcome.error is None:
                    await outcome.result.save(Path("large") / outcome.source.name)

        An image that fails is an outcome with its error; the rest goes on. When `images` itself
        raises, what was taken from it is still yielded, and then the error is raised. When the
        iteration is left early, what is under way is cancelled; with a journal it goes on, and
        the next process has it from `recovered`.
        Several tasks may share the iteration; when one of them is cancelled in it, it ends for all.

        Args:
            images: a list, a generator, an async generator …; images are taken from it one at a
                time, as others are done and their outcomes taken out here.
            max_in_flight: how many may be taken and not yet yielded; default: the client's.
            ordered: whether outcomes come in the order of `images`; by default as they are done.
            options: see `UpscaleOptions`; they hold for every image. ``timeout`` counts from the
                moment an image is taken. ``task_uuid`` cannot be given.

        Raises:
            InputError: an argument is wrong.
        """
        size = self._settings.max_in_flight if max_in_flight is None else max_in_flight
        check_number("max_in_flight", "int", size)
        check_bool("ordered", ordered)
        if options.get("task_uuid") is not None:
            raise InputError("task_uuid", "cannot name many tasks", "leave it out")
        check_images(images)
        check_names(options, "max_in_flight", "ordered")
        template_for(options)
        check_timeout(options.get("timeout"))
        window: Window[AnyImage] = Window(
            lambda image: self.submit(image, **options),
            size,
            ordered=ordered,
            lasting=self._journal is not None,
        )
        return Outcomes(window, images)

    def recovered(self) -> Recovered:
        """The outcomes of what an earlier process left unfinished in the journal, each once.

            async for outcome in client.recovered():
                ...

        The client finds out about them by itself from the moment it is opened. ``source`` is the
        Path or URL that was given, or None for an image given as bytes. A result leaves the
        journal when the next one is asked for; so do, elsewhere, those of `upscale_many`, and
        others when they are returned.
        """
        return self._recovered

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait until nothing is under way any more.

        Args:
            timeout: seconds to wait at most; None for no limit.

        Returns:
            Whether all is settled; False when `timeout` passed.
        """
        check_timeout(timeout)
        if self._intake is not None:
            with anyio.move_on_after(timeout):
                await self._intake.admission.wait_empty()
            return not self._intake.admission.tasks
        return True

    # The connection.

    async def ping(self) -> float:
        """Seconds that a message takes to the service and back.

        Raises:
            ConnectionLostError: there is no connection, or it was lost meanwhile.
            ClientClosedError, AuthenticationError, JournalError: the client ended.
        """
        return await self._opened().driver.ping()

    def events(self) -> Events:
        """What happens to the connection from now on, as an asynchronous iterator that ends when
        the client is closed: `Event` objects of the kinds ``connected``, ``lost``,
        ``reconciling``, ``key_refused`` and ``closed``. A slow reader misses the oldest.

        Raises:
            ClientClosedError: the client is not open.
        """
        events = Events()
        self._opened().driver.listeners.add(events)
        return events

    @property
    def session_uuid(self) -> str | None:
        """The session that is resumed after a disconnect [D]; None before the first one."""
        return None if self._intake is None else self._intake.session.reconnector.session_uuid

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``authenticating``, ``connected``, ``waiting`` (for the next
        attempt), ``key refused`` (likewise), ``failed`` or ``closed``."""
        if self._intake is not None:
            return self._intake.session.reconnector.state.value
        return State.CLOSED.value if self._closed else State.NEW.value

    def stats(self) -> Stats:
        """A snapshot of what is under way and what has happened so far."""
        return take_stats(self.state, self._intake)

    def __repr__(self) -> str:
        if not hasattr(self, "_intake"):  # shown by the traceback of its own refusal
            return "<RunwareClient refused>"
        where = urlsplit(self._settings.url).hostname
        in_flight = 0 if self._intake is None else self._intake.admission.tasks
        return f"<RunwareClient {where} {self.state}, {in_flight} in flight>"

    def _opened(self) -> Intake:
        if self._intake is None or self._closed:
            reason = "closed" if self._closed else "not open: use `async with` or `connect()`"
            raise ClientClosedError(f"the client is {reason}")
        self._intake.driver.check_open()
        return self._intake
