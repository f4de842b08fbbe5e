"""Compare the counts of large tasks with the truth, whatever happens to several connections."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from runware_ws.protocol.channel import Channel
from runware_ws.protocol.effects import Connect, Disconnect, Frame
from runware_ws.protocol.tasks import Stage, Task
from runware_ws.protocol.timing import Timing
from tests.client.test_moments import new_uuid, session_of
from tests.protocol.test_channels import LARGE, hear
from tests.support.answers import error, result


class Chance:
    """A session to which things happen at random.

    Attributes:
        written: tasks and questions that have left, and no answer has come to, by channel.
        writing: the frame that each channel is in the middle of.
        wanted: channels whose connection is to be opened.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.now = 0.0
        self.session = session_of(
            connections=rng.choice([1, 2, 3, 4]),
            max_in_flight=rng.choice([1, 2, 5, 40]),
            adaptive=rng.random() < 0.5,
            doubt_window=0.5,
            timing=Timing(asks_details=False, poll=(0.05, 0.1), living_window=1.0),
            max_retries=2,
        )
        self.tasks: list[Task] = []
        self.writing: dict[Channel, Frame] = {}
        self.written: dict[Channel, list[dict[str, Any]]] = {}
        self.wanted: set[int] = set()
        self.session.start(0)
        self.pass_time(0.0)

    def step(self) -> None:
        """Let something happen, and compare."""
        actions = (
            [self.submit] * 4
            + [self.write, self.connect] * 6
            + [self.answer] * 12
            + [self.cancel, self.cut, self.attach]
            + [lambda: self.pass_time(self.rng.choice([0.01, 0.3, 5.0]))] * 3
        )
        self.rng.choice(actions)()
        self.perform()
        self.compare()

    def perform(self) -> None:
        for effect in self.session.take_effects():
            if isinstance(effect, Connect):
                self.wanted.add(effect.channel)
            elif isinstance(effect, Disconnect):
                self.forget(self.session.channels[effect.channel])

    def forget(self, channel: Channel) -> None:
        self.writing.pop(channel, None)
        self.written.pop(channel, None)

    # What happens.

    def submit(self) -> None:
        bulk, is_large = self.rng.random() < 0.7, self.rng.random() < 0.5
        uuid = new_uuid()
        members = {"taskType": "upscale", "taskUUID": uuid}
        if bulk and is_large:
            members["x"] = "y" * LARGE
        payload = json.dumps([members], separators=(",", ":")).encode()
        task = Task(uuid, payload, self.rng.choice([None, None, 5.0]), self.now)
        task.bulk = bulk
        task.priority = self.rng.choice([0, 0, 0, 5])
        if not is_large and self.rng.random() < 0.5:
            task.inline = lambda: payload[:-2] + b',"x":"' + b"y" * LARGE + b'"}]'
        self.tasks.append(task)
        self.session.submit(task, self.now)

    def attach(self) -> None:
        task = Task(new_uuid(), b"", 20.0, self.now)
        task.bulk = self.rng.random() < 0.5
        self.tasks.append(task)
        self.session.attach(task, self.now)

    def write(self) -> None:
        channel = self.rng.choice(self.session.channels)
        if (frame := self.writing.pop(channel, None)) is not None:
            self.finish(channel, frame)
        while (next_one := channel.next_frame(self.now)) is not None:
            if len(next_one.data) > LARGE and self.rng.random() < 0.7:
                self.writing[channel] = next_one
                return
            self.finish(channel, next_one)

    def finish(self, channel: Channel, frame: Frame) -> None:
        channel.written(frame, self.now)
        items = json.loads(bytes(frame.data))
        if channel.is_ready:
            self.written.setdefault(channel, []).extend(
                {name: item[name] for name in ("taskType", "taskUUID") if name in item}
                for item in items
            )

    def answer(self) -> None:
        channels = [channel for channel, items in self.written.items() if items]
        if not channels:
            return
        channel = self.rng.choice(channels)
        items = self.written[channel]
        item = items.pop(self.rng.randrange(len(items)))
        kind, chance = item["taskType"], self.rng.random()
        if kind == "ping":
            hear(channel, self.now, {"taskType": "ping", "pong": True})
        elif kind != "upscale" and chance < 0.6:
            hear(channel, self.now)
        elif chance < 0.7:
            hear(self.rng.choice(self.session.channels), self.now, result(item))
        elif chance < 0.75:
            hear(channel, self.now, errors=[error("rateLimitExceeded")])
        elif chance < 0.95:
            codes = "rateLimitExceeded", "internalServerError", "mediaNotFound", "conflictTaskUUID"
            hear(channel, self.now, errors=[error(self.rng.choice(codes), item)])

    def cancel(self) -> None:
        if self.session.tasks:
            self.session.cancel(self.rng.choice(list(self.session.tasks.values())))

    def cut(self) -> None:
        channel = self.rng.choice(self.session.channels)
        if channel.connection is not None:
            self.forget(channel)
            channel.lost("cut", self.now)

    def connect(self) -> None:
        for index in list(self.wanted):
            channel = self.session.channels[index]
            self.wanted.discard(index)
            chance = self.rng.random()
            if chance < 0.2:
                channel.lost("refused", self.now)
                continue
            channel.connected(self.now)
            frame = channel.next_frame(self.now)
            assert frame is not None
            channel.written(frame, self.now)
            if chance < 0.3:
                hear(channel, self.now, errors=[error("rateLimitExceeded")])
                continue
            name = f"S{index}" if self.rng.random() < 0.5 else new_uuid()
            hear(
                channel,
                self.now,
                {"taskType": "authentication", "connectionSessionUUID": name},
            )

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            for channel in self.session.channels:
                channel.traffic(self.now, 0, 0, self.now)
            self.session.handle_timer(self.now)
            self.session.handle_timer(self.now)  # a connection that it has dropped is made again
            self.perform()
            due = self.session.next_timer()
            assert due is None or due > self.now, "it would be called again and again"
            if due is None or due > end:
                break
            self.now = due
        self.now = end

    # What must be true.

    def compare(self) -> None:
        session, table = self.session, self.session._table
        flying = [task for task in self.tasks if task.in_flight_when_sent]
        assert all(task.stage is not Stage.SETTLED for task in flying)
        assert table.limit.in_flight == len(flying)
        bulk = [task for task in flying if task.bulk]
        assert table.bulk_in_flight == len(bulk)
        for channel in session.channels:
            if (connection := channel.connection) is not None:
                truth = sum(task.connection is connection for task in bulk)
                assert connection.bulk_in_flight == truth
        assert table.bulk_tasks == sum(task.bulk for task in session.tasks.values())


@pytest.mark.parametrize("seed", range(60))
def test_the_counts_of_large_tasks_are_true_whatever_happens(seed: int) -> None:
    chance = Chance(seed)
    for _ in range(400):
        chance.step()
