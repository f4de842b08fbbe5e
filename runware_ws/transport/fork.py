"""A forked process keeps away from the connections of the process that it was forked from.

It has their sockets: whatever it wrote would reach the service, and be heard by nobody.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """An object that has something of its process."""

    def forked(self) -> None:
        """Give it up: this is another process, a moment after the fork."""


_guarded: WeakSet[Forkable] = WeakSet()


def guard(thing: Forkable) -> None:
    """Have `thing.forked` called in each process that is forked from this one."""
    _guarded.add(thing)


def replace_socket(descriptor: int) -> None:
    """Put a socket in the place of another one whose peer has closed.

    The other one itself stays as it is, also where an event loop still watches it: the processes
    share what the system watches for them.
    """
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        os.dup2(ours.fileno(), descriptor, inheritable=False)


def _after_fork() -> None:
    for thing in list(_guarded):
        with suppress(Exception):
            thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
