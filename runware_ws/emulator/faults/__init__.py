"""The faults that the emulator can be told to have; each says what goes wrong, and when.

    Emulator(faults=[Drop(every=10, how="reset"), Lose(probability=0.01), Garble(nth=3)])

Each fault watches one kind of event, its `of`:

- ``connection``: a WebSocket connection is opened
- ``authentication``: a key arrives
- ``request``: a task arrives that asks for work (an upscale or an upload)
- ``question``: any other task arrives: getResponse, getTaskDetails, ping
- ``result``: a finished task is about to be pushed, as a success or as an error
- ``answer``: any other frame is about to be sent: acknowledgments, pongs, answers to questions
- ``call``: an HTTP request arrives

A task and a result are counted one by one, whatever frames they share. Faults stand in a row:
each sees what those before it have left, so ``[Fail(nth=2), Mix(size=10)]`` puts an error among
nine results. Faults of results and answers concern WebSockets only.
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
