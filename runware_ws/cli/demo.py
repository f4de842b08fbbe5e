"""The command ``demo``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.to_thread

from ..client import RunwareClient
from ..options import UpscaleFactor
from ..pictures import picture_of
from ..protocol.effects import Event
from .connection import create_emulator, shown_log
from .errors import one_line
from .exit_status import FAILED, SUCCESS
from .folder import check_writable
from .options import option
from .output import Output
from .summary import ImageReport, Summary

if TYPE_CHECKING:
    from ..emulator import Emulator
    from ..emulator.faults import Fault

_FACTOR: UpscaleFactor = 4
_IN_FLIGHT = 4  # so that there is something to see
_LATENCY = 0.5  # seconds, to simulate a model
_REFRESH_INTERVAL = 0.05
_EXPECTED = Counter({"fail": 3, "drop": 3, "expire": 1})


@dataclass(frozen=True, kw_only=True)
class DemoArguments:
    """The options of ``demo``."""

    out: Annotated[
        Path | None,
        option("Folder to keep the results in. Default: they are deleted.", "--out", value="DIR"),
    ] = None


async def demo(arguments: DemoArguments) -> int:
    """Show that nothing is lost when everything goes wrong.

    It upscales twelve pictures on the built-in emulator. Meanwhile the emulator
    cuts the connection three times, forgets the session, and refuses tasks for lack
    of room. At the end it reports how often it has run each picture. The demo needs
    no key and no network.

    \b
    Examples:
      runware-ws demo
      runware-ws demo --out upscaled  # keep the results

    \b
    Exit status:
      0         each picture was upscaled once, and none was lost
      1         a picture was lost or upscaled twice, or a fault did not occur
      130, 143  stopped by Ctrl-C or SIGTERM
    """
    if arguments.out is not None:
        check_writable(arguments.out)
    with TemporaryDirectory(prefix="runware-ws-") as folder:
        pictures = await anyio.to_thread.run_sync(_make_pictures, Path(folder, "pictures"))
        out = arguments.out or Path(folder, "results")
        async with (
            create_emulator(faults=_faults(), latency=_LATENCY, workers=2) as emulator,
            _client_of(emulator) as client,
        ):
            is_kept = await _DemoRun(emulator, client, pictures, out).run()
    return SUCCESS if is_kept else FAILED


def _faults() -> list[Fault]:
    """Return the faults in the order in which they strike."""
    from ..emulator.faults import Drop, Expire, Fail

    return [
        Drop(nth=2, how="reset"),
        Expire(nth=4),
        Drop(nth=4, how="abort", written=True),  # the emulator believes the result delivered
        Drop(nth=6, how="close"),
        Fail(of="request", nth=11, times=3, code="rateLimitExceeded", message="No room."),
    ]


@asynccontextmanager
async def _client_of(emulator: Emulator) -> AsyncIterator[RunwareClient]:
    with shown_log(lambda _: None):  # the demonstration prints the events itself
        async with RunwareClient(
            emulator.api_key,
            url=emulator.url,
            connections=1,
            max_in_flight=_IN_FLIGHT,
            doubt_window=0.2,  # the emulator finds each task at once
        ) as client:
            yield client


def _make_pictures(folder: Path) -> list[Path]:
    """Write twelve pictures: each photograph in four directions. It blocks."""
    from PIL import Image

    folder.mkdir()
    pictures: list[Path] = []
    photographs = files("runware_ws.emulator") / "photographs"
    for photograph in sorted(photographs.iterdir(), key=lambda one: one.name):
        with photograph.open("rb") as file, Image.open(file) as image:
            for turn in range(4):
                path = folder / f"{Path(photograph.name).stem}-{turn + 1}.jpg"
                image.rotate(90 * turn, expand=True).save(path, quality=90)
                pictures.append(path)
    return pictures


@dataclass(eq=False)
class _DemoRun:
    """The run of the demonstration.

    Attributes:
        emulator: the emulator, with faults to inject.
        client: a client that is connected to it.
        pictures: the pictures to upscale.
        out: the folder for the results.
    """

    emulator: Emulator
    client: RunwareClient
    pictures: list[Path]
    out: Path
    _output: Output = field(default_factory=Output)
    _started: float = field(default_factory=time.monotonic)
    _refused: int = 0

    async def run(self) -> bool:
        """Return True if each picture was upscaled and saved once."""
        self._say(f"sending {len(self.pictures)} pictures to the emulator over one connection")
        summary = Summary(len(self.pictures))
        try:
            async with anyio.create_task_group() as watchers:
                watchers.start_soon(self._watch_events)
                watchers.start_soon(self._watch_refusals, summary)
                await self._upscale(summary)
                watchers.cancel_scope.cancel()
        finally:
            self._output.close()
        return await self._conclude()

    async def _upscale(self, summary: Summary) -> None:
        outcomes = self.client.upscale_many(
            self.pictures,
            save_to=self.out,
            upscale_factor=_FACTOR,
            output_type="base64Data",
            include_cost=True,
        )
        async for outcome in outcomes:
            cost = None if outcome.result is None else outcome.result.cost
            report = ImageReport(
                outcome.source.name, output=outcome.path, error=outcome.error, cost=cost
            )
            summary.add(report)
            if report.error is None:
                self._say(f"{outcome.source.name} done ({summary.completed}/{summary.total})")
            else:
                self._say(report.line())

    # Shown live

    async def _watch_events(self) -> None:
        async for event in self.client.events():
            self._say(_description(event))

    async def _watch_refusals(self, summary: Summary) -> None:
        while True:
            stats = self.client.stats()
            if stats.refused > self._refused:
                count = stats.refused - self._refused
                self._say(f"! {count} refused for lack of room: will be sent again")
                self._refused = stats.refused
            summary.in_flight = sum(stats.tasks.values())
            self._output.update(summary)
            await anyio.sleep(_REFRESH_INTERVAL)

    def _say(self, text: str) -> None:
        self._output.line(f"{time.monotonic() - self._started:5.2f} s  {one_line(text)}")

    # At the end

    async def _conclude(self) -> bool:
        """Show the table, and return True if each picture was upscaled once."""
        total = len(self.pictures)
        whole = await anyio.to_thread.run_sync(self._count_whole)
        runs = sum(self.emulator.executions.values())
        struck = self.emulator.faults_struck
        rows = {
            "pictures": total,
            "saved": whole,
            "lost": total - whole,
            "runs at the emulator": runs,
            "run twice": runs - total,
            "connection cut": struck["drop"],
            "session forgotten": struck["expire"],
            "refused for lack of room": struck["fail"],
        }
        self._output.line("")
        for name, count in rows.items():
            self._output.line(f"  {name:<26}{count:>3}")
        kept = whole == runs == total
        promise = "each picture was upscaled once, and none was lost"
        self._output.line(f"\n{promise}" if kept else "\nFAILED: expected each picture once")
        return kept and struck == _EXPECTED

    def _count_whole(self) -> int:
        """Return the number of pictures that have a result of full size. It blocks."""
        count = 0
        for picture in self.pictures:
            source, result = picture_of(picture), picture_of(self.out / picture.name)
            if source is not None and result is not None:
                count += result.size == tuple(side * _FACTOR for side in source.size)
        return count


def _description(event: Event) -> str:
    """Return the text for an event."""
    if event.kind == "lost":
        return f"! connection lost: {event.detail}"
    if event.kind == "connected":
        session = "session resumed" if event.resumed else "the service has forgotten the session"
        return f"connected again; {session}"
    if event.kind == "reconciling":
        pictures = "1 picture" if event.count == 1 else f"{event.count} pictures"
        return f"asking what became of {pictures}"
    if event.kind == "limit":
        return f"at most {event.count} in flight for now"
    return f"{event.kind}: {event.detail}"
