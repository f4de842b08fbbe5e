"""Faults to inject into the emulator: each defines what goes wrong, and when.

    Emulator(faults=[Drop(every=10, how="reset"), Lose(probability=0.01), Garble(nth=3)])

Each fault watches one kind of event, which is given by `of`:

- ``connection``: a WebSocket connection is opened
- ``authentication``: a key arrives
- ``request``: a task arrives that asks for work: an upscale or an upload
- ``question``: any other task arrives: getResponse, getTaskDetails, ping
- ``result``: the outcome of a task, a success or an error, is about to be pushed
- ``answer``: any other frame is about to be sent: acknowledgments, pongs, answers to questions
- ``call``: an HTTP request arrives

Tasks and results are counted one by one, even if they share a frame. Each fault sees the output of
the faults before it in the list, so ``[Fail(nth=2), Mix(size=10)]`` puts an error among nine
results. Faults of results and answers affect only WebSockets.

A script of faults is a TOML file, or a JSON file with the same members::

    seed = 42                # optional: the seed of random faults

    [[faults]]
    kind = "drop"
    every = 10
    how = "reset"

    [[faults]]
    kind = "fail"
    probability = 0.05
    code = "timeout"
    match = { upscaleFactor = 4 }
"""

from __future__ import annotations

from .kinds import (
    KINDS,
    Anonymous,
    Delay,
    Drop,
    Duplicate,
    Expire,
    Fail,
    Fault,
    Garble,
    Lose,
    Mix,
    Oversize,
    Refuse,
    Reorder,
    Silence,
    Status,
    Stray,
)

__all__ = [
    "KINDS",
    "Anonymous",
    "Delay",
    "Drop",
    "Duplicate",
    "Expire",
    "Fail",
    "Fault",
    "Garble",
    "Lose",
    "Mix",
    "Oversize",
    "Refuse",
    "Reorder",
    "Silence",
    "Status",
    "Stray",
]
