"""Open, close and monitor a client: everything except its tasks."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import anyio

from ..errors import ClientClosedError
from ..events import Events
from ..journal.recovery import Recovered, take_up
from ..protocol.reconnector import ClientState
from ..settings import Settings, check_timeout
from ..stats import Stats, take_stats
from .api_key import ApiKey
from .budget import BudgetedSubmitter
from .concurrency import run_in_thread, uninterruptible
from .download import Downloads
from .observer import GuardedObserver, Observer
from .submission import Submission
from .submitter import Submitter

if TYPE_CHECKING:
    import httpx

    from ..journal.store import Journal

_CLOSE_LIMIT = 3.0


@uninterruptible
class BaseClient:
    """The methods of `RunwareClient` that are about the client itself.

    Args:
        settings: the settings.
        key: the API key.
        journal: path of the journal, or None.
        http_client: the HTTP client for downloads; None for own connections.
    """

    def __init__(
        self,
        settings: Settings,
        key: ApiKey,
        journal: str | os.PathLike[str] | None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._settings = settings
        self._key = key
        self._journal = journal
        self._downloads = Downloads(
            settings.url,
            http_client,
            max_bytes=settings.max_download_bytes,
            timeout=settings.download_timeout,
            connect_timeout=settings.connect_timeout,
            tls=settings.ssl,
        )
        self._submitter: Submitter | None = None
        self._observer: Observer | None = None
        self._recovered = Recovered()
        self._opening = anyio.Lock()
        self._closed = False

    async def connect(self) -> None:
        """Open the client, as ``async with`` does.

        It returns when the first attempt to connect has ended. If that failed because of the
        network, the client keeps trying, and submitted tasks wait.

        Raises:
            AuthenticationError: the key was refused.
            ConnectionLostError: there was no connection within ``max_reconnect_time``.
            ClientClosedError: the client was closed; it cannot be opened again.
            JournalError: the journal cannot be used.
        """
        try:
            async with self._opening:
                self._refuse_if_closed()
                submitter = self._submitter or await self._open()
            await submitter.driver.first_attempt()
            self._refuse_if_closed()
            submitter.driver.check_open()
        except BaseException:
            await self.aclose()
            raise

    async def _open(self) -> Submitter:
        await self._key.ask()
        self._refuse_if_closed()
        if self._journal is None:
            submitter = self._make_submitter(None)
        else:
            submitter = await self._open_journal(self._journal)
        self._downloads.open()
        self._submitter = submitter
        submitter.driver.start()
        return submitter

    def _make_submitter(self, journal: Journal | None) -> Submitter:
        kind = Submitter if self._settings.budget is None else BudgetedSubmitter
        return kind(self._settings, self._key, journal, self._downloads, self._observer)

    async def _open_journal(self, path: str | os.PathLike[str]) -> Submitter:
        from ..journal.store import Journal  # which needs SQLite

        with anyio.CancelScope(shield=True):  # so that a journal that the thread opens is closed
            journal = await run_in_thread(Journal, path)
        try:
            submitter = self._make_submitter(journal)
            self._recovered = await take_up(journal, submitter)
            self._refuse_if_closed()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_in_thread(journal.close)
            raise
        return submitter

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ClientClosedError("the client is closed, and cannot be reopened: make a new one")

    async def aclose(self) -> None:
        """Close the client for good. It returns within seconds, even if the network is down.

        Pending tasks fail with `ClientClosedError`. It contains the taskUUID, with which `attach`
        finds the task again. Closing a client twice, or in a forked process, has no effect.
        """
        submitter = self._submitter
        if submitter is not None and not submitter.session.ended:
            submitter.driver.loop.check(allow_fork=True)
        self._closed = True
        if submitter is None or submitter.driver.loop.is_another_process:
            return
        with anyio.move_on_after(_CLOSE_LIMIT, shield=True):
            await self._downloads.aclose()
            await submitter.driver.close("the client was closed")

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

    def recovered(self) -> Recovered:
        """Iterate over the outcomes of tasks that an earlier process left in the journal.

            async for outcome in client.recovered():
                ...

        Each outcome comes once. The client asks the service about these tasks as soon as it is
        open. ``source`` is the Path or URL of the image, or None if it was passed as bytes. A
        result stays in the journal until it is acknowledged: see `UpscaleResult.ack`.
        """
        return self._recovered

    async def drain(self, timeout: float | None = None) -> bool:
        """Wait until no task is in flight.

        Args:
            timeout: seconds to wait; None for no limit. Default None.

        Returns:
            True if no task is in flight; False if `timeout` passed.
        """
        check_timeout(timeout)
        if self._submitter is not None:
            self._submitter.driver.loop.check()
            with anyio.move_on_after(timeout):
                await self._submitter.admission.wait_empty()
            return not self._submitter.admission.tasks
        return True

    def _observe(self, observer: Observer) -> None:
        self._observer = GuardedObserver(observer)
        if self._submitter is not None:
            self._submitter.observer = self._observer

    # The connection.

    async def ping(self) -> float:
        """Send a ping, and return its round-trip time in seconds.

        Raises:
            ConnectionLostError: there is no connection, or it was lost.
            ClientClosedError, AuthenticationError, JournalError: the client ended.
        """
        return await self._opened().driver.ping()

    def events(self) -> Events:
        """Iterate over the events of the connection from now on, until the client is closed.

        An `Event` has a ``kind``: ``connected``, ``lost``, ``reconciling``, ``key_refused``,
        ``double_run``, ``limit`` or ``closed``. If more than 1000 events are waiting, the oldest
        are dropped.

        Raises:
            ClientClosedError: the client is not open.
        """
        driver = self._opened().driver
        events = Events(driver.loop.check)
        driver.listeners.add(events)
        return events

    @property
    def session_uuid(self) -> str | None:
        """UUID of the session that is resumed after a disconnect; None before the first one."""
        if self._submitter is None:
            return None
        return self._submitter.session.main.reconnector.session_uuid

    @property
    def state(self) -> ClientState:
        """The state of the client.

        ``new``, ``connecting``, ``authenticating``, ``connected``, ``waiting`` (for the next
        attempt to connect), ``key_refused`` (waiting, too), ``failed`` or ``closed``.
        """
        if self._submitter is not None:
            return self._submitter.session.state
        return "closed" if self._closed else "new"

    def stats(self) -> Stats:
        """Return a snapshot of the tasks in flight, and counts since the client was opened."""
        return take_stats(self.state, self._submitter)

    def __repr__(self) -> str:
        if not hasattr(self, "_submitter"):  # its constructor failed, and a traceback shows it
            return "<RunwareClient refused>"
        where = urlsplit(self._settings.url).hostname
        in_flight = 0 if self._submitter is None else self._submitter.admission.tasks
        return f"<RunwareClient {where} {self.state}, {in_flight} in flight>"

    def _opened(self) -> Submitter:
        if self._submitter is None or self._closed:
            reason = "closed" if self._closed else "not open: call connect(), or use a `with` block"
            raise ClientClosedError(f"the client is {reason}")
        self._submitter.driver.check_open()
        return self._submitter

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and self._submitter is not None:
            self._submitter.driver.abandon()

    def _cancel(self, submission: Submission) -> None:
        submitter = self._opened_once()
        submitter.driver.loop.check()
        submitter.cancel(submission)

    def _opened_once(self) -> Submitter:
        """Return the submitter of an earlier task. The client may be closed by now."""
        if self._submitter is None:
            raise RuntimeError("no task was submitted")
        return self._submitter

    def _wait(self, submission: Submission) -> Awaitable[Any]:
        submitter = self._opened_once()
        submitter.driver.loop.check()
        return submitter.wait(submission)

    def _timeout(self, timeout: float | EllipsisType | None) -> float | None:
        if isinstance(timeout, EllipsisType):
            return self._settings.timeout
        check_timeout(timeout)
        return timeout
