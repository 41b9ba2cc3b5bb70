"""What is large and shared, such as open models: made once, kept while it is used, and let go of after that."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


@dataclass(eq=False)
class Recent(Generic[T]):
    """Things by name, of which the `most` that were asked for last are kept; any thread may ask.

    What anybody else still holds stays known beyond that, and is found again: there are never two of a name alive.
    """

    most: int
    lingers: Callable[[], object] = lambda: None  # called when something new has others let go of that are still alive
    _kept: OrderedDict[Hashable, T] = field(default_factory=OrderedDict)  # the one asked for last is last
    _alive: WeakValueDictionary[Hashable, T] = field(default_factory=WeakValueDictionary)
    _making: dict[Hashable, Future[T]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, name: Hashable, make: Callable[[], T]) -> T:
        """The thing of that name, made unless it is alive.

        Who asks while it is being made waits for that. What `make` raises is raised to all who wait, and not kept.
        """
        with self._lock:
            found = self._alive.get(name)
            making = self._making.get(name)
            if found is None and making is None:
                mine = self._making[name] = Future()
        is_new = found is None
        if found is None:
            found = self._made(name, mine, make) if making is None else making.result()
        self._keep(name, found, is_new=is_new)
        return found

    def _made(self, name: Hashable, making: Future[T], make: Callable[[], T]) -> T:
        """Make it, and tell those who wait."""
        try:
            made = make()
        except BaseException as fault:
            with self._lock:
                del self._making[name]
            making.set_exception(fault)
            del making  # whose fault would hold it, in a circle with all that was half made
            raise
        with self._lock:
            self._alive[name] = made
            del self._making[name]
        making.set_result(made)
        return made

    def _keep(self, name: Hashable, thing: T, *, is_new: bool) -> None:
        with self._lock:
            self._kept[name] = thing
            self._kept.move_to_end(name)
            too_many = [self._kept.popitem(last=False) for _ in range(len(self._kept) - self.most)]
        if too_many:
            too_many.clear()
            # Shown to somebody, or garbage of whoever has left. Whoever comes back to what is shown adds nothing to it.
            if is_new and len(self._alive) > self.most:
                self.lingers()
