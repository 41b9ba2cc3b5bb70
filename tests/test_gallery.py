"""What the gallery's browser side says, checked and taken in: pictures that come back, are asked for, are forgotten."""

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explorer.ui import picture_choice, store, widgets
from explorer.ui.components import gallery
from explorer.ui.components.gallery import Choice, Restored
from explorer.ui.session import MOST_UPLOADS, Session, Upload
from vqvae.images import to_png

GOOD = Upload("mine.png", to_png(np.zeros((8, 8, 3), np.uint8)))
OTHER = Upload("other.png", to_png(np.full((8, 8, 3), 9, np.uint8)))
BAD = Upload("bad.png", b"nonsense")


def said(monkeypatch: pytest.MonkeyPatch, **state: object) -> Choice:
    monkeypatch.setattr(widgets, "said", lambda key: state)
    return gallery.read_choice("gallery")


def sent(upload: Upload) -> dict[str, str]:
    return {"name": upload.name, "data": base64.b64encode(upload.data).decode()}


def test_pictures_that_come_back_are_read(monkeypatch):
    message = {"number": 2, "pictures": [sent(GOOD), sent(OTHER)], "chosen": GOOD.digest}
    assert said(monkeypatch, restored=message).restored == Restored(2, (GOOD, OTHER), GOOD.digest)
    assert said(monkeypatch, restored=message | {"chosen": None}).restored == Restored(2, (GOOD, OTHER), None)


@pytest.mark.parametrize(
    "message",
    [
        *("text", 5, [], {}),
        {"number": "1", "pictures": [], "chosen": None},
        {"number": True, "pictures": [], "chosen": None},
        {"number": -1, "pictures": [], "chosen": None},
        {"number": 1, "pictures": "all", "chosen": None},
        {"number": 1, "pictures": [], "chosen": 7},
    ],
)
def test_a_message_that_no_gallery_sends_is_nothing(monkeypatch, message: Any):
    assert said(monkeypatch, restored=message).restored is None


@pytest.mark.parametrize(
    "picture",
    [5, {}, {"name": "a.png"}, {"name": 1, "data": ""}, {"name": "a.png", "data": "?"}, {"name": "a.png", "data": 4}],
)
def test_a_picture_that_cannot_be_read_is_left_out(monkeypatch, picture: Any):
    message = {"number": 1, "pictures": [picture, sent(GOOD)], "chosen": None}
    assert said(monkeypatch, restored=message).restored == Restored(1, (GOOD,), None)


def test_what_is_too_much_is_left_out(monkeypatch):
    large = {"name": "a.png", "data": "A" * (gallery.MOST_BYTES * 4 // 3 + 8)}
    message = {"number": 1, "pictures": [large] + [sent(GOOD)] * 100, "chosen": None}
    restored = said(monkeypatch, restored=message).restored
    assert restored is not None and len(restored.uploads) == MOST_UPLOADS - 1


def test_what_the_browser_lacks_is_a_set_of_digests(monkeypatch):
    assert said(monkeypatch, lacking=[GOOD.digest, 5, None]).lacking == {GOOD.digest}
    assert said(monkeypatch, lacking="all").lacking == frozenset()
    assert said(monkeypatch).lacking == frozenset()


def test_a_picture_that_the_browser_has_not_kept_is_named(monkeypatch):
    assert said(monkeypatch, lost={"picture": GOOD.digest, "time": 5}).lost == GOOD.digest
    assert said(monkeypatch, lost=GOOD.digest).lost is None
    assert said(monkeypatch, lost={"picture": 5}).lost is None


# --- what becomes of it


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that keeps nothing: what is returned is looked at."""
    monkeypatch.setattr(store, "keep", lambda session: session)
    monkeypatch.setattr(store, "settle", lambda session: session)


@pytest.mark.usefixtures("kept")
def test_bad_pictures_are_passed_over_and_the_chosen_one_is_shown():
    session = picture_choice.take_back(Session(), Restored(1, (GOOD, BAD, OTHER), GOOD.digest))
    assert session.uploads == (GOOD, OTHER)
    assert session.picture == GOOD.digest


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("chosen", [None, BAD.digest, "coffee"])
def test_where_none_of_them_was_chosen_the_picture_stays(chosen: str | None):
    shown = Session(picture="rocket", cell=(1, 2)).with_refused(["one that was just given"])
    session = picture_choice.take_back(shown, Restored(1, (GOOD, BAD), chosen))
    assert session == replace(shown, uploads=(GOOD,))


def test_of_many_files_the_last_good_one_is_shown_and_each_bad_one_is_named():
    session = picture_choice.with_files(Session(), [GOOD, BAD, OTHER, Upload("worse.png", b"")])
    assert (session.uploads, session.picture) == ((GOOD, OTHER), OTHER.digest)
    assert [name in reason for name, reason in zip(("bad", "worse"), session.refused, strict=True)] == [True, True]
    assert session.made_room == 0
    assert picture_choice.with_files(session, [GOOD]).refused == ()  # those of before were read


def test_it_is_said_how_many_made_room():
    def many(count: int) -> list[Upload]:
        return [Upload(f"{shade}.png", to_png(np.full((8, 8, 3), shade, np.uint8))) for shade in range(count)]

    assert picture_choice.with_files(Session(), many(MOST_UPLOADS)).made_room == 0
    full = picture_choice.with_files(Session(), many(MOST_UPLOADS + 3))
    assert (len(full.uploads), full.made_room) == (MOST_UPLOADS, 3)
    assert picture_choice.with_files(full, [GOOD]).made_room == 1


@pytest.mark.usefixtures("kept")
def test_a_picture_that_is_lost_is_stood_in_for_and_one_that_is_here_is_not(monkeypatch):
    monkeypatch.setattr(picture_choice, "picture_titles", dict)
    asked = Session().with_picture(GOOD.digest)
    lost = picture_choice.follow(asked, Choice(lost=GOOD.digest))
    assert (lost.picture, lost.missing) == (Session().picture, GOOD.digest)
    assert picture_choice.follow(asked, Choice(lost=OTHER.digest)) == asked  # of another step
    here = Session().with_upload(GOOD)
    assert picture_choice.follow(here, Choice(lost=GOOD.digest)) == here


def test_a_forgotten_upload_is_gone_and_another_picture_shown_in_its_place():
    session = Session().with_upload(GOOD).with_upload(OTHER)
    assert session.without_upload(GOOD.digest).picture == OTHER.digest
    alone = session.without_upload(OTHER.digest)
    assert (alone.uploads, alone.picture) == ((GOOD,), Session().picture)
