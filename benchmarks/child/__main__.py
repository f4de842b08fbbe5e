"""``python -m benchmarks.child JOB``: does one job and prints its figures as JSON."""

from __future__ import annotations

import json
import sys
from importlib import import_module

from ..clients import CLIENTS
from ..control import Control
from ..job import Figures, Job
from .drive import DRIVERS
from .loops import loop_named

_INSTEAD = {("limit", "overload"): "patient"}


def main(job: Job) -> Figures:
    """Do the job."""
    client = CLIENTS[job.client]
    loop = loop_named(client.loop)
    module = _INSTEAD.get((job.client, job.kind), client.module)
    open_client = import_module(f"benchmarks.child.{module}").open_client
    control = Control(job.control)
    figures: Figures = {}

    async def run() -> None:
        async with open_client(job) as api:
            figures.update(await DRIVERS[job.kind](api, job, control, loop))

    loop.run(run)
    control.close()
    return figures


if __name__ == "__main__":
    print(json.dumps(main(Job.from_json(sys.argv[1]))))
