"""The way in: from an image and its options to a task in the session, and its outcome back."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from .admission import Admission
from .driver import Driver
from .errors import InputError, RunwareError, TaskTimeoutError
from .handle import UpscaleTask
from .inputs import Image, Source, source_of
from .journal import Journal, Origin, digest
from .options import members_of, new_uuid
from .protocol.session import Session
from .protocol.tasks import Stage, Task
from .protocol.wire import encode_task
from .secret import Secret
from .settings import Settings, check_timeout

__all__ = ["Intake"]


@dataclass(frozen=True, slots=True)
class _Limit:
    """Until when a task must be settled."""

    timeout: float | None
    deadline: float | None

    @contextmanager
    def kept(self, task_uuid: str, obstacle: str) -> Iterator[None]:
        deadline = math.inf if self.deadline is None else self.deadline
        with anyio.CancelScope(deadline=deadline) as scope:
            yield
        if scope.cancelled_caught:
            raise TaskTimeoutError(task_uuid, "queued", self.timeout or 0.0, obstacle)


class Intake:
    """A session on its driver, with a gate before it.

    Args:
        settings: those of the client.
        key: the key.
        journal: where tasks are written down, if anywhere.
    """

    def __init__(self, settings: Settings, key: Secret, journal: Journal | None) -> None:
        self._settings = settings
        self._is_journaled = journal is not None
        self.admission = Admission(settings.max_in_flight, settings.max_in_flight_bytes)
        self.session = Session(
            settings.for_session(journaled=self._is_journaled),
            api_key=key,
            new_uuid=new_uuid,
            dice=random.random,
        )
        self.driver = Driver(self.session, settings.endpoint(), self._settled, journal)

    async def submit(self, image: Image, options: Mapping[str, Any]) -> UpscaleTask:
        """See `RunwareClient.submit`."""
        limit = self._limit(options)
        members = members_of(options)
        task_uuid = members["taskUUID"]
        self._refuse_duplicate(task_uuid)
        source = source_of(image)
        if source.ready is not None and self.admission.try_enter(source.size):
            loaded: str | bytes = source.ready
        else:
            loaded = await self._admit(source, limit, task_uuid)
        with self.admission.given_back_on_error(source.size):
            origin = await self._origin(image, members, loaded) if self._is_journaled else None
            self.driver.check_open()  # it may have been closed meanwhile
            self._refuse_duplicate(task_uuid)
        record = Task(
            task_uuid,
            encode_task(members, loaded),
            owned=options.get("task_uuid") is None,
            polled=members.get("deliveryMethod") == "async" or "webhookURL" in members,
            timeout=limit.timeout,
            deadline=limit.deadline,
            origin=origin,
        )
        task = self._handle(record, source.size)
        self.session.submit(record, self.driver.clock())
        self.driver.changed()
        return task

    async def attach(self, task_uuid: str, options: Mapping[str, Any]) -> UpscaleTask:
        """See `RunwareClient.attach`."""
        known = self.session.tasks.get(task_uuid)
        if known is not None:
            owner: UpscaleTask = known.owner
            return owner
        limit = self._limit(options)
        with limit.kept(task_uuid, "max_in_flight was reached"):
            await self.admission.enter(0)
        with self.admission.given_back_on_error(0):
            self.driver.check_open()
            self._refuse_duplicate(task_uuid)
        return self.take_up(Task(task_uuid, b"", timeout=limit.timeout, deadline=limit.deadline))

    def take_up(self, record: Task) -> UpscaleTask:
        """Find out about a task that the session did not send; its place is taken already."""
        task = self._handle(record, len(record.payload))
        self.session.attach(record, self.driver.clock())
        self.driver.changed()
        return task

    def cancel(self, record: Task) -> None:
        """Give a task up."""
        if record.stage is not Stage.SETTLED:
            self.session.cancel(record)
            self.driver.changed()

    def taken(self, record: Task) -> None:
        """The caller has a task's result; the journal need not keep it any more."""
        if self.driver.scribe is not None:
            self.driver.scribe.forget(record.uuid)

    def _settled(self, record: Task, outcome: dict[str, Any] | RunwareError) -> None:
        size = record.owner.settle(outcome)
        self.admission.leave(size)

    def _handle(self, record: Task, size: int) -> UpscaleTask:
        task = UpscaleTask(record, size, self)
        record.owner = task
        return task

    def _limit(self, options: Mapping[str, Any]) -> _Limit:
        timeout: float | None = options.get("timeout", self._settings.timeout)
        check_timeout(timeout)
        return _Limit(timeout, None if timeout is None else self.driver.clock() + timeout)

    def _refuse_duplicate(self, task_uuid: str) -> None:
        if task_uuid in self.session.tasks:
            remedy = "await the task that there is, or leave it out"
            raise InputError("task_uuid", "is in use by a task under way", remedy)

    async def _admit(self, source: Source, limit: _Limit, task_uuid: str) -> str | bytes:
        """Wait for room, then load the image. On an error, the room is given back."""
        with limit.kept(task_uuid, "max_in_flight was reached"):
            await self.admission.enter(source.size)
        with (
            self.admission.given_back_on_error(source.size),
            limit.kept(task_uuid, "the image was being read"),
        ):
            loaded = await source.load()
        self.admission.resize(source.size, len(loaded))
        source.size = len(loaded)
        return loaded

    @staticmethod
    async def _origin(image: Image, members: Mapping[str, Any], loaded: str | bytes) -> Origin:
        if isinstance(image, Path) and isinstance(loaded, bytes):
            hashed = await anyio.to_thread.run_sync(digest, loaded)
            return Origin(encode_task(members), str(image.absolute()), hashed)
        source = loaded if isinstance(loaded, str) and "://" in loaded[:8] else None
        return Origin(encode_task(members, loaded), source)
