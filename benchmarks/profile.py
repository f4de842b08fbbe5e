"""``python -m benchmarks.profile WORKLOAD [CLIENT]``: where the time of a client goes.

The tree is pyinstrument's, by CPU time in effect: the loop's own waiting is left out.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from .apart import APART
from .arguments import checked, require
from .child.__main__ import main as do_job
from .clients import CLIENTS
from .rounds import input_file
from .runs import job_for, place_for
from .workloads import Kind, chosen_one

_INTERVAL = 0.0005


def main() -> None:
    """Run one workload once, in this process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("workload", type=checked(chosen_one), help="such as a or g3")
    here = [name for name, kind in CLIENTS.items() if not kind.peer]
    parser.add_argument("client", nargs="?", default="ours", choices=here)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page, not text")
    arguments = parser.parse_args()
    workload = arguments.workload
    require(parser, "picows", "uvloop", "pyinstrument")
    if workload.kind is Kind.STARTUP:
        parser.error("python -X importtime -c 'import runware_ws' tells more of that")
    if workload.kind in APART:
        parser.error("this workload has a program of its own: see benchmarks.apart")
    profiler = import_module("pyinstrument").Profiler(interval=_INTERVAL, async_mode="disabled")
    with input_file(workload.file_bytes) as file, place_for(workload) as ports:
        job = job_for(workload, arguments.client, ports, workload.tasks, file)
        with profiler:
            figures = do_job(job)
    if arguments.html:
        arguments.html.write_text(profiler.output_html())
    else:
        print(profiler.output_text(unicode=True, flat=False, show_all=True))
    print({name: round(value, 2) for name, value in figures.items()})


if __name__ == "__main__":
    main()
