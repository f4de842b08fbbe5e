"""One HTTP request: collects the answers of all its tasks, then is answered once."""

from __future__ import annotations

from .replies import Answer

__all__ = ["Call"]


class Call:
    """The REST twin of a connection, for the length of one request.

    The answers are put in the order of the tasks, whatever the order in which they came.

    Attributes:
        is_open: False once it was answered, or the client has hung up.
    """

    __slots__ = ("_answers", "_pending", "is_open")

    def __init__(self) -> None:
        self.is_open = True
        self._answers: dict[object, Answer] = {}
        self._pending = 0

    def reserve(self, key: object) -> None:
        """Keep a place for the answer of the task `key`, which comes later."""
        self._answers[key] = Answer()
        self._pending += 1

    def fill(self, key: object, answer: Answer) -> None:
        """Put the answer into the place that was kept for it."""
        self._answers[key] = answer
        self._pending -= 1

    def add(self, answer: Answer) -> None:
        """Add an answer that is known at once."""
        self._answers[object()] = answer

    @property
    def is_complete(self) -> bool:
        """Whether each of its tasks has its answer."""
        return self._pending == 0

    def answer(self) -> Answer:
        """All answers as one."""
        whole = Answer()
        for answer in self._answers.values():
            whole.extend(answer)
        return whole
