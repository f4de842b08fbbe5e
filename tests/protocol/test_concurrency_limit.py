"""Test the limit on tasks in flight in simulated time, beside a service with little room."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

import pytest

from runware_ws.protocol.concurrency_limit import ConcurrencyLimit
from runware_ws.protocol.timing import Timing


@dataclass
class Report:
    """The course of a load: how long it took, and how long with all of the room in use."""

    seconds: float
    ideal: float
    refusals: int
    images: int
    limits: list[int]

    @property
    def share(self) -> float:
        return self.ideal / self.seconds

    @property
    def refusals_per_image(self) -> float:
        return self.refusals / self.images


def run(
    images: int,
    room: Callable[[float], int],
    *,
    latency: float = 0.1,
    spread: float = 0.2,
    round_trip: float = 0.002,
    queue: int = 0,
    ceiling: int = 1024,
    adaptive: bool = True,
) -> Report:
    """Have a limit send so many images to a service that works on `room(now)` at once.

    It queues `queue` more, and refuses the rest after a round trip.
    """
    rng = random.Random(7)
    limit = ConcurrencyLimit(ceiling, Timing(), rng.random, adaptive=adaptive)
    events: list[tuple[float, int, str, int, float]] = []
    waiting, done, running, refusals, now = images, 0, 0, 0, 0.0
    queued: list[tuple[int, float]] = []
    limits: list[int] = []
    capacity = 0.0
    number = 0

    def begin(level: int, sent_at: float) -> None:
        nonlocal running
        running += 1
        seconds = latency * (1 + spread * (rng.random() - 0.5))
        heappush(events, (now + seconds, number, "done", level, sent_at))

    while done < images:
        while waiting and limit.room() > 0:
            waiting -= 1
            number += 1
            limit.in_flight = level = limit.in_flight + 1
            if running < room(now):
                begin(level, now)
            elif len(queued) < queue:
                queued.append((level, now))
            else:
                heappush(events, (now + round_trip, number, "refused", level, now))
        if waiting:
            limit.note_full(now)
        timer = limit.next_timer()
        when = min(events[0][0] if events else 1e9, 1e9 if timer is None else timer)
        capacity += (when - now) * room(now)
        now = when
        if timer is not None and timer <= now:
            limit.handle_timer(now)
            continue
        _, _, what, level, sent_at = heappop(events)
        if what == "done":
            running -= 1
            done += 1
            limit.wanted = waiting > 0
            limit.succeeded(level, now - sent_at)
            limit.in_flight -= 1
            if queued and running < room(now):
                begin(*queued.pop(0))
        else:
            refusals += 1
            waiting += 1
            limit.in_flight -= 1
            limit.refused(level, sent_at, now)
        limits.append(limit.limit)
    return Report(now, images * latency / (capacity / now), refusals, images, limits)


@pytest.mark.parametrize("room", [2, 4, 8, 32, 200])
@pytest.mark.parametrize("latency", [0.05, 0.3, 1.2])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.5])
def test_a_constant_room_is_found_and_used(room: int, latency: float, spread: float) -> None:
    images = {2: 200, 4: 400, 8: 600}.get(room, 2000)
    report = run(images, lambda _: room, latency=latency, spread=spread)
    assert report.refusals_per_image <= (0.25 if room == 2 else 0.1)
    assert report.share >= 0.7


@pytest.mark.parametrize(("before", "after"), [(32, 4), (4, 32)])
def test_a_room_that_changes_is_followed(before: int, after: int) -> None:
    report = run(1200, lambda now: before if now < 3 else after, latency=0.1)
    assert report.refusals_per_image <= 0.25
    assert report.share >= 0.7


def test_a_queue_is_not_filled() -> None:
    report = run(3000, lambda _: 8, queue=10_000, latency=0.2)
    assert report.refusals == 0
    assert report.share >= 0.9
    assert max(report.limits) <= 200
    assert max(report.limits[1500:]) <= 80


def test_tasks_that_are_slow_for_another_reason_are_not_held_up_for_long() -> None:
    limit = ConcurrencyLimit(1024, Timing(), lambda: 0.5)
    for seconds, results in ((0.2, 500), (2.0, 1500)):
        for _ in range(results):
            limit.wanted = True
            limit.succeeded(limit.limit, seconds)
        assert limit.limit > 256


def test_a_service_without_room_is_tried_again_and_again_ever_more_rarely() -> None:
    report = run(10, lambda now: 0 if now < 30 else 4)
    assert report.refusals < 40
    assert report.seconds < 45


def test_a_fixed_limit_stays_and_backs_off() -> None:
    report = run(100, lambda _: 4, ceiling=8, adaptive=False)
    assert set(report.limits) == {8}
    assert report.refusals_per_image < 2
