"""What is kept of what was opened: the last few, and whatever anybody holds; each made once."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from explorer.base.recent import Recent
from tests.toys import until
from vqvae.errors import BadInput


class Thing:
    """Something that can be weakly referred to."""

    def __init__(self, name: str) -> None:
        self.name = name


class Opener:
    """Makes things, and notes which."""

    def __init__(self, most: int = 4) -> None:
        self.recent: Recent[Thing] = Recent(most)
        self.made: list[str] = []

    def __call__(self, name: str) -> Thing:
        def make() -> Thing:
            self.made.append(name)
            return Thing(name)

        return self.recent.get(name, make)


@pytest.fixture(autouse=True)
def no_collector():
    """What is let go of goes at once: the app tells the collector to pass over what is loaded."""
    gc.disable()
    yield
    gc.enable()


def test_the_one_asked_for_longest_ago_goes_first():
    opened = Opener()
    things = {name: weakref.ref(opened(name)) for name in "abcd"}
    opened("a")
    things["e"] = weakref.ref(opened("e"))
    assert [name for name, thing in things.items() if thing() is None] == ["b"]
    opened("f")
    assert [name for name, thing in things.items() if thing() is None] == ["b", "c"]
    assert opened.made == list("abcdef")


def test_what_is_held_elsewhere_is_found_again_and_goes_once_it_is_not():
    opened = Opener()
    held = opened("a")
    for name in "bcdefgh":
        opened(name)
    assert opened("a") is held and opened.made.count("a") == 1
    gone = weakref.ref(held)
    for name in "wxyz":
        opened(name)
    assert gone() is held
    del held
    assert gone() is None
    opened("a")
    assert opened.made.count("a") == 2


def test_what_is_found_again_is_among_the_last_used():
    opened = Opener(most=2)
    held = opened("a")
    for name in "bc":
        opened(name)
    again = weakref.ref(opened("a"))  # c is now the older one
    del held
    opened("d")
    assert again() is not None
    opened("e")
    assert again() is None


def test_those_who_ask_at_the_same_time_get_the_same_and_it_is_made_once():
    recent: Recent[Thing] = Recent(4)
    begun, go_on, made = threading.Event(), threading.Event(), []

    def make() -> Thing:
        begun.set()
        assert go_on.wait(30)
        made.append(1)
        return Thing("slow")

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(recent.get, "slow", make) for _ in range(8)]
        assert begun.wait(30)
        quick = recent.get("quick", lambda: Thing("quick"))  # which waits for nobody
        assert quick.name == "quick" and not any(one.done() for one in asked)
        go_on.set()
        found = {id(one.result(30)) for one in asked}
    assert len(found) == len(made) == 1


def test_a_failure_is_told_to_all_who_wait_and_the_next_one_tries_again():
    recent: Recent[Thing] = Recent(4)
    go_on, tries = threading.Event(), []

    def fail() -> Thing:
        tries.append(1)
        assert go_on.wait(30)
        raise BadInput("It is no model.")

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(recent.get, "bad", fail) for _ in range(4)]
        until(lambda: tries)
        go_on.set()
        faults = [one.exception(30) for one in asked]
    assert {str(fault) for fault in faults} == {"It is no model."}
    tried = len(tries)
    with pytest.raises(BadInput):
        recent.get("bad", fail)
    assert len(tries) == tried + 1
    assert recent.get("bad", lambda: Thing("mended")).name == "mended"


def test_garbage_that_holds_one_is_looked_for_once_another_is_let_go_of_and_only_then():
    looked: list[int] = []

    def look() -> None:
        looked.append(1)
        gc.collect()

    recent: Recent[Thing] = Recent(2, look)
    gone = weakref.ref(recent.get("a", lambda: Thing("a")))
    circle: list[object] = [gone()]
    circle.append(circle)
    del circle  # as a visitor's session goes, whose parts hold one another
    recent.get("b", lambda: Thing("b"))
    assert gone() is not None and not looked
    recent.get("c", lambda: Thing("c"))
    assert gone() is None and len(looked) == 1
    recent.get("d", lambda: Thing("d"))  # b goes at once
    assert len(looked) == 1


def test_coming_back_to_what_others_still_hold_costs_no_collection():
    told: list[int] = []
    recent: Recent[Thing] = Recent(2, lambda: told.append(1))
    held = [recent.get(name, lambda name=name: Thing(name)) for name in "abcd"]
    once = len(told)
    assert once
    for _ in range(3):
        assert [recent.get(thing.name, lambda: Thing("never")) for thing in held] == held
    assert len(told) == once
