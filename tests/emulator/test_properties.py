"""Test properties of the service with random requests and random lives of connections."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runware_ws.emulator.service.jobs import Failed, Succeeded
from runware_ws.emulator.service.schedule import Schedule
from runware_ws.emulator.service.sessions import ServiceConnection
from runware_ws.protocol.request import MEMBERS, MODEL
from runware_ws.protocol.wire import decode, encode_tasks
from tests.emulator.bench import KEY, LINK, Bench, Peer, new_uuid, upscale

STATUSES = {200, 400, 401, 402, 403, 429, 500, 503}
KINDS = (
    "upscale",
    "imageUpscale",
    "imageUpload",
    "mediaStorage",
    "getResponse",
    "getTaskDetails",
    "ping",
)
NAMES = ("taskType", "taskUUID", "model", "inputs", "inputImage", "image", "apiKey")
UUID = new_uuid()

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([*KINDS, "authentication", UUID, MODEL, LINK, KEY, "QUJD", "PNG", "async"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["image", "a"]) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
names = st.sampled_from([*NAMES, *(member.wire for member in MEMBERS)]) | st.text(max_size=5)
tasks = st.dictionaries(names, values, max_size=6) | st.builds(
    lambda kind, change: upscale(taskType=kind) | change,
    st.sampled_from(KINDS),
    st.dictionaries(names, values, max_size=2),
)


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_the_service_fail(frame: bytes, authenticated: bool) -> None:
    bench = Bench()
    peer = bench.peer(authenticated=authenticated)
    peer.send_raw(frame)
    assert bench.responses[bench.post_raw(frame)][0] in STATUSES


@given(st.lists(tasks, max_size=4))
def test_any_tasks_are_answered_with_frames_that_can_be_read(sent: list[dict[str, Any]]) -> None:
    bench = Bench()
    link = bench.peer().connection
    bench.service.receive(link, encode_tasks(sent), bench.now)
    for effect in bench.service.take_effects():
        if frame := getattr(effect, "frame", None):
            _, faults = decode(frame)
            assert all(fault.code and fault.message for fault in faults)


@given(st.lists(tasks, max_size=4))
def test_any_request_over_rest_gets_a_documented_status(sent: list[dict[str, Any]]) -> None:
    status, body = Bench().answer(*sent)
    assert status in STATUSES
    assert len(body.get("data", [])) + len(body.get("errors", [])) <= max(len(sent), 1)
    assert ("errors" in body) or status == 200


class Lives(RuleBasedStateMachine):
    """Connections come and go while tasks are sent, sent again and finished.

    A task is run once. Its result is delivered once, unless its session has expired meanwhile;
    even then it is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(sync_wait=10.0**9, task_memory=10.0**9)
        self.open: list[Peer] = []
        self.sessions: list[str] = []
        self.owner: dict[str, str] = {}
        self.tasks: list[dict[str, Any]] = []
        self.ended: dict[ServiceConnection, int] = {}

    @rule()
    def connect(self) -> None:
        peer = self.bench.peer()
        self.open.append(peer)
        self.sessions.append(peer.session)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        self.open.append(self.bench.peer(data.draw(st.sampled_from(self.sessions))))
        self._forget_closed()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        peer = data.draw(st.sampled_from(self.open))
        peer.drop()
        self._end(peer)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), count=st.integers(1, 3))
    def submit(self, data: st.DataObject, count: int) -> None:
        peer = data.draw(st.sampled_from(self.open))
        new = [upscale() for _ in range(count)]
        self.tasks += new
        self.owner |= {task["taskUUID"]: peer.session for task in new}
        peer.send(*new)

    @precondition(lambda self: self.open and self.tasks)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        peer = data.draw(st.sampled_from(self.open))
        task = data.draw(st.sampled_from(self.tasks))
        (frame,) = peer.send(task)
        assert frame["errors"][0]["code"] == "conflictTaskUUID"

    @precondition(lambda self: self.bench.jobs)
    @rule(data=st.data(), fails=st.booleans())
    def finish(self, data: st.DataObject, fails: bool) -> None:
        job = data.draw(st.sampled_from(self.bench.jobs))
        self.bench.jobs.remove(job)
        outcome = Failed("inferenceError", "It broke.") if fails else Succeeded()
        self.bench.service.finished(job, outcome, self.bench.now)
        self.bench.perform()

    @rule(seconds=st.sampled_from([0.5, 60, 119, 121]))
    def wait(self, seconds: float) -> None:
        self.bench.pass_time(seconds)
        self._forget_closed()

    def _forget_closed(self) -> None:
        for peer in [peer for peer in self.open if peer.closed]:
            self._end(peer)

    def _end(self, peer: Peer) -> None:
        self.open.remove(peer)
        self.ended[peer.connection] = len(peer.frames)

    def _delivered(self) -> Counter[str]:
        """Return how often the outcome of each task was pushed."""
        outcomes: Counter[str] = Counter()
        for peer in self.bench.peers:
            outcomes.update(item["taskUUID"] for item in peer.items if "imageURL" in item)
            errors = [error for error in peer.errors if error["code"] == "inferenceError"]
            outcomes.update(error["taskUUID"] for error in errors)
        return outcomes

    @invariant()
    def each_task_is_run_once(self) -> None:
        executions = self.bench.service.history.executions
        assert executions == {task["taskUUID"]: 1 for task in self.tasks}

    @invariant()
    def each_outcome_is_delivered_at_most_once(self) -> None:
        assert all(count == 1 for count in self._delivered().values())

    @invariant()
    def nothing_is_pushed_on_a_connection_that_has_ended(self) -> None:
        for peer in self.bench.peers:
            assert self.ended.get(peer.connection, len(peer.frames)) == len(peer.frames)

    def teardown(self) -> None:
        """In the end everybody resumes, and nothing is missing."""
        self.bench.finish()
        alive = [uuid for uuid in self.sessions if self.bench.service.sessions.find(uuid)]
        for uuid in alive:
            self.bench.peer(uuid)
        delivered = self._delivered()
        for task_uuid, session in self.owner.items():
            assert delivered[task_uuid] == 1 or session not in alive
        if self.owner:
            questions = [{"taskType": "getResponse", "taskUUID": one} for one in self.owner]
            (frame,) = self.bench.peer().send(*questions)
            known = frame.get("data", []) + frame.get("errors", [])
            assert {one["taskUUID"] for one in known} == set(self.owner)
            assert {one["status"] for one in known} <= {"success", "error"}


