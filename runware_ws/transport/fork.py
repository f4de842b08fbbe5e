"""Keep forked processes away from the connections of their parent process.

They have copies of its sockets. Anything that they wrote would reach the service, but the answers
would be lost.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """An object that holds resources of its process."""

    def forked(self) -> None:
        """Release the resources. It is called in the new process right after the fork."""


_guarded: WeakSet[Forkable] = WeakSet()


def guard(thing: Forkable) -> None:
    """Call `thing.forked` in each process that is forked from this one."""
    _guarded.add(thing)


def replace_socket(descriptor: int) -> None:
    """Replace a socket by one whose peer has closed.

    The original socket is not changed, even if an event loop still watches it: the processes share
    the system's watches.
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
