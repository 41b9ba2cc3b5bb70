"""The address as the state: a link stays as it was opened, and what was chosen since can be read back from it."""

import random

import pytest

from explorer.ui import page, store
from explorer.ui.address import SMALL, STEPS, Address
from explorer.ui.session import Session

LINKS = [{}, {"code": "417"}, {"picture": "coffee", "blend": "0.50"}, {"checkpoint": "gone", "utm_source": "mail"}]


def address_of(link: dict[str, str]) -> Address:
    return Address.opened(link, Session.from_query(link).to_query())


def read_back(address: Address) -> dict[str, str]:
    return Session.from_query(address.says).to_query()


def test_every_part_of_the_address_is_a_step_or_small_and_none_is_both():
    session = Session().with_cell((1, 2)).with_tried("sky").on("codebook", code=1).on("learn", step="code")
    session = session.on("training", run="mine").on("compare", models=("a", "b"), view="table")
    session = session.on("compare", measured_on="samples")
    assert set(session.to_query()) == {*STEPS, *SMALL}
    assert not set(STEPS) & set(SMALL)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_says_what_it_said_and_no_more(link):
    address = address_of(link)
    assert address.says == {name: value for name, value in link.items() if name != "utm_source"}
    assert address.changed(address.means) == address


def test_what_is_filled_in_is_not_said_until_it_is_chosen():
    before = Session()
    filled = before.on("codebook", code=12)
    address = address_of({}).filled(before.to_query(), filled.to_query())
    assert address.says == {} and address.means["code"] == "12"
    assert address.changed(filled.with_picture("coffee").to_query()).says == {"picture": "coffee"}
    assert address.changed(filled.on("codebook", code=13).to_query()).says == {"code": "13"}


def test_what_was_not_written_yet_is_not_lost_by_what_is_filled_in():
    dragged = Session(blend=0.3)
    address = address_of({}).filled(dragged.to_query(), dragged.on("codebook", code=12).to_query())
    assert address.changed(dragged.on("codebook", code=12).to_query()).says == {"blend": "0.3"}


def test_a_choice_that_is_taken_back_is_taken_out():
    session = Session().on("codebook", code=5)
    address = address_of({"code": "5"}).changed(session.with_checkpoint("photos-fine").to_query())
    assert address.says == {"checkpoint": "photos-fine"}  # whose code 5 is another one


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("link", LINKS)
def test_what_was_chosen_is_read_back_from_the_address(link, seed):
    """What it says is little, and yet all that it means."""
    draw = random.Random(seed)
    session, address = Session.from_query(link), address_of(link)
    for _ in range(12):
        change = draw.choice(
            [
                lambda now: now.with_picture(draw.choice(["chelsea", "coffee", "a" * 64])),
                lambda now: now.with_checkpoint(draw.choice(["photos", "photos-fine"])),
                lambda now: now.with_blend(draw.choice([0.25, 1.0]), uses_embedding=draw.random() < 0.5),
                lambda now: now.with_cell(draw.choice([None, (1, 2)])),
                lambda now: now.on("codebook", code=draw.choice([3, 417])),
                lambda now: now.on("learn", step=draw.choice(["patch", "code"])),
                lambda now: now.with_working_size(draw.choice([128, 256])),
            ]
        )
        session = change(session)
        address = address.changed(session.to_query())
        assert read_back(address) == address.means == session.to_query()


def test_a_folder_whose_name_is_no_unicode_is_said_in_an_address_all_the_same():
    session = Session().with_checkpoint("a\udcff").on("compare", models=("a\udcff", "b")).on("training", run="a\udcff")
    for value in session.to_query().values():
        assert value.encode()


def test_a_page_follows_the_address_before_it_draws_anything(monkeypatch):
    """Else what was drawn would be of the session, and written over the address."""
    done = []
    monkeypatch.setattr(page.navigation, "ensure", lambda: done.append("ensure"))
    monkeypatch.setattr(store, "follow_address", lambda: done.append("follow"))
    monkeypatch.setattr(page, "take_in", lambda mode: done.append("take in") or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.open_page("Edit", "")
    assert done == ["ensure", "follow", "take in"]
