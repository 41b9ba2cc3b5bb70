"""How much of something all who share it may hold together: admitted while there is room, and given back."""

from __future__ import annotations

import threading
import weakref


class Room:
    """Room of a size, for things that are counted for as long as anybody holds them; any thread may ask."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._admitted: set[int] = set()  # by identity: equal things take room twice
        self._lock = threading.RLock()  # the collector may give room back in the middle of anything

    def admit(self, thing: object, size: int) -> bool:
        """Whether there is room for a thing of that size; it is then taken, once for each thing."""
        with self._lock:
            if id(thing) in self._admitted:
                return True
            if self.taken + size > self.most:
                return False
            self.taken += size
            self._admitted.add(id(thing))
        weakref.finalize(thing, self._give_back, id(thing), size)
        return True

    def _give_back(self, which: int, size: int) -> None:
        with self._lock:
            self._admitted.discard(which)
            self.taken -= size
