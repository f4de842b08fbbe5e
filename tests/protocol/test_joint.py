"""Set the client's core against the emulator's, with the worst of networks between: see `World`.

Each story draws the rules of the service: see `drawn_rules`. The end of a process, and the life of
the next, are in `test_joint_restarts`.

`--hypothesis-profile=long` runs ten thousand stories.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runware_ws.emulator import Rules
from runware_ws.errors import (
    ResultLostError,
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from runware_ws.protocol.tasks import Stage
from tests.protocol.drawn_rules import Promise, drawn_rules
from tests.protocol.world import Outcome, World, image_of, number_of

FAILURES = [None, "inferenceError", "serviceUnavailable", "timeoutProvider"]


class Story(RuleBasedStateMachine):
    """A client, a service, and what may happen to them."""

    @initialize(
        seed=st.integers(0, 2**32),
        rules=drawn_rules(),
        on_doubt=st.sampled_from(["resend", "fail"]),
    )
    def begin(self, seed: int, rules: Rules, on_doubt: str) -> None:
        self.service_rules = rules
        self.names = rules.errors_name_task and rules.conflict_names_task
        self.may_resend = on_doubt == "resend"
        self.promises: dict[int, Promise] = {}
        self.is_late = False
        self.cancelled: set[int] = set()
        self.hurried: set[int] = set()
        self.bad: set[int] = set()
        self.doubled = self.turned_away = False
        self.make_world(seed, rules=rules, on_doubt=on_doubt)

    def make_world(self, seed: int, **choices: Any) -> None:
        self.world = World(seed, **choices)

    @rule(delivery=st.sampled_from(["sync", "sync", "async"]), count=st.integers(1, 7))
    def submit(self, delivery: str, count: int) -> None:
        for _ in range(count):
            self.submit_one(delivery=delivery)

    def submit_one(self, delivery: str = "sync", **options: Any) -> int:
        number = self.world.submit(delivery=delivery, **options).number
        self.promises[number] = Promise(self.service_rules, is_polled=delivery == "async")
        return number

    @rule(timeout=st.sampled_from([0.5, 10.0, 200.0]))
    def submit_in_a_hurry(self, timeout: float) -> None:
        self.hurried.add(self.submit_one(timeout=timeout))

    @rule()
    def submit_what_the_server_refuses(self) -> None:
        self.bad.add(self.submit_one(image="neither a link nor an image"))

    @precondition(lambda self: self.world.client.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(list(self.world.client.tasks.values())))
        self.cancelled.add(number_of(task))
        self.world.cancel(task)

    @precondition(lambda self: self.world.wants_connection)
    @rule()
    def connect(self) -> None:
        self.world.connect()

    @precondition(lambda self: self.world.wants_connection)
    @rule()
    def refuse(self) -> None:
        self.world.refuse()

    @precondition(lambda self: self.world.wire is not None and self.world.wire.up)
    @rule(count=st.integers(1, 5))
    def carry_up(self, count: int) -> None:
        for _ in range(count):
            if self.world.wire is not None and self.world.wire.up:
                self.world.carry_up()

    @precondition(lambda self: self.world.wire is not None and self.world.wire.down)
    @rule(count=st.integers(1, 5))
    def carry_down(self, count: int) -> None:
        for _ in range(count):
            if self.world.wire is not None and self.world.wire.down:
                self.world.carry_down()

    @rule(finish=st.booleans())
    def go_well_for_a_moment(self, finish: bool) -> None:
        self.world.settle_down(finish=finish)

    @precondition(
        lambda self: self.names and not self.doubled and self.world.is_ready and self.world.wire.up
    )
    @rule()
    def turn_away(self) -> None:
        self.turned_away = True
        self.world.turn_away()

    @precondition(lambda self: not self.service_rules.errors_name_task)
    @precondition(lambda self: self.world.is_ready and self.world.wire.up)
    @rule()
    def turn_away_without_names(self) -> None:
        self.world.turn_away(named=False)

    # What no network does, frames out of order and doubled, is harmless as long as errors name
    # their tasks and a second sending is refused. One that was turned away must not be doubled: its
    # conflict with itself would mean that it will never be run. The greeting is spared: the refusal
    # of a session names nothing.

    @precondition(lambda self: self.names and self.world.wire and self.world.wire.down)
    @rule(data=st.data())
    def carry_down_out_of_order(self, data: st.DataObject) -> None:
        assert self.world.wire is not None
        self.world.carry_down(data.draw(st.integers(0, len(self.world.wire.down) - 1)))

    @precondition(lambda self: self.names and self.world.is_ready and self.world.wire.up)
    @precondition(lambda self: not self.turned_away)
    @precondition(lambda self: Promise(self.service_rules, is_polled=False).is_refused_twice)
    @rule(data=st.data())
    def double_up(self, data: st.DataObject) -> None:
        wire = self.world.wire
        assert wire is not None
        wire.up.append(data.draw(st.sampled_from(list(wire.up))))
        self.doubled = True

    @precondition(lambda self: self.names and self.world.is_ready and self.world.wire.down)
    @rule(data=st.data())
    def double_down(self, data: st.DataObject) -> None:
        wire = self.world.wire
        assert wire is not None
        wire.down.append(data.draw(st.sampled_from(list(wire.down))))

    @precondition(lambda self: self.world.wire is not None and self.world.wire.down)
    @rule()
    def garble(self) -> None:
        self.world.garble()

    @precondition(lambda self: self.world.wire is not None)
    @rule(server_knows=st.booleans(), undelivered=st.booleans())
    def cut(self, server_knows: bool, undelivered: bool) -> None:
        self.world.cut(server_knows=server_knows, frames_count_as_undelivered=undelivered)

    @precondition(lambda self: any(wire.up for wire in self.world.dead))
    @rule(data=st.data())
    def arrive_late(self, data: st.DataObject) -> None:
        wires = [wire for wire in self.world.dead if wire.up]
        self.is_late = True
        self.world.arrive_late(data.draw(st.sampled_from(wires)))

    @precondition(lambda self: self.world.dead)
    @rule()
    def server_notices(self) -> None:
        self.world.server_notices()

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def finish(self, data: st.DataObject, failure: str | None) -> None:
        index = data.draw(st.integers(0, len(self.world.jobs) - 1))
        self.world.finish(index, failure)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 6.0, 31.0, 130.0]))
    def wait(self, seconds: float) -> None:
        self.world.tick(seconds)

    @precondition(lambda self: self.world.client.main.reconnector.session_uuid is not None)
    @rule()
    def expire_session(self) -> None:
        self.world.service.expire_session(self.world.client.main.reconnector.session_uuid or "")

    @invariant()
    def each_task_settles_at_most_once(self) -> None:
        assert all(len(outcomes) <= 1 for outcomes in self.world.settled.values())

    @invariant()
    def each_image_is_made_once_where_that_can_be_promised(self) -> None:
        for number in self.promises:
            assert self.world.runs_of_image[image_of(number)] <= 1 or not self.is_made_once(number)

    def is_made_once(self, number: int) -> bool:
        """The image of a task is never made twice."""
        promise = self.promises[number]
        is_safe = promise.is_refused_twice or not self.may_resend
        return is_safe or (promise.is_always_known and not self.is_late)

    @invariant()
    def settled_tasks_are_let_go(self) -> None:
        for task in self.world.tasks:
            settled = bool(self.world.settled[number_of(task)])
            assert settled == (task.stage is Stage.SETTLED)
            assert settled == (task.uuid not in self.world.client.tasks)
            assert not (settled and task.payload)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.heal()
        for task in self.world.tasks:
            assert self.world.settled[number_of(task)], f"{task!r} hangs"
            (outcome,) = self.world.settled[number_of(task)]
            self.check(number_of(task), {task.wire_uuid, *task.former_uuids}, outcome)
        assert not self.world.client.tasks
        self.each_image_is_made_once_where_that_can_be_promised()

    def check(self, number: int, uuids: set[str], outcome: Outcome) -> None:
        """The outcome is this task's own, and nobody else's."""
        if isinstance(outcome, TaskCancelledError):
            assert number in self.cancelled
        elif isinstance(outcome, TaskTimeoutError):
            assert number in self.hurried
        elif isinstance(outcome, ResultLostError):
            assert self.may_be_lost(number)
        elif isinstance(outcome, TaskError):
            assert outcome.code in self.codes(number)
        else:
            assert isinstance(outcome, dict), repr(outcome)
            assert outcome["taskUUID"] in uuids
            assert self.world.made_from[outcome["imageUUID"]] == image_of(number)

    def may_be_lost(self, number: int) -> bool:
        """It is true of a task that nobody can tell what became of it."""
        has_arrived = self.world.runs_of_image[image_of(number)] and not self.is_late
        return not self.promises[number].is_always_told or not (self.may_resend or has_arrived)

    def codes(self, number: int) -> set[str]:
        """Return what the service may say of a task, if it does not make the image."""
        said = self.world.failures[image_of(number)]
        return said | ({"invalidImage"} if number in self.bad else {"timeout"})


TestStory = pytest.mark.filterwarnings("ignore")(Story.TestCase)
TestStory.settings = settings(Story.TestCase.settings, stateful_step_count=40)
