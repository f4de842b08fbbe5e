"""Upscale a folder in a process that may be killed at any moment.

When it is started again, it continues the tasks in flight, and runs no image twice.

python examples/crash_safe.py [FOLDER]

To see it, run `runware-ws emulate --latency 2` in another terminal, export the two variables that
it prints, start this program, kill it with SIGKILL, and start it again. (Without the variables it
starts an emulator of its own, which dies with it.)
"""

import asyncio
import os
import sys
from pathlib import Path

from runware_ws import Outcome, RunwareClient
from runware_ws.emulator import Emulator

HERE = Path(__file__).parent
OUT = Path("upscaled")


def target_of(image: Path) -> Path:
    return OUT / f"{image.name}.png"


def missing_of(folder: Path) -> list[Path]:
    images = [path for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".png")]
    return [image for image in images if not target_of(image).exists()]


async def finish(image: Path, outcome: Outcome[Path] | Outcome[Path | str | None]) -> None:
    if outcome.result is None:
        print(f"{image.name}: {outcome.error}", flush=True)
    else:
        await outcome.result.save(target_of(image))
        print(f"{image.name} -> {target_of(image)}", flush=True)


async def main(folder: Path) -> None:
    async with RunwareClient(journal=OUT / "jobs.sqlite3") as client:
        # First what an earlier run left. The journal forgets a result when the next one is asked
        # for: by then it is saved.
        async for left in client.recovered():
            if isinstance(left.source, Path):
                await finish(left.source, left)
        async for outcome in client.upscale_many(
            missing_of(folder), output_type="base64Data", output_format="PNG"
        ):
            await finish(outcome.source, outcome)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    if "RUNWARE_API_KEY" in os.environ:
        asyncio.run(main(source))
    else:
        print("RUNWARE_API_KEY is not set: using an emulator (Lanczos stands in for the model)")
        with Emulator() as emulator:
            os.environ |= {"RUNWARE_URL": emulator.url, "RUNWARE_API_KEY": emulator.api_key}
            asyncio.run(main(source))
