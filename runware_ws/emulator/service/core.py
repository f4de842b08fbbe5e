"""The service as a pure state machine, with the behaviour of Runware and without its network.

Nothing here does I/O, reads a clock or draws a random number. The owner of the sockets reports
events (`connect`, `receive`, `disconnect`, `request`, `finished`, `delivered`, `handle_timer`),
each with the time `now`. It then performs the effects that `take_effects` returns, in order, and
calls `handle_timer` at the time that `next_timer` returns.

Invariants:

- A taskUUID is run at most once; a task with a known one is refused with ``conflictTaskUUID``.
  `Rules` can change this.
- An accepted task is run to its end and billed, even if its client has gone. Its outcome is pushed
  once: on the connection with the task's session, or on the one that resumes it.
- An error affects only its task, not the other tasks of the same frame.
- All effects are returned in one list, so that faults can be injected between the service and the
  network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import TypeAlias

from ...errors import ProtocolError
from ...protocol.wire import Item, decode_tasks, encode_answer
from .answers import Answer, HttpCall, RefusedError, error_item, http_status
from .authentication import authenticate, authorized
from .effects import Close, Delivery, Push, Respond, Run, ServiceEffect, Upload, Webhook
from .history import History
from .jobs import Failed, Job, JobOutcome
from .schedule import Schedule
from .sessions import ServiceConnection, ServiceSession, SessionTable
from .settings import ServiceSettings
from .tasks import TaskHandler
from .validation import ValidTask, parse_task

_Scheduled: TypeAlias = ServiceConnection | ServiceSession | Job | Delivery
_AUTHENTICATION: Item = {"taskType": "authentication"}
_MAX_DOUBLINGS = 30  # of a delay, which is capped long before that


class Service:
    """The core of the emulator; see the module's documentation.

    Args:
        settings: its settings.
        new_uuid: returns a new UUID v4.

    Attributes:
        history: the tasks that arrived, and those that were run.
        sessions: the sessions that can be resumed.
    """

    def __init__(self, settings: ServiceSettings, *, new_uuid: Callable[[], str]) -> None:
        self.settings = settings
        self.history = History(settings.max_records)
        self.sessions = SessionTable()
        self._handler = TaskHandler(settings, self.history, new_uuid)
        self._new_uuid = new_uuid
        self._effects: list[ServiceEffect] = []
        self._numbers = count(1)
        self._schedule: Schedule[_Scheduled] = Schedule()

    # Events

    def connect(self, now: float, *, dry_run: bool = False) -> ServiceConnection:
        """Register a new WebSocket connection, and return its handle.

        With `dry_run`, its tasks are checked and priced, but not run.
        """
        connection = ServiceConnection(next(self._numbers), dry_run=dry_run)
        self._touch(connection, now)
        return connection

    def disconnect(
        self, connection: ServiceConnection, now: float, unsent: Iterable[Push] = ()
    ) -> None:
        """Handle the end of a connection, even if the service has closed it.

        `unsent` are the pushes that could not be written. Their results are kept for the session.
        """
        self._release(connection, now)
        if connection.session is not None:
            for push in unsent:
                if push.is_result:
                    self._push_result(connection.session, push.frame, now)

    def receive(self, connection: ServiceConnection, frame: bytes | str, now: float) -> None:
        """Handle a text or binary frame."""
        if not connection.is_open:
            return
        self._touch(connection, now)
        try:
            tasks = decode_tasks(frame)
        except ProtocolError as error:
            self._send(connection, self._unreadable(error), now)
            return
        for answer in self._answers(connection, tasks, now):
            self._send(connection, answer, now)

    def request(
        self, body: bytes, key: str | None, now: float, *, dry_run: bool = False
    ) -> HttpCall:
        """Handle an HTTP request. It is answered with one `Respond`.

        A request with an invalid task is refused as a whole, so that it can be corrected and sent
        again. Later errors affect single tasks; see `http_status`. The key is the bearer token, if
        there is one; else the first task must be an authentication.
        """
        call = HttpCall(dry_run=dry_run)
        try:
            tasks = authorized(decode_tasks(body), key, self.settings)
        except ProtocolError as error:
            call.add(self._unreadable(error))
        except RefusedError as refused:
            call.add(self._refusal(refused, _AUTHENTICATION))
        else:
            self._take_call(call, tasks, now)
        self._respond_if_complete(call)
        return call

    def hang_up(self, call: HttpCall) -> None:
        """Handle the disconnect of an HTTP client. Its tasks continue."""
        call.is_open = False

    def finished(self, job: Job, outcome: JobOutcome, now: float) -> None:
        """Handle the outcome of a job. A second report for the same job is ignored."""
        if job.state != "processing":
            return
        job.forget_at = now + self.settings.task_memory
        self._schedule.set(job, now + self.settings.result_lifetime(job.options))
        for forgotten in self._handler.settle(job, outcome):
            self._schedule.discard(forgotten)
        if isinstance(endpoint := job.options.get("uploadEndpoint"), str) and job.answer:
            self._effects.append(Upload(endpoint, job.task_uuid, job.image_uuid))
        if isinstance(url := job.options.get("webhookURL"), str):
            self._effects.append(Webhook(url, job.task_uuid, self._handler.webhook_body(job)))
        if job.awaited:
            self._deliver(job, job.outcome(), now)
        job.owner = None  # the job is kept for long, and must not keep its session

    def delivered(self, delivery: Delivery, accepted: bool, now: float) -> None:
        """Handle the outcome of a webhook or upload, and retry it if it was not accepted.

        A status of 2xx accepts it.
        """
        if accepted:
            return
        if delivery.attempt >= self.settings.webhook_attempts:
            self.history.webhooks_failed.append(delivery.task_uuid)
            return
        doublings = min(delivery.attempt - 1, _MAX_DOUBLINGS)
        delay = min(self.settings.webhook_delay * 2**doublings, self.settings.webhook_delay_max)
        self._schedule.set(replace(delivery, attempt=delivery.attempt + 1), now + delay)

    def expire_session(self, uuid: str) -> None:
        """Expire a session now. Its connection remains usable."""
        if session := self.sessions.find(uuid):
            self._schedule.discard(session)
            self.sessions.forget(session)

    def find(self, task_uuid: str) -> Job | None:
        """Return the job of a task (read-only); None if it is unknown."""
        return self._handler.jobs.find(task_uuid)

    # Time

    def next_timer(self) -> float | None:
        """Return the time at which to call `handle_timer`; None if nothing is pending."""
        return self._schedule.first()

    def handle_timer(self, now: float) -> None:
        """Perform everything that is due by `now`."""
        for due in self._schedule.pop_due(now):
            match due:
                case ServiceConnection():
                    self._close(due, "no message for too long", now)
                case ServiceSession():
                    self.sessions.forget(due)
                case Job(state="processing"):
                    self._stop_waiting(due, now)
                case Job():
                    self._expire(due, now)
                case Webhook() | Upload():
                    self._effects.append(due)

    def take_effects(self) -> list[ServiceEffect]:
        """Return the effects since the last call, in order."""
        effects, self._effects = self._effects, []
        return effects

    # Tasks of a WebSocket connection

    def _answers(
        self, connection: ServiceConnection, tasks: list[Item], now: float
    ) -> Iterable[Answer]:
        """Handle the tasks of one frame, and return the answers that are known at once.

        Acknowledgments share a frame, and so do answers to `getResponse`.
        """
        groups: dict[object, Answer] = {}
        for task in tasks:
            self.history.add_request(now, connection.number, task)
            answer = self._answer(connection, task, now)
            if answer is None:
                continue
            group = answer.group or answer  # an answer without a group is one of its own
            if group in groups:
                groups[group].extend(answer)
            else:
                groups[group] = answer
        return groups.values()

    def _answer(self, connection: ServiceConnection, task: Item, now: float) -> Answer | None:
        try:
            if task.get("taskType") == "authentication":
                self._authenticate(connection, task, now)
                return None
            if connection.session is None:
                raise RefusedError("missingApiKey", "Authenticate first.", "apiKey")
            valid = self._parse(task)
            return self._handle(valid, connection.session, now, dry_run=connection.dry_run)
        except RefusedError as refused:
            return self._refusal(refused, task)

    def _parse(self, task: Item) -> ValidTask:
        return parse_task(task, accepts_uuid7=self.settings.rules.accepts_uuid7)

    def _handle(
        self, task: ValidTask, owner: ServiceSession | HttpCall, now: float, *, dry_run: bool
    ) -> Answer | None:
        """Handle a valid task, and return its answer; None if that comes later."""
        answer, job = self._handler.handle(task, owner, now, dry_run=dry_run)
        if job is not None:
            if job.awaited:
                self._schedule.set(job, now + self.settings.sync_wait)
            self._effects.append(Run(job))
        return answer

    def _authenticate(self, connection: ServiceConnection, task: Item, now: float) -> None:
        """Give a connection its session, and send the results that the session missed."""
        uuid = authenticate(task, self.settings)
        session = self._resumed(connection, uuid)
        if session is None:
            self._close(connection, "the session is unknown", now)
            return
        if session.connection is not None and session.connection is not connection:
            self._close(session.connection, "the session was resumed elsewhere", now)
        if connection.session is not session:
            self._detach(connection, now)
        self._schedule.discard(session)
        session.connection, connection.session = connection, session
        missed = [Push(connection, frame, is_result=True) for frame in session.take_missed()]
        if self.settings.rules.replay == "before":
            self._effects += missed
        item = _AUTHENTICATION | {"connectionSessionUUID": session.uuid}
        self._send(connection, Answer([item]), now)
        if self.settings.rules.replay == "after":
            self._effects += missed

    def _resumed(self, connection: ServiceConnection, uuid: str) -> ServiceSession | None:
        """Return the requested session, else that of the connection, else a new one.

        Return None if the connection must be closed instead.
        """
        session = self.sessions.find(uuid) if uuid else connection.session
        if session is not None and session.is_known:
            return session
        rule = self.settings.rules.unknown_session if uuid else "new"
        if rule == "error":
            message = "The session has expired or is unknown."
            parameter = "connectionSessionUUID"
            raise RefusedError("invalidConnectionSessionUUID", message, parameter)
        if rule == "close":
            return None
        return self.sessions.add(uuid if rule == "same" else self._new_uuid())

    # Tasks of an HTTP request

    def _take_call(self, call: HttpCall, tasks: list[Item], now: float) -> None:
        valid: list[ValidTask] = []
        refusals: list[Answer] = []
        for task in tasks:
            self.history.add_request(now, 0, task)
            try:
                valid.append(self._parse(task))
            except RefusedError as refused:
                refusals.append(self._refusal(refused, task))
        for refusal in refusals:
            call.add(refusal)
        for valid_task in () if refusals else valid:
            self._take_call_task(call, valid_task, now)

    def _take_call_task(self, call: HttpCall, task: ValidTask, now: float) -> None:
        try:
            answer = self._handle(task, call, now, dry_run=call.dry_run)
        except RefusedError as refused:
            answer = self._refusal(refused, task.task)
        if answer is not None:
            call.add(answer)

    def _respond_if_complete(self, call: HttpCall) -> None:
        if not call.is_complete or not call.is_open:
            return
        call.is_open = False
        answer = call.answer()
        status = http_status(answer.errors, any_data=bool(answer.data))
        body = encode_answer(answer.data if status == 200 else None, answer.errors or None)
        self._effects.append(Respond(call, status, body))

    # Outcomes

    def _deliver(self, job: Job, answer: Answer, now: float) -> None:
        """Pass the answer to a job to its owner, which does not wait for it any more."""
        job.awaited = False
        if isinstance(job.owner, HttpCall):
            job.owner.fill(job, answer)
            self._respond_if_complete(job.owner)
        elif job.owner is not None:
            self._push_result(job.owner, self._handler.frame(job, answer), now)

    def _push_result(self, session: ServiceSession, frame: bytes, now: float) -> None:
        """Push a result on the session's connection, or keep it until there is one."""
        if session.connection is not None:
            self._push(session.connection, frame, now, is_result=True)
        elif session.is_known:
            session.keep(frame, self.settings.max_result_bytes)

    def _expire(self, job: Job, now: float) -> None:
        """Forget a finished job, or its result first if that is kept for a shorter time."""
        if now >= job.forget_at:
            self._handler.jobs.forget(job)
            return
        if job.state == "success":
            self._handler.jobs.expire(job)
        self._schedule.set(job, job.forget_at)

    def _stop_waiting(self, job: Job, now: float) -> None:
        """End the wait for a synchronous task. The task continues, and can be polled."""
        job.awaited = False
        if self.settings.rules.sync_wait_ends == "error" or isinstance(job.owner, HttpCall):
            failed = Failed("timeout", "The task takes longer than a synchronous wait.")
            job.last_error = self._handler.error(job, failed)
            self._deliver(job, Answer(errors=[job.last_error]), now)

    # Frames

    def _refusal(self, refused: RefusedError, task: Item) -> Answer:
        name_task = self.settings.rules.names_task(refused.code)
        return Answer(errors=[error_item(refused, task, name_task=name_task)])

    def _unreadable(self, error: ProtocolError) -> Answer:
        return self._refusal(RefusedError("invalidRequest", f"Invalid request: {error}."), {})

    def _send(self, connection: ServiceConnection, answer: Answer, now: float) -> None:
        data = None if answer.errors and not answer.data else answer.data
        self._push(connection, encode_answer(data, answer.errors or None), now)

    def _push(
        self, connection: ServiceConnection, frame: bytes, now: float, *, is_result: bool = False
    ) -> None:
        self._touch(connection, now)  # messages that the service sends count as well
        self._effects.append(Push(connection, frame, is_result))

    def _touch(self, connection: ServiceConnection, now: float) -> None:
        self._schedule.set(connection, now + self.settings.idle_timeout)

    def _close(self, connection: ServiceConnection, reason: str, now: float) -> None:
        self._effects.append(Close(connection, 1000, reason))
        self._release(connection, now)

    def _release(self, connection: ServiceConnection, now: float) -> None:
        connection.is_open = False
        self._schedule.discard(connection)
        self._detach(connection, now)

    def _detach(self, connection: ServiceConnection, now: float) -> None:
        """Detach the session from a connection. It expires unless it is resumed."""
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
            if session.is_known:
                self._schedule.set(session, now + self.settings.session_memory)
