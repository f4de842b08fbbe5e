"""What the faults have done so far: the part of it that outlasts the moment."""

from __future__ import annotations

from collections import Counter

from ...protocol.wire import Item, encode_answer
from ..service.core import Service
from ..service.effects import Close, Cut, Effect, Push
from ..service.sessions import Link
from .holding import Holding
from .kinds import Drop, Fault

__all__ = ["Scene"]


class Scene:
    """The connections that are cut or silent, what is held back, and what is to be done.

    Attributes:
        service: what is without faults.
        effects: what is to be done, in this order.
        holding: what is held back for a while.
        struck: how often each kind of fault has struck.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.effects: list[Effect] = []
        self.holding = Holding()
        self.struck: Counter[str] = Counter()
        self._silent: dict[Link, list[Push] | None] = {}  # with what is to be given back
        self._cut: set[Link] = set()

    def note(self, fault: Fault) -> None:
        """A fault strikes."""
        self.struck[fault.kind] += 1

    def emit(self, effect: Effect) -> None:
        """Let something be done, unless it is on a connection that is silent."""
        if not isinstance(effect, Push | Close | Cut) or effect.link not in self._silent:
            self.effects.append(effect)
        elif isinstance(effect, Push) and (waiting := self._silent[effect.link]) is not None:
            waiting.append(effect)

    def say(self, link: Link, error: Item) -> None:
        """Send an error, past all other faults."""
        self.emit(Push(link, encode_answer(errors=[error])))

    def hears(self, link: Link) -> bool:
        """Whether what arrives on a connection still gets through."""
        return link not in self._silent and link not in self._cut

    def cut(self, link: Link, drop: Drop) -> None:
        """End a connection. What is emitted for it after this comes back as unsent."""
        self._cut.add(link)
        if drop.how == "close":
            self.emit(Close(link, drop.code, "the fault script says so"))
        else:
            self.emit(Cut(link, drop.how))

    def silence(self, link: Link, *, written: bool) -> None:
        """Hear and say nothing more on a connection; see `Silence`."""
        self._silent.setdefault(link, None if written else [])

    def expire(self, link: Link) -> None:
        """Forget the session of a connection."""
        if link.session is not None:
            self.service.expire_session(link.session.uuid)

    def end(self, link: Link) -> list[Push]:
        """A connection has ended: what was never sent there, in its order."""
        self._cut.discard(link)
        return [*(self._silent.pop(link, None) or ()), *self.holding.forget(link)]
