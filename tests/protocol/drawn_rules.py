"""Rules of the service as stories draw them, and what a client can promise under them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from runware_ws.emulator import Rules

__all__ = ["Promise", "drawn_rules"]

# A client that waits for 2 s before it sends a task again can bear a lateness of the first.
_LATENESS = [0.0, 0.0, 1.0, 30.0]


def drawn_rules() -> st.SearchStrategy[Rules]:
    """Draw all rules that change what a client hears of its tasks."""
    documented = st.builds(
        Rules,
        errors_name_task=st.booleans(),
        replay=st.sampled_from(["after", "before"]),
        unknown_session=st.sampled_from(["new", "error"]),
        unknown_task=st.sampled_from(["error", "empty"]),
        sync_wait_ends=st.sampled_from(["error", "silence"]),
    )
    others = st.builds(
        Rules,
        conflicts=st.sampled_from(["always", "running", "never"]),
        conflict_delay=st.sampled_from(_LATENESS),
        conflict_names_task=st.booleans(),
        errors_name_task=st.booleans(),
        known_tasks=st.sampled_from(["all", "async"]),
        running_task=st.sampled_from(["processing", "empty", "error"]),
        unknown_task=st.sampled_from(["error", "empty"]),
        visible_after=st.sampled_from(_LATENESS),
        details=st.sampled_from(["answer", "last_response", "null", "nothing"]),
        replay=st.sampled_from(["after", "before", "none"]),
        unknown_session=st.sampled_from(["new", "same", "error", "close"]),
        sync_wait_ends=st.sampled_from(["error", "silence"]),
        retention=st.sampled_from(["long", "long", "ttl"]),
        answer_type=st.sampled_from(["imageUpscale", "upscale"]),
    )
    return documented | others


@dataclass(frozen=True, slots=True)
class Promise:
    """The promise of a client about a task under rules."""

    rules: Rules
    is_polled: bool

    @property
    def is_refused_twice(self) -> bool:
        """A second sending is always refused."""
        return self.rules.conflicts == "always" and not self.rules.conflict_delay

    @property
    def is_always_known(self) -> bool:
        """The service says that it knows the task, running or finished."""
        is_known = self._tells_that_it_runs or self.rules.details != "nothing"
        is_kept = self._tells_the_outcome or self.rules.details != "nothing"
        return self._is_seen_soon and is_known and is_kept

    @property
    def is_always_told(self) -> bool:
        """The service says that the task is running, and tells its outcome."""
        is_told = self._tells_that_it_runs or self.rules.details == "answer"
        return self._is_seen_soon and is_told and self._tells_the_outcome

    @property
    def _tells_that_it_runs(self) -> bool:
        return self._is_answered and self.rules.running_task == "processing"

    @property
    def _tells_the_outcome(self) -> bool:
        is_kept = self.rules.retention == "long"
        return is_kept and (self._is_answered or self.rules.details == "answer")

    @property
    def _is_answered(self) -> bool:
        return self.rules.known_tasks == "all" or self.is_polled

    @property
    def _is_seen_soon(self) -> bool:
        return self.rules.visible_after <= 1.0
