"""The way in: from an image and its options to a task in the session, and its outcome back."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from ..errors import InputError, RunwareError, TaskTimeoutError
from ..inputs import Image, Source, source_of
from ..journal.store import Journal, Origin, digest
from ..options import RequestTemplate, new_uuid, template_for
from ..protocol.secret import Secret
from ..protocol.session import Session
from ..protocol.tasks import Stage, Task
from ..settings import Settings, check_timeout
from ..task import UpscaleTask
from .admission import Admission
from .concurrency import off_loop
from .driver import Driver

__all__ = ["Intake"]


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
            rng=random.random,
        )
        self.driver = Driver(self.session, settings.endpoint(), self._settled, journal)

    async def submit(self, image: Image, options: Mapping[str, Any]) -> UpscaleTask:
        """See `RunwareClient.submit`."""
        timeout, deadline = self._limit(options)
        template = template_for(options)
        task_uuid = template.task_uuid or new_uuid()
        self._refuse_used(template.task_uuid)
        source = source_of(image)
        origin = None
        loaded: str | bytes | None = source.ready
        if loaded is None or not self.admission.try_enter(source.size):
            loaded = await self._load(source, task_uuid, timeout, deadline)
            with self.admission.given_back_on_error(source.size):
                if self._is_journaled:
                    origin = await self._origin(image, template, task_uuid, loaded)
                self.driver.check_open()  # it may have been closed meanwhile
                self._refuse_used(template.task_uuid)
        elif self._is_journaled:
            origin = _origin_without_file(loaded)
        payload = template.encode(task_uuid, loaded)
        if origin is not None and not origin.digest:
            origin.request = payload  # it can be large: one copy is enough
        record = Task(
            task_uuid,
            payload,
            owned=not template.task_uuid,
            polled=template.polled,
            timeout=timeout,
            deadline=deadline,
            origin=origin,
        )
        task = self._handle(record, source.size)
        self.session.submit(record, self.driver.clock())
        self.driver.changed()
        return task

    async def attach(self, task_uuid: str, options: Mapping[str, Any]) -> UpscaleTask:
        """See `RunwareClient.attach`."""
        if (known := self._under_way(task_uuid)) is not None:
            return known
        timeout, deadline = self._limit(options)
        with _in_time(task_uuid, timeout, deadline, "max_in_flight was reached"):
            await self.admission.enter(0)
        with self.admission.given_back_on_error(0):
            self.driver.check_open()
        if (known := self._under_way(task_uuid)) is not None:
            self.admission.leave(0)
            return known
        return self.take_up(Task(task_uuid, b"", timeout=timeout, deadline=deadline))

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
        if self.driver.writer is not None and record.origin is not None:
            self.driver.writer.forget(record.uuid)
            record.origin = None  # once: later, the UUID may be another task's

    def _settled(self, record: Task, outcome: dict[str, Any] | RunwareError) -> None:
        size = record.owner.settle(outcome)
        self.admission.leave(size)

    def _handle(self, record: Task, size: int) -> UpscaleTask:
        task = UpscaleTask(record, size, self)
        record.owner = task
        return task

    def _limit(self, options: Mapping[str, Any]) -> tuple[float | None, float | None]:
        """The timeout of a task, and until when it must be settled."""
        timeout = self._settings.timeout
        if "timeout" in options:
            timeout = options["timeout"]
            check_timeout(timeout)
        return timeout, None if timeout is None else self.driver.clock() + timeout

    def _under_way(self, task_uuid: str) -> UpscaleTask | None:
        """The task under way of this name, which may be the one before it was run again."""
        record = self.session.tasks.get(task_uuid)
        if record is None and self.session.renamed:
            renamed = self.session.renamed.items()
            record = next((task for task, given in renamed if given == task_uuid), None)
        return None if record is None else record.owner

    def _refuse_used(self, task_uuid: str) -> None:
        if not task_uuid:  # it is going to have one of ours
            return
        self.driver.changed()  # an answer may have come that is not carried out yet
        if self._under_way(task_uuid) is not None:
            remedy = "await the task that there is, or leave it out"
            raise InputError("task_uuid", "is in use by a task under way", remedy)
        if self.driver.writer is not None and task_uuid in self.driver.writer.untaken:
            remedy = "await its task, or take it from recovered()"
            raise InputError("task_uuid", "is that of a result in the journal", remedy)

    async def _load(
        self, source: Source, task_uuid: str, timeout: float | None, deadline: float | None
    ) -> str | bytes:
        """Wait for room, then load the image. On an error, the room is given back."""
        with _in_time(task_uuid, timeout, deadline, "max_in_flight was reached"):
            await self.admission.enter(source.size)
        with (
            self.admission.given_back_on_error(source.size),
            _in_time(task_uuid, timeout, deadline, "the image was being read"),
        ):
            loaded = await source.load()
        self.admission.resize(source.size, len(loaded))
        source.size = len(loaded)
        return loaded

    @staticmethod
    async def _origin(
        image: Image, template: RequestTemplate, task_uuid: str, loaded: str | bytes
    ) -> Origin:
        if isinstance(image, Path) and isinstance(loaded, bytes):
            hashed = await off_loop(digest, loaded, len(loaded))
            return Origin(template.encode(task_uuid, None), str(image.absolute()), hashed)
        return _origin_without_file(loaded)


def _origin_without_file(loaded: str | bytes) -> Origin:
    return Origin(b"", loaded if isinstance(loaded, str) and "://" in loaded[:8] else None)


@contextmanager
def _in_time(
    task_uuid: str, timeout: float | None, deadline: float | None, obstacle: str
) -> Iterator[None]:
    with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise TaskTimeoutError(task_uuid, "queued", timeout or 0.0, obstacle)