TestLives = Lives.TestCase


keys = st.integers(0, 5)
times = st.floats(0, 100)
steps = st.lists(
    st.tuples(st.just("set"), keys, times)
    | st.tuples(st.just("discard"), keys, st.just(0.0))
    | st.tuples(st.just("pop due"), st.just(0), times)
)


@given(steps)
def test_what_is_due_first_comes_first_however_often_it_was_moved(
    steps: list[tuple[str, int, float]],
) -> None:
    schedule: Schedule[int] = Schedule()
    expected: dict[int, float] = {}
    for step, key, time in steps:
        if step == "set":
            schedule.set(key, time)
            expected[key] = time
        elif step == "discard":
            schedule.discard(key)
            expected.pop(key, None)
        else:
            due = [expected.pop(key) for key in schedule.pop_due(time)]
            assert due == sorted(due)
            assert all(one <= time for one in due)
            assert all(one > time for one in expected.values())
        assert schedule.first() == min(expected.values(), default=None)
        assert set(schedule) == set(expected)
        assert len(schedule) == len(expected)


def test_keys_that_are_due_at_the_same_time_come_in_the_order_in_which_they_were_set() -> None:
    schedule: Schedule[str] = Schedule()
    for key in "cab":
        schedule.set(key, 1.0)
    assert list(schedule.pop_due(1.0)) == ["c", "a", "b"]
