"""Test the client with a server of foreign make, with all the habits that a server may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runware_ws import RunwareClient
from tests.support.clients import IMAGE, KEY, outcome_of, submitted

pytest.importorskip("wsproto", reason="it is in the extra `test` only")
if TYPE_CHECKING:
    from tests.support.strange import Habits, StrangeServer
else:
    strange = pytest.importorskip("tests.support.strange")
    Habits, StrangeServer = strange.Habits, strange.StrangeServer

pytestmark = pytest.mark.anyio

HUNDRED = 100
HABITS = {
    "a plain one": Habits(),
    "binary frames": Habits(binary=True),
    "spread over lines": Habits(indent=4),
    "in fragments": Habits(fragment_bytes=100),
    "fragments with pings between": Habits(fragment_bytes=40, pings=True),
    "binary fragments with pings between": Habits(binary=True, fragment_bytes=64, pings=True),
    "byte by byte": Habits(write_bytes=1, group=10),
    "a hundred a frame": Habits(group=HUNDRED),
    "a hundred a frame, backwards": Habits(group=HUNDRED, backwards=True),
    "upper case": Habits(upper=True),
    "arrays of one": Habits(wraps=True, group=10),
    "all at once": Habits(
        binary=True,
        indent=2,
        fragment_bytes=300,
        pings=True,
        write_bytes=500,
        group=20,
        upper=True,
        backwards=True,
        wraps=True,
    ),
}


@pytest.mark.parametrize("habit", HABITS)
async def test_every_result_finds_its_task_whatever_the_servers_habits(habit: str) -> None:
    count = max(20, HABITS[habit].group)
    with StrangeServer(HABITS[habit]) as server:
        async with RunwareClient(
            KEY, url=server.url, max_in_flight=count, adaptive=False
        ) as client:
            tasks = await submitted(client, count)
            outcomes = [await outcome_of(task) for task in tasks]
            assert [one.task_uuid.lower() for one in outcomes] == [one.task_uuid for one in tasks]
            assert all(one.image_url for one in outcomes)
            assert await client.ping() < 20
            assert client.stats().garbled == 0


@pytest.mark.parametrize("habit", ["a plain one", "upper case", "all at once"])
async def test_the_session_is_resumed_and_all_tasks_are_done_after_a_drop(habit: str) -> None:
    with StrangeServer(HABITS[habit]) as server:
        async with RunwareClient(KEY, url=server.url) as client:
            session = client.session_uuid
            server.drop()
            tasks = await submitted(client, 20)
            outcomes = [await outcome_of(task) for task in tasks]
            assert [one.task_uuid.lower() for one in outcomes] == [one.task_uuid for one in tasks]
            resumed = [one for one in server.tasks if "connectionSessionUUID" in one]
            assert resumed[0]["connectionSessionUUID"] == session


async def test_a_single_upscale_is_like_any_other() -> None:
    with StrangeServer(Habits(fragment_bytes=1)) as server:
        async with RunwareClient(KEY, url=server.url) as client:
            assert (await client.upscale(IMAGE)).image_url
