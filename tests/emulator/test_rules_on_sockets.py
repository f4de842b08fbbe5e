"""Test each rule of the service on real sockets, as a client sees each of its values.

`test_rules_of_tasks` has the finer points, without sockets.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from runware_ws.emulator import PRESETS, Emulator, Rules
from runware_ws.emulator.service.core import Service
from tests.emulator.bench import new_uuid, picture, text_of, upscale
from tests.emulator.sockets import PIXELS, TIMEOUT, Client, Receiver, get, post, until

HOUR = 3600.0
Item = dict[str, Any]


class Scene:
    """An emulator with rules, a client, and an engine that may be held.

    Attributes:
        gate: lets the engine go on when it is set.
    """

    def __init__(self, stack: ExitStack, rules: Item, settings: Item, *, held: bool) -> None:
        self.gate = threading.Event()
        if not held:
            self.gate.set()
        self.emulator = stack.enter_context(
            Emulator(rules=Rules(**rules), upscaler=self._upscale, **settings)
        )
        stack.callback(self.gate.set)  # before the emulator stops, which waits for the engine
        self.client = stack.enter_context(Client(self.emulator))

    def _upscale(self, *_: Any) -> bytes:
        self.gate.wait(TIMEOUT)
        return picture()

    def ask(self, *tasks: Item) -> Item:
        self.client.send(*tasks)
        return self.client.receive()

    def question(self, task: Item, kind: str = "getResponse") -> Item:
        return self.ask({"taskType": kind, "taskUUID": task["taskUUID"]})

    def start(self, task: Item) -> Item:
        """Send a task that is held, and return it when the service has it."""
        self.client.send(task)
        until(lambda: self.state(task) != "unknown")
        return task

    def finish(self, task: Item) -> Item:
        """Let a task end, and return the frame with its result."""
        self.gate.set()
        return self.client.receive()

    def state(self, task: Item) -> str:
        def view(service: Service) -> str:
            job = service.find(task["taskUUID"])
            return "unknown" if job is None else job.state

        return self.emulator.inspect(view)

    def is_awaited(self, task: Item) -> bool:
        def view(service: Service) -> bool:
            job = service.find(task["taskUUID"])
            return job is not None and job.awaited

        return self.emulator.inspect(view)

    def runs(self, task: Item) -> int:
        return self.emulator.executions[task["taskUUID"]]


@contextmanager
def scene(rules: Item | None = None, *, held: bool = False, **settings: Any) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(stack, rules or {}, settings, held=held)


def task(**members: Any) -> Item:
    return upscale(PIXELS, **members)


def codes(frame: Item) -> list[str]:
    return [error["code"] for error in frame.get("errors", [])]


@pytest.mark.parametrize(("rule", "runs"), [("always", 1), ("running", 2), ("never", 2)])
def test_conflicts_of_a_finished_task(rule: str, runs: int) -> None:
    with scene({"conflicts": rule}) as one:
        first = task()
        one.ask(first)
        assert codes(one.ask(first)) == ["conflictTaskUUID"] * (2 - runs)
        assert one.runs(first) == runs


@pytest.mark.parametrize(("rule", "runs"), [("always", 1), ("running", 1), ("never", 2)])
def test_conflicts_of_a_running_task(rule: str, runs: int) -> None:
    with scene({"conflicts": rule}, held=True) as one:
        first = one.start(task())
        one.client.send(first)
        until(lambda: len(one.emulator.requests) == 3)
        assert one.runs(first) == runs


@pytest.mark.parametrize(("delay", "runs"), [(0.0, 1), (HOUR, 2)])
def test_conflict_delay(delay: float, runs: int) -> None:
    with scene({"conflict_delay": delay}) as one:
        first = task()
        one.ask(first)
        one.ask(first)
        assert one.runs(first) == runs


@pytest.mark.parametrize("named", [True, False])
def test_conflict_names_task(named: bool) -> None:
    with scene({"conflict_names_task": named}) as one:
        first = task()
        one.ask(first)
        assert ("taskUUID" in one.ask(first)["errors"][0]) is named
        assert "taskUUID" in one.ask(task(upscaleFactor=3))["errors"][0]


@pytest.mark.parametrize("named", [True, False])
def test_errors_name_task(named: bool) -> None:
    with scene({"errors_name_task": named}) as one:
        assert ("taskUUID" in one.ask(task(upscaleFactor=3))["errors"][0]) is named


@pytest.mark.parametrize(("rule", "found"), [("all", True), ("async", False)])
def test_known_tasks(rule: str, found: bool) -> None:
    with scene({"known_tasks": rule}) as one:
        pushed, polled = task(), task(deliveryMethod="async")
        one.ask(pushed)
        one.ask(polled)
        assert bool(one.question(pushed).get("data")) is found
        assert one.question(polled)["data"]


@pytest.mark.parametrize(
    ("rule", "data", "errors"),
    [("processing", ["processing"], []), ("empty", [], []), ("error", [], ["taskNotFound"])],
)
def test_running_task(rule: str, data: list[str], errors: list[str]) -> None:
    with scene({"running_task": rule}, held=True) as one:
        frame = one.question(one.start(task()))
        assert [item["status"] for item in frame.get("data", [])] == data
        assert codes(frame) == errors


@pytest.mark.parametrize(("rule", "errors"), [("error", ["taskNotFound"]), ("empty", [])])
def test_unknown_task(rule: str, errors: list[str]) -> None:
    with scene({"unknown_task": rule}) as one:
        frame = one.question(task())
        assert codes(frame) == errors
        assert not frame.get("data")


@pytest.mark.parametrize("kind", ["getResponse", "getTaskDetails"])
@pytest.mark.parametrize(("delay", "found"), [(0.0, True), (HOUR, False)])
def test_visible_after(delay: float, found: bool, kind: str) -> None:
    with scene({"visible_after": delay}) as one:
        first = task()
        one.ask(first)
        assert bool(one.question(first, kind).get("data")) is found


@pytest.mark.parametrize(
    ("rule", "response"),
    [("answer", "a result"), ("last_response", "a conflict"), ("null", None), ("nothing", "none")],
)
def test_details(rule: str, response: str | None) -> None:
    with scene({"details": rule}) as one:
        first = task()
        one.ask(first)
        one.ask(first)  # a conflict
        frame = one.question(first, "getTaskDetails")
        assert response_of(frame) == response


def response_of(frame: Item) -> str | None:
    """Return what details hold, in words."""
    if codes(frame) == ["taskNotFound"]:
        return "none"
    (item,) = frame["data"]
    assert item["request"][0]["taskType"] == "upscale"
    if item["response"] is None:
        return None
    return "a conflict" if codes(item["response"]) == ["conflictTaskUUID"] else "a result"


@pytest.mark.parametrize(
    ("rule", "frames"),
    [("after", ["authentication", "imageUpscale"]), ("before", ["imageUpscale", "authentication"])],
)
def test_replay(rule: str, frames: list[str]) -> None:
    assert kinds_of_frames_after_resume(rule) == [*frames, "ping"]


def test_no_replay() -> None:
    assert kinds_of_frames_after_resume("none") == ["authentication", "ping"]


def kinds_of_frames_after_resume(rule: str) -> list[str]:
    """The types of what comes on a connection that resumes a session, up to a pong."""
    with scene({"replay": rule}, held=True) as one:
        first = one.start(task())
        session = one.client.session
        one.client.socket.close()
        until(lambda: one.emulator.inspect(lambda service: is_away(service, session)))
        one.gate.set()
        until(lambda: one.state(first) == "success")
        kinds = []
        with raw(one.emulator, session) as socket:
            socket.send(json.dumps([{"taskType": "ping", "ping": True}]))
            while "ping" not in kinds:
                kinds.append(json.loads(socket.recv(TIMEOUT))["data"][0]["taskType"])
        return kinds


def is_away(service: Service, session: str) -> bool:
    found = service.sessions.find(session)
    return found is not None and found.connection is None


@contextmanager
def raw(emulator: Emulator, session: str, query: str = "") -> Iterator[Any]:
    """A socket on which a session was asked for, and nothing was read."""
    with connect(emulator.url + query, compression=None, proxy=None) as socket:
        authentication = {"taskType": "authentication", "apiKey": emulator.api_key}
        socket.send(json.dumps([authentication | {"connectionSessionUUID": session}]))
        yield socket


@pytest.mark.parametrize("rule", ["new", "same", "error"])
def test_unknown_session(rule: str) -> None:
    session = str(uuid4())
    with scene({"unknown_session": rule}) as one, raw(one.emulator, session) as socket:
        frame = json.loads(socket.recv(TIMEOUT))
        if rule == "error":
            assert codes(frame) == ["invalidConnectionSessionUUID"]
        else:
            given = frame["data"][0]["connectionSessionUUID"]
            assert (given == session) is (rule == "same")


def test_unknown_session_may_be_answered_by_the_end_of_the_connection() -> None:
    with (
        scene({"unknown_session": "close"}) as one,
        raw(one.emulator, str(uuid4())) as socket,
        pytest.raises(ConnectionClosed),
    ):
        socket.recv(TIMEOUT)


@pytest.mark.parametrize(("rule", "errors"), [("error", ["timeout"]), ("silence", [])])
def test_sync_wait_ends(rule: str, errors: list[str]) -> None:
    with scene({"sync_wait_ends": rule}, held=True, sync_wait=0.01) as one:
        first = one.start(task())
        until(lambda: not one.is_awaited(first))
        one.client.send({"taskType": "ping", "ping": True})
        frames = [one.client.receive() for _ in range(1 + len(errors))]
        assert codes(frames[0]) == errors
        assert frames[-1]["data"][0]["pong"]


def test_retention_for_the_ttl_alone() -> None:
    with scene({"retention": "ttl"}, default_ttl=0.05) as one:
        first = task()
        url = one.ask(first)["data"][0]["imageURL"]
        until(lambda: one.state(first) == "expired")
        until(lambda: get(url).status_code == 404)
        assert codes(one.question(first)) == ["taskExpired"]
        (item,) = one.question(first, "getTaskDetails")["data"]
        assert item["response"] is None
        assert "inputs" not in item["request"][0]
        assert codes(one.ask(first)) == ["conflictTaskUUID"]


def test_retention_for_long() -> None:
    with scene({"retention": "long"}, default_ttl=0.0) as one:
        first = task()
        url = one.ask(first)["data"][0]["imageURL"]
        assert get(url).status_code == 200
        assert one.question(first)["data"][0]["status"] == "success"
        (item,) = one.question(first, "getTaskDetails")["data"]
        assert item["request"][0]["inputs"]


@pytest.mark.parametrize("rule", ["imageUpscale", "upscale"])
def test_answer_type(rule: str) -> None:
    with scene({"answer_type": rule}) as one:
        (item,) = one.ask(task())["data"]
        assert item["taskType"] == rule
        assert ("inputImageUUID" in item) is (rule == "imageUpscale")
        (acknowledgment,) = one.ask(task(deliveryMethod="async"))["data"]
        assert acknowledgment["taskType"] == rule


@pytest.mark.parametrize(("rule", "errors"), [(True, []), (False, ["invalidTaskUUID"])])
def test_accepts_uuid7(rule: bool, errors: list[str]) -> None:
    with scene({"accepts_uuid7": rule}) as one:
        frame = one.ask(task(taskUUID="01932c07-209c-7f65-b3d1-2d5e8a3f4b6c"))
        assert codes(frame) == errors
        assert codes(one.ask(task(taskUUID=str(uuid4())))) == []


@pytest.mark.parametrize("rule", ["honoured", "ignored"])
def test_dry_run_on_a_websocket(rule: str) -> None:
    with scene({"dry_run": rule}, cost=0.5) as one:
        with raw(one.emulator, "", "?dryRun=1") as socket:
            socket.recv(TIMEOUT)
            good, bad = task(), task(upscaleFactor=3)
            socket.send(json.dumps([good]))
            (item,) = json.loads(socket.recv(TIMEOUT))["data"]
            socket.send(json.dumps([bad]))
            assert codes(json.loads(socket.recv(TIMEOUT))) == ["unsupportedUpscaleFactor"]
        is_run = rule == "ignored"
        assert ("imageURL" in item) is is_run
        assert (item.get("cost") == 0.5) is not is_run
        assert (one.runs(good), one.emulator.billed) == (is_run, 0.5 * is_run)


@pytest.mark.parametrize("rule", ["honoured", "ignored"])
def test_dry_run_over_http(rule: str) -> None:
    with scene({"dry_run": rule}, cost=0.5) as one:
        first = task(webhookURL="http://127.0.0.1:1/", deliveryMethod="async")
        headers = {"Authorization": f"Bearer {one.emulator.api_key}", "X-Runware-Dry-Run": "1"}
        with httpx.Client(trust_env=False, timeout=TIMEOUT) as http:
            answer = http.post(one.emulator.http_url + "/v1", json=[first], headers=headers)
        is_run = rule == "ignored"
        assert ("cost" in answer.json()["data"][0]) is not is_run
        assert one.runs(first) == is_run


@pytest.mark.parametrize("query", ["", "?dryRun=0", "?dryRun="])
def test_a_task_is_run_where_no_dry_run_is_asked_for(query: str) -> None:
    with scene() as one, raw(one.emulator, "", query) as socket:
        socket.recv(TIMEOUT)
        socket.send(json.dumps([task()]))
        assert "imageURL" in json.loads(socket.recv(TIMEOUT))["data"][0]


@pytest.mark.parametrize("rule", ["object", "array"])
def test_upload_data(rule: str) -> None:
    upload = {"taskType": "imageUpload", "taskUUID": new_uuid(), "image": text_of(picture())}
    with scene({"upload_data": rule}) as one:
        data = one.ask(upload)["data"]
        assert isinstance(data, dict if rule == "object" else list)


@pytest.mark.parametrize(("rule", "balance"), [("number", 2.5), ("object", {"amount": 2.5})])
def test_balance(rule: str, balance: Any) -> None:
    with scene({"balance": rule}, credit=2.5) as one:
        question = {"taskType": "accountManagement", "operation": "getDetails"}
        (item,) = one.ask(question | {"taskUUID": new_uuid()})["data"]
        assert item["balance"] == balance


@pytest.mark.parametrize("rule", ["flat", "wrapped"])
def test_webhook_body(rule: str) -> None:
    with Receiver() as receiver, scene({"webhook_body": rule}) as one:
        first = task(webhookURL=receiver.url)
        one.ask(first)
        body = json.loads(receiver.got.get(timeout=TIMEOUT)[2])
        item = body if rule == "flat" else body["data"][0]
        assert item["taskUUID"] == first["taskUUID"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_task_that_nothing_disturbs_is_answered_under_each_preset(name: str) -> None:
    with Emulator(rules=PRESETS[name]) as emulator, Client(emulator) as client:
        client.send(task())
        assert client.receive()["data"][0]["imageURL"]
        assert post(emulator, task()).json()["data"][0]["imageURL"]


def test_presets_differ_from_one_another() -> None:
    assert len(set(PRESETS.values())) == len(PRESETS)


def test_each_rule_has_a_test_here() -> None:
    tests = [name for name in globals() if name.startswith("test_")]
    for member in fields(Rules):
        assert any(member.name in test for test in tests), member.name
