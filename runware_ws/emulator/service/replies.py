"""What is said at once about one task."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...protocol.wire import Item

__all__ = ["Answer"]


@dataclass(slots=True)
class Answer:
    """What a task is answered.

    Attributes:
        data, errors: the items and the errors.
        group: answers of one group share a frame; "" stands alone.
    """

    data: list[Item] = field(default_factory=list)
    errors: list[Item] = field(default_factory=list)
    group: str = ""

    def extend(self, other: Answer) -> None:
        """Take the content of another answer into this one."""
        self.data += other.data
        self.errors += other.errors
