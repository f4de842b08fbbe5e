"""Upscales the pictures, saves the results, and tells what becomes of each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import anyio
import anyio.to_thread

from ..batch import Outcome, Outcomes
from ..client import RunwareClient
from ..errors import JournalError, RunwareError, TaskError
from ..options import UpscaleOptions
from ..results import UpscaleResult
from .complaints import InterruptedByUser
from .report import Finished, Reporter, Tally
from .sources import Picture, Sources, absolute

__all__ = ["Batch", "LastingBatch"]

_SAVING = 8  # at once; each holds one result in memory
_TICK = 0.1


@dataclass(frozen=True, slots=True)
class _UnderWay:
    picture: Picture
    since: float

    def finished(
        self,
        outcome: Outcome[Any] | None,
        output: Path | None = None,
        error: Exception | None = None,
    ) -> Finished:
        answer = outcome and (outcome.result or outcome.error)
        return Finished(
            source=str(self.picture.image),
            output=output,
            error=error,
            seconds=time.monotonic() - self.since,
            task_uuid=getattr(answer, "task_uuid", None),
            cost=answer.cost if isinstance(answer, UpscaleResult) else None,
            attempts=getattr(answer, "attempts", None),
        )


class Batch:
    """One run over all pictures.

    Args:
        client: is connected.
        sources: what to upscale.
        out: the folder of the results.
        reporter: hears of each image.
        tally: is kept up to date.
    """

    def __init__(
        self, client: RunwareClient, sources: Sources, out: Path, reporter: Reporter, tally: Tally
    ) -> None:
        self._client = client
        self._sources = sources
        self._out = out
        self._reporter = reporter
        self._tally = tally
        self._under_way: dict[int, _UnderWay] = {}  # by the identity of the image
        self._outcomes: Outcomes[Path | str] | None = None
        self._room = anyio.Semaphore(_SAVING)

    async def run(self, options: UpscaleOptions) -> None:
        """Return once every image is done or has failed. Cancelled, results that have arrived
        are saved, and the rest is given up."""
        try:
            async with anyio.create_task_group() as showing:
                showing.start_soon(self._show)
                await self._work(options)
                showing.cancel_scope.cancel()
            self._show_now()
        except anyio.get_cancelled_exc_class():
            self._reporter.close()
            self._tell_what_is_given_up()
            raise

    def _tell_what_is_given_up(self) -> None:
        pending = () if self._outcomes is None else self._outcomes.pending()
        sent = {id(source): task_uuid for source, task_uuid in pending}
        for key, one in self._under_way.items():
            finished = one.finished(None, error=InterruptedByUser(self._tally.lasting))
            self._tell(replace(finished, task_uuid=sent.get(key)))

    async def _work(self, options: UpscaleOptions) -> None:
        self._outcomes = self._client.upscale_many(self._images(), **options)
        async with anyio.create_task_group() as saving:
            async for outcome in self._outcomes:
                saving.start_soon(self._finish_one, outcome)
                await self._room.acquire()  # after it: Ctrl-C here loses no result

    async def _images(self) -> AsyncIterator[Path | str]:
        """The images, one at a time, found in a thread: a folder may be large or far away."""
        pictures = self._sources.pictures()
        while (picture := await anyio.to_thread.run_sync(next, pictures, None)) is not None:
            if await self._is_wanted(picture):
                self._under_way[id(picture.image)] = _UnderWay(picture, time.monotonic())
                yield picture.image

    async def _is_wanted(self, picture: Picture) -> bool:
        return True

    async def _finish_one(self, outcome: Outcome[Path | str]) -> None:
        try:
            await self._finish(outcome)
        finally:
            self._room.release()

    async def _finish(self, outcome: Outcome[Path | str]) -> Finished:
        # What has arrived is paid for, so it is saved even when the rest is given up.
        with anyio.CancelScope(shield=True):
            one = self._under_way[id(outcome.source)]
            finished = await self._saved(one, outcome)
            del self._under_way[id(outcome.source)]
            self._tell(finished)
        return finished

    async def _saved(self, one: _UnderWay, outcome: Outcome[Any]) -> Finished:
        if outcome.result is None:
            return one.finished(outcome, error=outcome.error)
        try:
            output = await outcome.result.save(self._out / one.picture.name)
        except (OSError, RunwareError) as error:
            return one.finished(outcome, error=error)
        return one.finished(outcome, output=output)

    def _tell(self, finished: Finished) -> None:
        self._tally.add(finished)
        self._reporter.finished(finished)

    async def _show(self) -> None:
        while True:
            self._show_now()
            await anyio.sleep(_TICK)

    def _show_now(self) -> None:
        self._tally.in_flight = sum(self._client.stats().tasks.values())
        self._reporter.tick(self._tally)


class LastingBatch(Batch):
    """A run with a journal: killed at any moment and started again, it goes on where it was.

    A result leaves the journal when the next one is asked for, so each is saved before that.
    What an earlier run left comes first; then every image that has no result yet.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._left: set[Path | str] = set()
        self._suffix = ".jpg"

    async def _work(self, options: UpscaleOptions) -> None:
        # The service makes JPG unless it is told otherwise [O].
        self._suffix = "." + (options.get("output_format") or "JPG").lower()
        if not await self._save_what_was_left():
            return
        async with aclosing(self._client.upscale_many(self._images(), **options)) as outcomes:
            async for outcome in outcomes:
                if not self._goes_on_after(await self._finish(outcome)):
                    return

    async def _is_wanted(self, picture: Picture) -> bool:
        if _key(picture.image) in self._left:
            return False
        is_done = await anyio.Path(self._out / picture.name).with_suffix(self._suffix).exists()
        self._tally.before += is_done
        return not is_done

    async def _save_what_was_left(self) -> bool:
        """Whether all of it could be saved."""
        pictures: dict[Path | str, Picture] | None = None
        async for outcome in self._client.recovered():
            if isinstance(outcome.error, TaskError):
                continue  # there is no result, and there will be none: it has its turn again
            if pictures is None:
                pictures = await anyio.to_thread.run_sync(self._pictures)
            picture = self._picture(pictures, outcome)
            self._left.add(_key(picture.image))
            with anyio.CancelScope(shield=True):
                finished = await self._saved(_UnderWay(picture, time.monotonic()), outcome)
                self._tell(finished)
            if not self._goes_on_after(finished):
                return False
        return True

    def _pictures(self) -> dict[Path | str, Picture]:
        return {_key(one.image): one for one in self._sources.pictures()}

    def _picture(self, pictures: dict[Path | str, Picture], outcome: Outcome[Any]) -> Picture:
        """Which one it is; what other arguments have left behind is named after its task."""
        known = pictures.get(_key(outcome.source))
        if known is not None:
            return known
        self._tally.total += 1
        name = getattr(outcome.result or outcome.error, "task_uuid", None)
        return Picture(outcome.source or "an image", PurePath(f"{name}.jpg"))

    def _goes_on_after(self, finished: Finished) -> bool:
        """The disk may be full: no other result is to be taken out of the journal for nothing, and
        nothing can be done without a journal."""
        error = finished.error
        if isinstance(error, JournalError):
            return False
        if isinstance(error, RunwareError) or not isinstance(error, OSError):  # a timeout is both
            return True
        self._reporter.note("stopped: a result cannot be saved. It stays in the journal.")
        return False


def _key(image: Path | str) -> Path | str:
    return absolute(image) if isinstance(image, Path) else image
