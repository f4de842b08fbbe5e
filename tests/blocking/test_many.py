"""`upscale_many` is a plain iterator, which takes its images in the caller's thread."""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from runware_ws import InputError
from runware_ws.sync import Failure, Success
from tests.blocking.test_client import served, until
from tests.journal.clients import in_file, snapshot
from tests.support.answers import JPEG, Item, base64_of, result
from tests.support.connection import silent
from tests.support.scripted import replying

IMAGES = [f"https://example.com/{number}.jpg" for number in range(20)]


def test_each_image_has_one_outcome() -> None:
    with served() as (server, client):
        outcomes = list(client.upscale_many(IMAGES, max_in_flight=3, tag=str.upper))
        assert all(isinstance(one, Success) for one in outcomes)
        assert sorted(one.source for one in outcomes) == sorted(IMAGES)
        assert {one.tag for one in outcomes} == {image.upper() for image in IMAGES}
        assert len(server.executed) == len(IMAGES)


def test_outcomes_come_in_order_if_asked_for() -> None:
    with served() as (_, client):
        outcomes = client.upscale_many(iter(IMAGES), ordered=True, max_in_flight=4)
        assert [one.source for one in outcomes] == IMAGES


def test_an_image_that_fails_is_an_outcome() -> None:
    with served() as (_, client):
        (outcome,) = client.upscale_many([Path("nowhere.jpg")])
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error, InputError)


def test_results_are_saved_as_they_come(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    image = replying(lambda task: {"data": [result(task, imageBase64Data=base64_of(JPEG))]})

    def images() -> Iterator[str]:
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("in the way")
        yield IMAGES[1]

    with served(image, image) as (_, client):
        (good,) = client.upscale_many([IMAGES[0]], save_to=folder)
        assert good.path is not None
        assert good.path.read_bytes() == JPEG
        (bad,) = client.upscale_many(images(), save_to=folder)
        assert isinstance(bad, Failure)
        assert bad.unsaved is not None
        assert bad.unsaved.save(tmp_path / "later").read_bytes() == JPEG


def test_images_are_taken_in_the_thread_of_the_caller_and_no_more_than_are_in_flight() -> None:
    taken = []

    def images() -> Iterator[str]:
        for image in IMAGES:
            taken.append(threading.current_thread())
            yield image

    with served() as (_, client):
        for turn, _outcome in enumerate(client.upscale_many(images(), max_in_flight=2)):
            assert len(taken) <= turn + 1 + 2
    assert set(taken) == {threading.current_thread()}


def test_an_asynchronous_iterable_is_taken_too() -> None:
    async def images() -> AsyncIterator[str]:
        for image in IMAGES:
            yield image

    with served() as (_, client):
        assert len(list(client.upscale_many(images()))) == len(IMAGES)


def test_an_error_of_the_images_comes_after_the_outcomes_of_those_taken() -> None:
    def images() -> Iterator[str]:
        yield from IMAGES[:3]
        raise OSError("the disk is gone")

    with served() as (_, client):
        outcomes = client.upscale_many(images())
        assert {next(outcomes).source for _ in range(3)} == set(IMAGES[:3])
        with pytest.raises(OSError, match="the disk is gone"):
            next(outcomes)
        assert list(outcomes) == []


def test_an_iteration_that_is_left_early_gives_up_what_is_in_flight() -> None:
    numbers = count()

    def answers_the_first(task: Item) -> Item | None:
        return {"data": [result(task)]} if next(numbers) == 0 else None

    with served(replying(answers_the_first)) as (_, client):
        for _outcome in client.upscale_many(IMAGES, max_in_flight=5):
            break
        gc.collect()
        assert client.drain(timeout=10)
        assert client.stats().failed == client.stats().submitted - 1 > 0


def test_closing_the_iteration_ends_it_for_a_thread_that_waits() -> None:
    with ThreadPoolExecutor(1) as threads, served(silent) as (server, client):
        outcomes = client.upscale_many(IMAGES, max_in_flight=5)
        reading = threads.submit(list, outcomes)
        until(server, lambda: len(server.tasks) == 5)
        outcomes.close()
        assert reading.result(10) == []
        assert sorted(image for image, _ in outcomes.pending()) == sorted(IMAGES[:5])
        assert client.drain(timeout=10)


def test_several_threads_read_one_iteration() -> None:
    with served() as (server, client), ThreadPoolExecutor(4) as threads:
        outcomes = client.upscale_many(iter(IMAGES), max_in_flight=4)
        reading = [threads.submit(list, outcomes) for _ in range(4)]
        parts = [one.result(20) for one in reading]
    assert sorted(one.source for part in parts for one in part) == sorted(IMAGES)
    assert len(server.executed) == len(IMAGES)


def test_the_next_turn_acknowledges_the_result_of_the_last(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with served(journal=path) as (_, client):
        given: list[str] = []
        for outcome in client.upscale_many(IMAGES[:3], max_in_flight=1):
            given.append(outcome.unwrap().task_uuid)
            client.upscale(IMAGES[4]).ack()  # the journal has written what came before this
            kept = {entry.uuid for entry in in_file(snapshot(path))}
            assert kept.intersection(given) == {given[-1]}
    assert in_file(path) == []
