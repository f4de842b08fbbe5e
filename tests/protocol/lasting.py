"""Extend the world with a journal, and with a client that can be killed.

What the session wants written down is gathered, is written some time later, and has its
consequences some time after that, as with the `JournalWriter`; a test calls for each step, and
may kill the process between any two. Journal and recovery are the real ones.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runware_ws.emulator.service import effects as server_effects
from runware_ws.journal.changes import Change, Forget, Keep
from runware_ws.journal.loading import read_request
from runware_ws.journal.origin import Origin
from runware_ws.journal.recovery import restore
from runware_ws.journal.store import Journal
from runware_ws.journal.writer import change_of
from runware_ws.protocol.effects import Load, Notify, Pong, Record, Settle
from runware_ws.protocol.wire import decode_item
from tests.journal.files import entries_of
from tests.protocol.world import NumberedTask, Outcome, World, number_of

__all__ = ["LastingWorld"]


@dataclass(eq=False, slots=True)
class Note:
    """Something to be written or loaded, and what waits for that."""

    change: Change | None = None
    effect: Record | Settle | Load | None = None


class LastingWorld(World):
    """See the module's text.

    Args:
        path: where the journal is.
        seed, settings: see `World`.

    Attributes:
        gathered: what is to be written.
        written: what is written, and has not had its consequences.
        heard: all that was handed over to those who wait, in whatever process, by number.
        untaken: rows of the results that were handed over to this process.
        kept: the names of the tasks that were ever in the journal.
        kept_attempts: the UUIDs of their attempts.
        forgotten: the numbers of the tasks that it has forgotten.
    """

    journaled = True

    def __init__(self, path: Path, seed: int = 0, **settings: Any) -> None:
        self._path = path
        self._numbers: dict[str, int] = {}  # of the tasks, by their UUIDs
        self._rows: dict[str, int] = {}  # likewise
        self.gathered: deque[Note] = deque()
        self.written: deque[Note] = deque()
        self.heard: defaultdict[int, list[Outcome]] = defaultdict(list)
        self.untaken: list[int] = []
        self.kept: set[str] = set()
        self.kept_attempts: set[str] = set()
        self.forgotten: set[int] = set()
        super().__init__(seed, **settings)

    # The process.

    def take_up(self) -> None:
        self.journal = Journal(self._path, clock=lambda: self.now)
        self.client.main.reconnector.session_uuid = self.journal.session()
        for entry in entries_of(self.journal):
            number = self._numbers[entry.uuid]
            assert number not in self.forgotten
            self._rows[entry.uuid] = entry.row
            if entry.has_result:
                answer = decode_item(self.journal.answer(entry.row))
                self._hand_over(number, entry.uuid, answer)
                continue
            task = NumberedTask(number, entry.uuid)
            restore(task, entry)
            self.expect(task)
            self.client.attach(task, self.now)

    def kill(self, *, written: int, server_knows: bool, frames_count_as_undelivered: bool) -> None:
        """The process dies, when so much of what it had gathered was written. The next begins."""
        self.write(written)
        self.journal.close()
        self.gathered.clear()
        self.written.clear()
        self.untaken.clear()
        self._rows.clear()
        self.hang_up(server_knows, frames_count_as_undelivered)
        self.start()

    # What the writer does.

    def expect(self, task: NumberedTask) -> None:
        super().expect(task)
        if task.origin is None:
            task.origin = Origin(self.journal.new_row(), bytes(task.payload), None)

    def write(self, count: int) -> None:
        """So much of what was gathered is written, all or nothing."""
        batch = [self.gathered.popleft() for _ in range(min(count, len(self.gathered)))]
        changes = [note.change for note in batch if note.change is not None]
        self.journal.commit(changes, self.client.main.reconnector.session_uuid)
        kept = [change for change in changes if isinstance(change, Keep)]
        self.kept |= {change.uuid for change in kept}
        self.kept_attempts |= {change.wire_uuid for change in kept}
        gone = {change.row for change in changes if isinstance(change, Forget)}
        self.forgotten |= {self._numbers[uuid] for uuid, row in self._rows.items() if row in gone}
        self.written += batch

    def pass_on(self) -> None:
        """Let what was written have its consequences."""
        while self.written:
            effect = self.written.popleft().effect
            if isinstance(effect, Record):
                self.client.recorded(effect.task)
            elif isinstance(effect, Load):
                request = read_request(self.journal, effect.task.origin.row)
                self.client.loaded(effect.task, request.payload, request.why_not)
            elif isinstance(effect, Settle):
                self._hand_over(number_of(effect.task), effect.task.uuid, effect.outcome)
        self.pump()

    def take(self, row: int) -> None:
        """Somebody has a result, and does not need it in the journal any more."""
        self.untaken.remove(row)
        self.gathered.append(Note(Forget(row)))

    @property
    def durable(self) -> set[int]:
        """The numbers of the tasks that were ever in the journal."""
        return {self._numbers[uuid] for uuid in self.kept}

    def _hand_over(self, number: int, uuid: str, outcome: Outcome) -> None:
        self.heard[number].append(outcome)
        if isinstance(outcome, dict):
            self.untaken.append(self._rows[uuid])

    def settle(self, effect: Settle) -> None:
        super().settle(effect)
        self._note(effect)

    def _note(self, effect: Record | Settle) -> None:
        self._numbers[effect.task.uuid] = number_of(effect.task)
        self._rows[effect.task.uuid] = effect.task.origin.row
        self.gathered.append(Note(change_of(effect), effect))

    # The plumbing.

    def _client_wants(self, effect: Any) -> None:
        if isinstance(effect, Record):
            self._note(effect)
        elif isinstance(effect, Load):
            self.gathered.append(Note(effect=effect))
        elif isinstance(effect, Pong) or (
            isinstance(effect, Notify) and effect.event.kind == "connected"
        ):
            self.gathered.append(Note())  # the session is alive
        else:
            super()._client_wants(effect)

    def _server_wants(self, effect: server_effects.ServiceEffect) -> None:
        if isinstance(effect, server_effects.Run):
            assert effect.job.key in self.kept_attempts, "sent before it was written"
        super()._server_wants(effect)

    def settle_down(self, *, finish: bool = True) -> None:
        super().settle_down(finish=finish)
        while self.gathered or self.written:
            self.write(len(self.gathered))
            self.pass_on()
            super().settle_down(finish=finish)

    def heal(self) -> None:
        super().heal()
        self.settle_down()
