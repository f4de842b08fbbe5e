"""Tell the stories of `test_joint` with a journal, and with processes that die at any moment."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.protocol.lasting import LastingWorld
from tests.protocol.test_joint import Story
from tests.protocol.world import image_of


class LastingStory(Story):
    """A story whose client has a journal."""

    world: LastingWorld

    def make_world(self, seed: int, **choices: Any) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = LastingWorld(Path(self.folder.name) / "jobs.db", seed, **choices)

    @precondition(lambda self: self.world.gathered)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        self.world.write(data.draw(st.integers(1, len(self.world.gathered))))

    @precondition(lambda self: self.world.gathered)
    @rule()
    def write_all_and_pass_it_on(self) -> None:
        self.world.write(len(self.world.gathered))
        self.world.pass_on()

    @precondition(lambda self: self.world.written)
    @rule()
    def pass_on(self) -> None:
        self.world.pass_on()

    @precondition(lambda self: self.world.untaken)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        self.world.take(data.draw(st.sampled_from(self.world.untaken)))

    @rule()
    def submit_what_fails_at_first(self) -> None:
        """It gets a new UUID, which is not written yet."""
        image = image_of(self.submit_one())
        self.world.settle_down(finish=False)
        for index, job in enumerate(self.world.jobs):
            if job.image == image:
                self.world.finish(index, "serviceUnavailable")
                break
        self.world.settle_down(finish=False)
        self.world.tick(1.0)

    @rule(data=st.data(), server_knows=st.booleans(), undelivered=st.booleans())
    def kill(self, data: st.DataObject, server_knows: bool, undelivered: bool) -> None:
        self.world.kill(
            written=data.draw(st.integers(0, len(self.world.gathered))),
            server_knows=server_knows,
            frames_count_as_undelivered=undelivered,
        )

    @invariant()
    def no_task_has_two_results(self) -> None:
        for outcomes in self.world.heard.values():
            results = [one for one in outcomes if isinstance(one, dict)]
            assert all(one == results[0] for one in results)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            super().teardown()
            self.no_task_has_two_results()
            self.nothing_that_was_written_is_lost()
        finally:
            self.world.journal.close()
            self.folder.cleanup()

    def nothing_that_was_written_is_lost(self) -> None:
        """Each task's outcome was heard in one process or another.

        An error can go down with the process that was about to hear it: there is nothing left to
        be taken up.
        """
        for number in self.world.durable - set(self.world.heard):
            assert number in self.world.forgotten
            assert number in self.given_up or not self.world.runs_of_image[image_of(number)]
        for row in self.world.untaken:
            assert self.world.journal.answer(row)

    @property
    def given_up(self) -> set[int]:
        return self.cancelled | self.hurried

    def codes(self, number: int) -> set[str]:
        return super().codes(number) | ({"taskNotFound"} if number in self.given_up else set())


TestLastingStory = pytest.mark.filterwarnings("ignore")(LastingStory.TestCase)
TestLastingStory.settings = settings(LastingStory.TestCase.settings, stateful_step_count=40)
