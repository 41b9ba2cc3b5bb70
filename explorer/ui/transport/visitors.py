"""Who edits: each session of the app has a visitor with the engines that work for it, found by a secret token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from explorer.base.environment import whole_number
from explorer.editing.engine import EditEngine
from explorer.editing.requests import EditRequest

MOST_ENGINES, MOST_ENGINE_BYTES = 4, 64 << 20  # of one visitor
MOST_VISITORS = "VQVAE_EXPLORER_SESSIONS"  # environment: how many sessions this server has at a time; 0: any number


@dataclass(eq=False)
class Visitor:
    """What a socket needs to know of one session; the session alone keeps it alive, and the token ends with it."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    engines: dict[str, EditEngine] = field(default_factory=dict)  # by the content that they are of, newest last
    newest: dict[str, EditRequest] = field(default_factory=dict)  # by content: what was asked of it over a socket
    sockets: int = 0  # how many were opened: an older one gives way
    session: str = ""  # Streamlit's name for the session

    def __post_init__(self) -> None:
        _visitors[self.token] = self

    def keep(self, engine: EditEngine) -> EditEngine:
        """Remember an engine, and forget the oldest of too many, or of too many bytes; this one always stays."""
        self.engines[engine.content] = engine
        while len(self.engines) > 1 and (len(self.engines) > MOST_ENGINES or self.size > MOST_ENGINE_BYTES):
            oldest = next(iter(self.engines))
            del self.engines[oldest]
            self.newest.pop(oldest, None)
        return engine

    @property
    def size(self) -> int:
        """How many bytes the engines hold together, at the most."""
        return sum(engine.size for engine in self.engines.values())


_visitors: WeakValueDictionary[str, Visitor] = WeakValueDictionary()


def find(token: object) -> Visitor | None:
    """The visitor with this token, for as long as the session lasts."""
    return _visitors.get(token) if isinstance(token, str) else None


def number() -> int:
    """How many visitors there are."""
    return len(_visitors)


def sessions() -> set[str]:
    """Streamlit's names for the sessions whose visitors are still in memory."""
    return {visitor.session for visitor in list(_visitors.values())}


def is_room() -> bool:
    """Whether the server takes one more visitor."""
    return not most() or number() < most()


def most() -> int:
    """How many visitors the server takes, 0: any number; raises BadInput for what is no number."""
    return whole_number(MOST_VISITORS, 0)
