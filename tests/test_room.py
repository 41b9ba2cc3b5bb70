"""Room that is shared: never more than there is, and given back when what took it is gone."""

import threading

from explorer.base.room import Room
from explorer.ui import session
from explorer.ui.session import Session, Upload


class Thing:
    pass


def test_what_does_not_fit_is_not_admitted_and_takes_nothing():
    room, small, large = Room(10), Thing(), Thing()
    assert room.admit(small, 6)
    assert not room.admit(large, 5)
    assert room.admit(large, 4) and room.taken == 10


def test_a_thing_is_counted_once_and_until_it_is_gone():
    room, thing = Room(10), Thing()
    assert room.admit(thing, 6) and room.admit(thing, 6)
    assert room.taken == 6
    del thing
    assert room.taken == 0


def test_equal_uploads_of_two_visitors_both_count():
    room = Room(10)
    mine, yours = Upload("a.png", b"12345"), Upload("a.png", b"12345")
    assert room.admit(mine, 5) and room.admit(yours, 5) and room.taken == 10


def test_threads_never_take_more_than_there_is():
    room = Room(1000)
    held: list[Thing] = []

    def take() -> None:
        for _ in range(2000):
            thing = Thing()
            if room.admit(thing, 3):
                held.append(thing)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert room.taken == 3 * len(held) == 999


def test_the_oldest_uploads_make_room_for_bytes_and_the_newest_always_stays(monkeypatch):
    monkeypatch.setattr(session, "MOST_UPLOAD_BYTES", 10)
    now = Session()
    for name, size in (("a", 4), ("b", 5), ("c", 3)):
        now = now.having(Upload(name, name.encode() * size))
    assert [upload.name for upload in now.uploads] == ["b", "c"]
    assert [upload.name for upload in now.having(Upload("huge", b"x" * 99)).uploads] == ["huge"]
