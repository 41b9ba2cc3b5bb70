"""The address as the state: what it says of a session, and which of its changes are a step of the browser's history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

STEPS = ("checkpoint", "models", "picture", "code", "step", "run")  # each, and each page, is one step to go back
SMALL = ("size", "blend", "cell", "tried", "view", "on")  # the rest of what is ours: these change within a step


@dataclass(frozen=True)
class Address:
    """What the address says, and the whole that it means: what it leaves open was filled in.

    An address says no more than was said to it. So a link that was opened stays as it is, and is one step to leave.
    """

    says: Mapping[str, str]
    means: Mapping[str, str]

    @classmethod
    def opened(cls, query: Mapping[str, str], means: Mapping[str, str]) -> Address:
        """That of a link; what is not ours in its query is left out."""
        return cls({name: query[name] for name in (*STEPS, *SMALL) if name in query}, means)

    def filled(self, before: Mapping[str, str], after: Mapping[str, str]) -> Address:
        """The app itself went on from one query to another: the address means that now, and says no more for it."""
        return replace(self, means=_changed(self.means, before, after))

    def changed(self, query: Mapping[str, str]) -> Address:
        """The visitor went on to a query: the address says what is another than it meant."""
        return Address(_changed(self.says, self.means, query), query)


def _changed(query: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """A query with the changes from one to another made in it."""
    changes = {name: after.get(name) for name in {**before, **after} if before.get(name) != after.get(name)}
    return {name: value for name, value in {**query, **changes}.items() if value is not None}
