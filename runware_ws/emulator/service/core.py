"""A Runware without its network: the promises of the service as a pure state machine.

Nothing here does I/O, reads a clock or draws a random number. Whoever has the sockets tells the
service what happened (`connect`, `receive`, `disconnect`, `request`, `finished`, `called`,
`handle_timer`), each time with the time `now`, and then performs what `take_effects` gives, in
that order. `next_timer` says when the service wants to be called again.

What holds at any time:

- A taskUUID is run at most once; sent again it is refused with ``conflictTaskUUID`` [S].
- A task that was accepted is run to its end and billed, whoever has gone meanwhile [S]. Its
  result is pushed once: to the connection that has the task's session, or, when there is none
  for up to 120 s, to the one that resumes it [D].
- An error is scoped to its task [D].
- Every effect leaves through one list, so faults can be put between the service and the world
  without the service knowing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

from ...errors import ProtocolError
from ...protocol.wire import Item, decode_tasks, encode_answer
from .answers import Refusal, complaint, status_of
from .calls import Call
from .effects import Close, Effect, Push, Respond, Run, Upload, Webhook
from .history import Record
from .jobs import Failed, Job, Outcome
from .replies import Answer
from .retries import Retries
from .schedule import Deadlines
from .sessions import Link, Session, SessionBook
from .settings import ServiceSettings
from .tasks import Desk
from .validation import check_authentication

__all__ = ["Service"]


class Service:
    """The core of the emulator; see the module's text.

    Args:
        settings: what it does where the facts are unknown.
        new_uuid: makes a UUID v4, in its usual form.

    Attributes:
        record: what was asked and what was run.
        sessions: the sessions that are known.
    """

    def __init__(self, settings: ServiceSettings, *, new_uuid: Callable[[], str]) -> None:
        self.settings = settings
        self.record = Record(settings.max_records)
        self.sessions = SessionBook(settings.session_memory)
        self._desk = Desk(settings, self.record, new_uuid)
        self._new_uuid = new_uuid
        self._effects: list[Effect] = []
        self._links = count(1)
        self._idle: Deadlines[Link] = Deadlines(settings.idle_timeout)
        self._waits: Deadlines[Job] = Deadlines(settings.sync_wait)
        self._retries = Retries(
            settings.webhook_attempts, settings.webhook_delay, settings.webhook_delay_max
        )

    # What happens outside

    def connect(self, now: float) -> Link:
        """A WebSocket connection was opened."""
        link = Link(next(self._links))
        self._idle.set(link, now)
        return link

    def disconnect(self, link: Link, now: float, unsent: Iterable[Push] = ()) -> None:
        """The connection has ended.

        Args:
            link: the connection; nothing happens if it was closed before.
            now: the time.
            unsent: pushes that were taken but not written. The results among them count as
                undelivered, and wait for the session to be resumed [?].
        """
        self._release(link, now)
        if link.session is not None:
            for push in unsent:
                if push.keep:
                    self._give(link.session, push.frame, now)

    def receive(self, link: Link, frame: bytes | str, now: float) -> None:
        """A text or binary frame came in on a connection."""
        if not link.is_open:
            return
        self._idle.set(link, now)
        try:
            tasks = decode_tasks(frame)
        except ProtocolError as error:
            refusal = Refusal("invalidRequest", f"Invalid request: {error}.")
            self._send(link, self._refused(refusal, {}), now)
            return
        for answer in self._answers(link, tasks, now):
            self._send(link, answer, now)

    def request(self, body: bytes, key: str | None, now: float) -> Call:
        """An HTTP request came in; it is answered with one `Respond` [O].

        The documents know a 200 with ``data`` and a 400 with nothing but ``errors``. So a request
        with any invalid task is refused whole and runs nothing: it can be corrected and sent
        again. What goes wrong later is the affair of its task alone [D]; see `status_of`.

        Args:
            body: the array of tasks. Its first may be an authentication, which yields no item.
            key: the bearer token; None when there was none.
            now: the time.
        """
        call = Call()
        try:
            if key is not None:
                self._check_key(key)
            tasks = self._authorized(decode_tasks(body), key)
        except ProtocolError as error:
            refusal = Refusal("invalidRequest", f"Invalid request: {error}.")
            call.add(self._refused(refusal, {}))
        except Refusal as refusal:
            call.add(self._refused(refusal, {"taskType": "authentication"}))
        else:
            self._take_call(call, tasks, now)
        self._respond_if_complete(call)
        return call

    def hang_up(self, call: Call) -> None:
        """The HTTP client has gone before its answer. Its tasks go on."""
        call.is_open = False

    def finished(self, job: Job, outcome: Outcome, now: float) -> None:
        """The engine is done with a job; a second report for the same job is ignored."""
        if job.state != "processing":
            return
        self._waits.discard(job)
        self._desk.settle(job, outcome, now)
        if isinstance(endpoint := job.option("uploadEndpoint"), str) and job.answer is not None:
            self._effects.append(Upload(endpoint, job.task_uuid, job.image_uuid))
        if isinstance(url := job.option("webhookURL"), str):
            body = self._desk.webhook_body(job)
            self._effects.append(Webhook(url, job.task_uuid, body))
        if job.awaited:
            job.awaited = False
            self._deliver(job, job.outcome(), now)
        job.owner = None  # the book keeps the job for long, and must not keep them as well

    def called(self, effect: Webhook | Upload, accepted: bool, now: float) -> None:
        """A `Webhook` or `Upload` was performed; one that was not accepted is tried again [S].

        Args:
            effect: what was performed.
            accepted: whether the answer had a 2xx status.
            now: the time.
        """
        if not accepted and not self._retries.add(effect, now):
            self.record.webhooks_failed.append(effect.task_uuid)

    def expire_session(self, uuid: str) -> None:
        """Forget a session now, with what it missed; its connection, if any, stays usable."""
        self.sessions.forget(uuid)

    def find(self, task_uuid: str) -> Job | None:
        """What is known of a task, by its UUID; to be read only."""
        return self._desk.jobs.find(task_uuid)

    # Time

    def next_timer(self) -> float | None:
        """When `handle_timer` is to be called; None while nothing waits."""
        dues = (
            self._idle.first(),
            self._waits.first(),
            self.sessions.first_expiry(),
            self._desk.jobs.first_expiry(),
            self._retries.first(),
        )
        return min((due for due in dues if due is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do whatever is due by `now`."""
        for link in list(self._idle.pop_due(now)):
            self._close(link, 1000, "no message for too long", now)
        for job in list(self._waits.pop_due(now)):
            self._stop_waiting(job, now)
        self._effects += self._retries.pop_due(now)
        self.sessions.expire(now)
        self._desk.jobs.expire(now)

    def take_effects(self) -> list[Effect]:
        """What is to be done, in this order; each effect is given once."""
        effects, self._effects = self._effects, []
        return effects

    # Tasks of a connection

    def _answers(self, link: Link, tasks: list[Item], now: float) -> Iterable[Answer]:
        """What the tasks of one frame are answered at once.

        Acknowledgments share a frame, and so do the answers to `getResponse`, errors among them
        [D]; everything else has one of its own.
        """
        shared: dict[str, Answer] = {}
        answers: list[Answer] = []
        for task in tasks:
            self.record.request(now, link.number, task)
            answer = self._link_task(link, task, now)
            if answer is None:
                continue
            if answer.group and (first := shared.get(answer.group)):
                first.extend(answer)
                continue
            shared[answer.group] = answer
            answers.append(answer)
        return answers

    def _link_task(self, link: Link, task: Item, now: float) -> Answer | None:
        if task.get("taskType") == "authentication":
            try:
                self._authenticate(link, task, now)
            except Refusal as refusal:
                return self._refused(refusal, task)
            return None
        if link.session is None:
            return self._refused(Refusal("missingApiKey", "Authenticate first.", "apiKey"), task)
        return self._task(task, link.session, now)

    def _task(self, task: Item, owner: Session | Call, now: float) -> Answer | None:
        """Take a task in, or refuse it; None when its answer comes later."""
        try:
            answer, job = self._desk.take(task, owner)
        except Refusal as refusal:
            return self._refused(refusal, task)
        if job is not None:
            if job.awaited:
                self._waits.set(job, now)
            self._effects.append(Run(job))
        return answer

    def _authenticate(self, link: Link, task: Item, now: float) -> None:
        """Give the connection its session, and the session what it missed [D]."""
        key, uuid = check_authentication(task)
        self._check_key(key)
        session = self._resumed(link, uuid, now)
        missed = [Push(link, frame, keep=True) for frame in session.take_missed()]
        item = {"taskType": "authentication", "connectionSessionUUID": session.uuid}
        if self.settings.replay == "before":
            self._effects += missed
        self._send(link, Answer([item]), now)
        if self.settings.replay == "after":
            self._effects += missed

    def _check_key(self, key: str) -> None:
        if key in self.settings.restricted_keys:
            raise Refusal("forbidden", "The API key lacks permission for this.", "apiKey")
        if key != self.settings.api_key:
            message = "Invalid API key. Get one at https://my.runware.ai/signup."
            raise Refusal("invalidApiKey", message, "apiKey")

    def _resumed(self, link: Link, uuid: str, now: float) -> Session:
        """The session that the connection asks for, or its own, or a new one."""
        session = self.sessions.find(uuid) if uuid else link.session
        if session is None or not session.is_known:
            if uuid and self.settings.unknown_session == "error":
                raise Refusal(
                    "invalidConnectionSessionUUID",
                    "The session has expired or is unknown.",
                    "connectionSessionUUID",
                )
            session = self.sessions.add(self._new_uuid())
        if session.link is not None and session.link is not link:
            self._close(session.link, 1000, "the session was resumed elsewhere", now)
        if link.session is not None and link.session is not session:
            self.sessions.drop(link.session, now)
        self.sessions.attach(session, link)
        return session

    # Tasks of an HTTP request

    def _authorized(self, tasks: list[Item], key: str | None) -> list[Item]:
        """The tasks without the authentication, which must be there when there is no key [O]."""
        if tasks and tasks[0].get("taskType") == "authentication":
            self._check_key(check_authentication(tasks[0])[0])
            return tasks[1:]
        if key is None:
            raise Refusal("missingApiKey", "An API key is required.", "apiKey")
        return tasks

    def _take_call(self, call: Call, tasks: list[Item], now: float) -> None:
        for task in tasks:
            self.record.request(now, 0, task)
        invalid = [answer for task in tasks if (answer := self._invalid(task))]
        for answer in invalid:
            call.add(answer)
        for task in () if invalid else tasks:
            if answer_at_once := self._task(task, call, now):
                call.add(answer_at_once)

    def _invalid(self, task: Item) -> Answer | None:
        try:
            self._desk.check(task)
        except Refusal as refusal:
            return self._refused(refusal, task)
        return None

    def _respond_if_complete(self, call: Call) -> None:
        if not call.is_complete or not call.is_open:
            return
        call.is_open = False
        answer = call.answer()
        status = status_of(answer.errors, any_data=bool(answer.data))
        body = encode_answer(answer.data if status == 200 else None, answer.errors or None)
        self._effects.append(Respond(call, status, body))

    # Results

    def _deliver(self, job: Job, answer: Answer, now: float) -> None:
        """Bring the outcome to where it is awaited, or keep it for who resumes."""
        owner = job.owner
        if isinstance(owner, Call):
            owner.fill(job.key, answer)
            self._respond_if_complete(owner)
        elif owner is not None:
            self._give(owner, self._desk.frame(job, answer), now)

    def _give(self, session: Session, frame: bytes, now: float) -> None:
        """A result for a session: pushed on its connection, or kept until there is one [D]."""
        if session.link is not None:
            self._push(session.link, frame, now, keep=True)
        elif session.is_known:
            session.keep(frame, self.settings.max_result_bytes)

    def _stop_waiting(self, job: Job, now: float) -> None:
        """The synchronous wait is over; the task goes on and stays retrievable [D]."""
        job.awaited = False
        if self.settings.sync_wait_ends == "error" or isinstance(job.owner, Call):
            failed = Failed("timeout", "The task takes longer than a synchronous wait.")
            self._deliver(job, Answer(errors=[self._desk.error(job, failed)]), now)

    # Frames

    def _refused(self, refusal: Refusal, task: Item) -> Answer:
        error = complaint(refusal, task, name_task=self.settings.errors_name_task)
        return Answer(errors=[error])

    def _send(self, link: Link, answer: Answer, now: float) -> None:
        data = None if answer.errors and not answer.data else answer.data
        self._push(link, encode_answer(data, answer.errors or None), now)

    def _push(self, link: Link, frame: bytes, now: float, *, keep: bool = False) -> None:
        self._idle.set(link, now)  # a message sent counts as exchanged, too [D]
        self._effects.append(Push(link, frame, keep))

    def _close(self, link: Link, code: int, reason: str, now: float) -> None:
        self._effects.append(Close(link, code, reason))
        self._release(link, now)

    def _release(self, link: Link, now: float) -> None:
        link.is_open = False
        self._idle.discard(link)
        if link.session is not None and link.session.link is link:
            self.sessions.drop(link.session, now)
