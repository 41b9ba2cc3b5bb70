"""The Learn page in Streamlit's own harness: nothing is shown before it is asked for, and all opens on every toy."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.learn.answers import BYPASS, CLASSIC, TRAINED
from explorer.learn.claims import offered
from explorer.ui import cache
from explorer.ui.session import Guessed, Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.known_decoders import known
from tests.toys import toy_model
from vqvae import checkpoint
from vqvae.model import VQVAE

MODELS: dict[str, Callable[[], VQVAE]] = {
    "two": toy_model,
    "one": lambda: toy_model(decoder_inputs="quantized"),
    "narrow": lambda: toy_model(embedding_channels=2),
    "single": lambda: toy_model(codes=1),
    "deaf": lambda: known("ignores the embedding"),
    TRAINED: toy_model,
    CLASSIC: lambda: toy_model(decoder_inputs="quantized"),
    BYPASS: lambda: known("bypasses the codebook"),
}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens the page on some toys and no other checkpoint; the first is the one that is open."""

    def open_page(*names: str, session: Session | None = None) -> AppTest:
        for name in names:
            if not (tmp_path / name).exists():
                checkpoint.save(tmp_path / name, MODELS[name](), {})
        monkeypatch.setattr(cache, "ROOT", tmp_path)
        app = AppTest.from_file(str(ROOT / "pages" / "learn.py"), default_timeout=120)
        app.session_state[SESSION_KEY] = (session or Session(working_size=128)).with_checkpoint(names[0])
        app.run()
        assert not app.exception, app.exception[0].value
        assert not app.error, app.error[0].value
        return app

    return open_page


def said(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def session_of(app: AppTest) -> Session:
    return app.session_state[SESSION_KEY]


def shown(app: AppTest) -> int:
    """How many claims are tested."""
    return said(app).count("class='walk-finding'")


SHOWING = Session(working_size=128).on("learn", shows_all=True)


@pytest.mark.parametrize("name", MODELS)
def test_all_is_shown_on_every_toy_without_the_shipped_checkpoints(name, alone):
    app = alone(name, session=SHOWING)
    assert shown(app) == len(offered(MODELS[name]().spec))
    assert "This picture names" in said(app)
    assert not [field for field in app.number_input if field.label.endswith("?")]


def test_beside_the_shipped_ones_they_are_compared(alone):
    app = alone("narrow", TRAINED, CLASSIC, BYPASS, session=SHOWING)
    assert "no checkpoint named" not in said(app)
    assert "its settings do not say" in said(app)


def test_nothing_is_given_away_before_it_is_asked_for_and_no_claim_is_tested(alone, monkeypatch):
    def tested(*arguments: object) -> None:
        raise AssertionError("a claim was tested that nobody asked about")

    monkeypatch.setattr(cache, "finding", tested)
    app = alone("two")
    assert "This picture names" not in said(app) and "beside them it is" not in said(app)
    assert len([field for field in app.number_input if field.label.endswith("?")]) == 4


def test_beside_the_shipped_ones_nothing_is_given_away_either(alone):
    """The decibels of the other checkpoints are those that are to be guessed."""
    text = said(alone("two", TRAINED, CLASSIC, BYPASS))
    cards = re.findall("<article class='walk-answer'>.*?</article>", text)
    assert len(cards) == 6
    assert not re.search(r"[\d∞] dB", " ".join(cards))


def field(app: AppTest, prompt: str):
    return next(field for field in app.number_input if prompt in field.label)


def press(app: AppTest, label: str, number: int = 0) -> AppTest:
    return [button for button in app.button if button.label == label][number].click().run()


def test_a_guess_is_kept_and_shown_beside_the_figure(alone):
    app = alone("two")
    field(app, "does this picture name").set_value(5)
    press(app, "Show")
    assert "Your guess: 5 codes · measured: " in said(app)
    (guess,) = session_of(app).learn.guesses
    assert (guess.name, guess.value) == ("codebook", 5)
    assert shown(app) == 0  # the claim of that name is another thing


def test_without_a_guess_the_figure_is_shown_all_the_same(alone):
    app = press(alone("two"), "Show", 2)
    assert "As float32 it takes 4 numbers a cell" in said(app)
    assert "Your guess" not in said(app)


def test_what_was_guessed_of_one_picture_is_not_shown_of_another(alone):
    app = press(alone("two"), "Show")
    kept = session_of(app)
    assert "This picture names" in said(app)
    other = alone("two", session=kept.with_picture("coffee"))
    assert "This picture names" not in said(other)
    assert "This picture names" in said(alone("two", session=kept))


@pytest.mark.parametrize("number, value", list(enumerate(["Right", "Half right", "Wrong", "Show me"])))
def test_a_claim_that_was_judged_is_tested(number, value, alone):
    app = press(alone("two"), value)
    assert shown(app) == 1
    assert ("You said: " + value in said(app)) is (number < 3)


def test_what_is_shown_can_be_hidden_again(alone):
    app = press(press(alone("two"), "Show"), "Wrong")
    other = Guessed("codebook", "of another picture", 3)
    app.session_state[SESSION_KEY] = session_of(app).with_guess(other)
    app.run()
    press(app, "Hide them again")
    assert session_of(app).learn.guesses == (other,)
    assert shown(app) == 0 and "This picture names" not in said(app)


@pytest.mark.parametrize("blend", [-0.5, 1.5])
def test_a_blend_from_beyond_is_taken_to_the_end_of_the_slider(blend, alone):
    app = alone("two", session=Session(working_size=128).with_blend(blend, uses_embedding=True))
    assert app.slider(key="learn-blend").value == (100 if blend > 0 else 0)


def test_a_cell_of_a_link_that_the_grid_has_not_is_the_one_in_the_middle(alone):
    for linked, cell in (((2, 3), "2, column 3"), ((900, 3), "11, column 16")):
        app = alone("two", session=Session(working_size=128).on("learn", linked_cell=linked))
        assert f"row {cell}" in said(app)
        assert session_of(app).learn.linked_cell is None
        assert session_of(app).cell == (linked if linked == (2, 3) else None)


def test_what_was_done_is_in_the_address(alone):
    session = Session(working_size=128).with_tried("sky").on("learn", linked_cell=(0, 0), step="code")
    app = alone("two", session=session)
    tried = session_of(app).learn.tried
    assert tried >= {"sky"}
    assert app.query_params["tried"] == ",".join(sorted(tried))
    assert (app.query_params["cell"], app.query_params["step"]) == ("0,0", "code")
