"""Turn images into tasks of the session, and their outcomes into results for the callers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from ..errors import ClientClosedError, InputError, RunwareError
from ..inputs import Image, Source, source_of
from ..options import RequestTemplate, check_priority, encode_tag, new_uuid
from ..protocol.session import Session
from ..protocol.tasks import Stage, Task
from ..protocol.wire import encode_task
from ..results import UpscaleResult
from ..settings import Settings
from .admission import Admission, time_limit
from .api_key import ApiKey
from .concurrency import LARGE_BYTES, Waiter, run_off_loop
from .download import Downloads
from .driver import Driver
from .observer import Observer
from .submission import Submission
from .task_names import TaskNames

if TYPE_CHECKING:
    from ..journal.origin import Origins
    from ..journal.store import Journal
    from .references import References

_TINY_BYTES = 4 * 1024
_AT_GATE = "max_in_flight or max_in_flight_bytes was reached, or large images are being sent"


class Submitter:
    """Admits, reads and encodes images and hands them to the session as tasks.

    Args:
        settings: the client's settings.
        key: the API key.
        journal: the journal for tasks, or None.
        downloads: downloads the results.
        observer: receives notifications of each task; or None.
    """

    def __init__(
        self,
        settings: Settings,
        key: ApiKey,
        journal: Journal | None,
        downloads: Downloads,
        observer: Observer | None = None,
    ) -> None:
        self._settings = settings
        self.downloads = downloads
        self._key = key.secret
        self._origins: Origins | None = None
        self._references: References | None = None
        if journal is not None:  # most programs need neither, so they do not import it
            from ..journal.origin import Origins

            self._origins = Origins(journal)
        elif settings.reuse_inputs:
            from .references import References

            self._references = References()
        self.session = session = Session(
            settings,
            api_key=key.secret,
            new_uuid=new_uuid,
            rng=random.random,
            journaled=journal is not None,
        )
        self.admission = Admission(
            settings.max_in_flight, settings.max_in_flight_bytes, lambda: session.connections
        )
        self.observer = observer
        self.driver = Driver(
            self.session,
            settings,
            self._settled,
            self._retried,
            self._sending,
            key=key,
            journal=journal,
        )
        self._new_waiter = self.driver.loop.new_waiter

    async def submit(
        self,
        image: Image,
        template: RequestTemplate,
        *,
        task_uuid: str | UUID | None = None,
        idempotency_key: str | None = None,
        timeout: float | None,
        tag: Any = None,
        priority: int = 0,
        is_awaited: bool = False,
    ) -> Submission:
        """Submit an image once there is room for it; see `RunwareClient.submit`.

        Args:
            is_awaited: whether the caller waits for the result, and so may wait for admission too.
        """
        if priority:
            check_priority(priority)
        encoded_tag = None if tag is None else encode_tag(tag)
        began = self.driver.clock()
        names = None
        if task_uuid is not None or idempotency_key is not None:
            names = TaskNames(task_uuid, idempotency_key, template, self._key)
            if (known := self._already_named(names)) is not None:
                return known.shared()
            if self._is_unacknowledged(names):
                return await self.attach(names.uuid, timeout)
        source = source_of(image)
        if self._settings.max_input_bytes is not None:
            self._check_size(source.size)
        uuid = new_uuid() if names is None else names.uuid
        submission = Submission(uuid, b"", timeout, began)
        submission.owned = task_uuid is None
        submission.polled = template.polled
        submission.priority = priority
        submission.tag = tag
        submission.began = began
        # Named before there are many: CPython makes a dict for each object of a class that gets an
        # attribute which none had.
        submission.waiter = submission.outcome = None
        if names is None and self._references is None and source.is_quick:
            if source.is_read:
                # Others run between two files. A caller that waits for the result lets them run.
                await (checkpoint_if_cancelled() if is_awaited else checkpoint())
                self.driver.check_open()
            if self.admission.try_enter(source.size) or self._may_exceed(source, is_awaited):
                self._encode(submission, image, source, template, encoded_tag)
                self._hand_in(submission, source.size, began, template.has_large_answer)
                return submission
        return await self._submit_later(
            submission, image, source, template, names=names, tag=encoded_tag
        )

    def _may_exceed(self, source: Source, is_awaited: bool) -> bool:
        """Enter above the limit if that does no harm.

        A caller that waits for the result of a tiny input may, unless others are waiting: it holds
        no more memory then than while it waits for admission.
        """
        if source.size > _TINY_BYTES or not is_awaited or source.is_read or self.admission.waiting:
            return False
        self.admission.enter_anyway(source.size)
        return True

    def _encode(
        self,
        submission: Submission,
        image: Image,
        source: Source,
        template: RequestTemplate,
        tag: bytes | None,
    ) -> None:
        """Encode a small image that was admitted."""
        head, tail = template.before_image(submission.uuid), template.tail
        try:
            submission.payload = source.encode(head, tail)
            if source.is_read:
                self._correct_size(source, len(submission.payload) - len(head) - len(tail))
            if self._origins is not None:
                submission.origin = self._origins.make(submission, image, template, tag)
        except BaseException:
            self.admission.leave(source.size)
            raise

    async def _submit_later(
        self,
        submission: Submission,
        image: Image,
        source: Source,
        template: RequestTemplate,
        *,
        names: TaskNames | None,
        tag: bytes | None,
    ) -> Submission:
        """Submit an image that may have to wait for admission, a thread, or its name."""
        if names is not None:
            names.check(source)
        if not self.admission.try_enter(source.size):
            with _time_limit(submission, _AT_GATE):
                await self.admission.enter(source.size, submission.priority)
        with self.admission.given_back_on_error(source):
            if source.is_quick and source.size < LARGE_BYTES:
                await self._read(submission, source, template, names)
            else:  # a thread reads it, or computes its hash
                with _time_limit(submission, "the image was being read"):
                    await self._read(submission, source, template, names)
            if self._origins is not None:
                make = partial(self._origins.make, submission, image, template)
                hashed_bytes = source.size if source.is_read else 0
                submission.origin = await run_off_loop(make, tag, hashed_bytes)
            self.driver.check_open()  # it may have been closed meanwhile
            known = None if names is None else self._already_named(names)
        if known is not None or (names is not None and self._is_unacknowledged(names)):
            self.admission.leave(source.size)
            uuid, timeout = submission.uuid, submission.timeout
            return known.shared() if known else await self.attach(uuid, timeout)
        self._hand_in(submission, source.size, self.driver.clock(), template.has_large_answer)
        return submission

    async def _read(
        self,
        submission: Submission,
        source: Source,
        template: RequestTemplate,
        names: TaskNames | None,
    ) -> None:
        """Read and encode an admitted image. The name of the task may be derived from it."""
        head, tail = template.before_image(submission.uuid), template.tail
        if not source.is_quick:
            payload = await source.encode_in_thread(head, tail)
        else:
            if source.is_read:
                await checkpoint()
            payload = source.encode(head, tail)
        if names is not None:
            payload = await names.complete(payload, len(head), len(tail))
            submission.uuid = submission.wire_uuid = names.uuid
            submission.uuid_of_attempt = names.uuid_of_attempt
        self._correct_size(source, len(payload) - len(head) - len(tail))
        # Other processes derive the same UUIDs from a key, so they cannot depend on this process.
        if self._references is not None and source.has_content and not submission.uuid_of_attempt:
            payload, reuse = await self._references.shorten(payload, len(head), len(tail))
            submission.content, submission.inline = reuse
        submission.payload = payload

    def _already_named(self, names: TaskNames) -> Submission | None:
        """Return the task in flight for the same job, if there is one.

        Raises:
            InputError: another task has the caller's UUID.
        """
        if names.uuid_of_attempt is not None and (known := self._in_flight(names.uuid)):
            return known
        if not self._is_unacknowledged(names):
            self._refuse_used(names.uuid)
        return None

    def _is_unacknowledged(self, names: TaskNames) -> bool:
        """Return whether the result of an earlier process for this job is still in the journal.

        The service returns it again.
        """
        writer = self.driver.writer
        return (
            names.uuid_of_attempt is not None
            and writer is not None
            and names.uuid in writer.unacknowledged
        )

    async def run(
        self, members: dict[str, Any], wanted: int, timeout: float | None
    ) -> list[dict[str, Any]]:
        """Run a task that is not an upscale task; see `RunwareClient.run`."""
        uuid, payload = members["taskUUID"], encode_task(members)
        submission = Submission(uuid, payload, timeout, self.driver.clock())
        submission.wanted = wanted
        submission.polled = members.get("deliveryMethod") == "async" or "webhookURL" in members
        submission.size = len(payload)
        with _time_limit(submission, _AT_GATE):
            await self.admission.enter(submission.size)
        with self.admission.given_back_on_error(submission):
            self.driver.check_open()
            self._refuse_used(uuid)
        self._hand_in(submission, submission.size, self.driver.clock())
        try:
            await self.wait(submission)
        except BaseException:
            self.cancel(submission)
            raise
        results: list[dict[str, Any]] = submission.result().raw["data"]
        return results

    async def attach(self, task_uuid: str, timeout: float | None) -> Submission:
        """Find a task by its UUID; see `RunwareClient.attach`."""
        if (known := self._in_flight(task_uuid)) is not None:
            return known
        submission = Submission(task_uuid, b"", timeout, self.driver.clock())
        with _time_limit(submission, _AT_GATE):
            await self.admission.enter(0)
        known = self._in_flight(task_uuid)
        if known is not None or self.session.ended:
            self.admission.leave(0)
            self.driver.check_open()
        if known is not None:
            return known
        self.take_up(submission)
        return submission

    def take_up(self, submission: Submission) -> None:
        """Ask the service about a task that this session did not send. It is admitted already."""
        self.session.attach(submission, self.driver.clock())
        if self.observer is not None:
            self.observer.submitted(submission, 0.0)
        self.driver.step()

    def wait(self, submission: Submission) -> Waiter:
        """Return a waiter for the end of a task. Cancelling it does not cancel the task."""
        waiter = self._new_waiter()
        submission.wake_when_settled(waiter)
        return waiter

    async def recorded(self, submission: Submission) -> None:
        """Wait until a task that was just submitted is recorded in the journal, if there is one.

        If that fails, takes longer than the task's timeout, or is cancelled, the task is given up.
        """
        if self.driver.writer is None:
            return
        try:
            with _time_limit(submission, "the journal is being written"):
                await self.driver.writer.flush()
        except BaseException:
            self.cancel(submission)
            raise

    def cancel(self, submission: Submission) -> None:
        """Cancel a task, unless another caller waits for the same job."""
        if submission.sharers:
            submission.sharers -= 1
        elif submission.stage is not Stage.SETTLED:
            self.session.cancel(submission)
            self.driver.step()

    def abandon(self, submission: Submission) -> None:
        """Cancel a task, and discard its result if it came already."""
        was_shared = submission.sharers > 0
        self.cancel(submission)
        if not was_shared:
            submission.when_settled(submission.discard)

    def forget(self, uuid: str) -> None:
        """Remove a task from the journal, because its result was acknowledged."""
        if self.driver.writer is not None:
            self.driver.writer.forget(uuid)

    def _settled(self, task: Any, outcome: dict[str, Any] | RunwareError) -> None:
        submission: Submission = task
        began = submission.began
        seconds = None if began is None else self.driver.clock() - began
        try:
            if isinstance(outcome, dict):
                result = UpscaleResult(
                    submission.uuid, outcome, submission.attempts, seconds, self.downloads
                )
                result.tag = submission.tag
                if submission.former_uuids:
                    result._attempt_uuids = submission.attempt_uuids
                if submission.origin is not None:  # it is in the journal
                    result._on_ack = partial(self.forget, submission.uuid)
                submission.finish(result)
            else:
                submission.finish(outcome)
        except Exception as error:
            bug = ClientClosedError(f"a bug in runware_ws: {type(error).__name__}", task.uuid)
            submission.finish(bug)
            raise
        finally:
            self.admission.leave(submission.size, submission.is_sent)
        if self._references is not None and submission.content:
            self._references.settled(submission)
        if self.observer is not None:
            self.observer.settled(submission, seconds)

    def _retried(self, task: Task, code: str) -> None:
        if self.observer is not None:
            self.observer.retried(cast(Submission, task), code)

    def _sending(self, tasks: Sequence[Task]) -> None:
        if not self.admission.unsent_tasks:
            return  # small ones are many, and not worth a mark
        for submission in cast(Sequence[Submission], tasks):
            if not submission.is_sent:
                submission.is_sent = True
                self.admission.sent(submission.size)

    def _hand_in(
        self, submission: Submission, size: int, now: float, has_large_answer: bool = False
    ) -> None:
        """Hand a task that was admitted with `size` bytes to the session."""
        submission.size = size
        is_large = len(submission.payload) > self._settings.max_frame_bytes
        submission.bulk = has_large_answer or is_large
        self.session.submit(submission, now)
        if self.observer is not None:
            self.observer.submitted(submission, now - (submission.began or now))
        self.driver.step()

    def _in_flight(self, task_uuid: str) -> Submission | None:
        return cast("Submission | None", self.session.find(task_uuid))

    def _refuse_used(self, task_uuid: str) -> None:
        self.driver.step()  # an answer may have come whose effects are not performed yet
        if self._in_flight(task_uuid) is not None:
            remedy = "await the task that there is, or leave it out"
            raise InputError("task_uuid", "is in use by a task in flight", remedy)
        if self.driver.writer is not None and task_uuid in self.driver.writer.unacknowledged:
            remedy = "await its task, or take it from recovered()"
            raise InputError("task_uuid", "is that of a result in the journal", remedy)

    def _check_size(self, size: int) -> None:
        """Raise InputError if the service is known to refuse inputs of this size."""
        limit = self._settings.max_input_bytes
        if limit is not None and size >= limit:
            problem = f"has {size} bytes in base64, and the service refuses {limit} (profile)"
            raise InputError("image", problem, "pass a smaller image, or its URL")

    def _correct_size(self, source: Source, size: int) -> None:
        """Replace the estimated size of an admitted image by its true size."""
        if size != source.size:
            self._check_size(size)
            self.admission.resize(source.size, size)
            source.size = size


def _time_limit(submission: Submission, obstacle: str) -> AbstractContextManager[None]:
    return time_limit(submission.uuid, submission.timeout, submission.deadline, obstacle)
