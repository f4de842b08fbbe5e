"""Commits that are held up, as by a disk that is slow or hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import anyio
import anyio.from_thread
import pytest

from runware_ws.journal.changes import Change
from runware_ws.journal.store import Journal

__all__ = ["Brake"]


class Brake:
    """Holds up every commit that has a change of some kind.

    Attributes:
        commits: the changes of each commit, also of those that are not held up.
    """

    def __init__(self, patch: pytest.MonkeyPatch, kind: type[Change] | None = None) -> None:
        self.commits: list[list[Change]] = []
        self._reached = anyio.Event()
        self._release = threading.Event()
        commit = Journal.commit

        def braked(journal: Journal, changes: Iterable[Change], session: str | None) -> None:
            changes = list(changes)
            self.commits.append(changes)
            if any(kind is None or isinstance(one, kind) for one in changes):
                if threading.current_thread() is not threading.main_thread():
                    anyio.from_thread.run_sync(self._reached.set)
                self._release.wait(20)
            commit(journal, changes, session)

        patch.setattr(Journal, "commit", braked)

    async def reached(self) -> None:
        """Wait until a commit is held up."""
        with anyio.fail_after(20):
            await self._reached.wait()

    def release(self) -> None:
        self._release.set()
