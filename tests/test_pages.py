"""Every page through Streamlit's own harness: it opens, and bad input never takes it down."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.ui import cache
from explorer.ui.session import Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.toys import toy_model
from vqvae import checkpoint
from vqvae.images import to_png

PAGES = sorted((ROOT / "pages").glob("*.py"))


@pytest.fixture
def toy_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A two-input toy named photos, a one-input one, and nothing else."""
    checkpoint.save(tmp_path / "photos", toy_model(), {"summary": "A toy with *two* inputs."})
    checkpoint.save(tmp_path / "classic", toy_model(decoder_inputs="quantized"), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    return tmp_path


def run(path: Path, **query: str) -> AppTest:
    app = AppTest.from_file(str(path), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def messages(elements) -> str:
    return " ".join(element.value for element in elements)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["photos", "classic"])
def test_the_page_opens_with_either_kind_of_decoder(path, name, toy_checkpoints):
    app = run(path, checkpoint=name)
    assert not app.exception
    assert not app.error
    assert app.session_state[SESSION_KEY].checkpoint == name


def test_the_app_opens_on_its_first_page(toy_checkpoints):
    app = run(ROOT / "app.py")
    assert not app.exception
    assert app.sidebar.selectbox[0].options == ["classic", "photos"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_without_any_checkpoint_the_page_says_what_to_do(path, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "ROOT", tmp_path / "nothing")
    app = run(path)
    assert not app.exception
    assert "python -m vqvae.train" in messages(app.info)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_broken_folder_is_listed_with_its_reason_and_the_rest_works(path, toy_checkpoints):
    (toy_checkpoints / "bro*ken*").mkdir()
    (toy_checkpoints / "bro*ken*" / "config.json").write_text("[")
    app = run(path)
    assert not app.exception
    assert "not valid JSON" in messages(app.sidebar.markdown)
    assert app.session_state[SESSION_KEY].checkpoint == "photos"


def test_weights_that_are_not_finite_are_refused_when_chosen_and_another_checkpoint_opens(toy_checkpoints):
    model = toy_model()
    model.codebook[0, 0] = float("nan")
    checkpoint.save(toy_checkpoints / "nan", model, {})
    app = run(ROOT / "pages" / "reconstruct.py", checkpoint="nan")
    assert not app.exception
    assert "not finite" in messages(app.sidebar.markdown)
    assert len(app.get("download_button")) == 3  # the page is all there


def test_a_link_to_what_is_not_here_says_so_and_shows_something_else(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py", checkpoint="gone", picture="gone")
    assert not app.exception
    assert "no checkpoint named gone" in messages(app.sidebar.warning)
    assert "not here" in messages(app.main.warning)
    assert app.session_state[SESSION_KEY] == Session(checkpoint="photos")


def test_an_upload_is_shown_and_a_bad_one_is_refused_and_changes_nothing(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    app.file_uploader[0].upload("mine.png", to_png(pixels), "image/png").run()
    assert not app.exception and not app.error
    shown = app.session_state[SESSION_KEY].picture
    assert len(shown) == 64
    app.file_uploader[0].upload("*bad*.png", b"nonsense", "image/png").run()
    assert not app.exception
    assert len(app.error) == 1
    assert "is not an image" in app.error[0].value
    assert app.session_state[SESSION_KEY].picture == shown


def test_the_working_size_can_be_chosen_and_the_picture_says_what_became_of_it(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py")
    app.main.selectbox[0].set_value(128).run()
    assert app.session_state[SESSION_KEY].working_size == 128
    assert "to 128 × 85 px" in messages(app.caption).replace("\\", "")


def test_choosing_a_checkpoint_keeps_the_rest_of_the_session(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py", picture="coffee", blend="0.5")
    app.sidebar.selectbox[0].set_value("classic").run()
    session = app.session_state[SESSION_KEY]
    assert (session.checkpoint, session.picture, session.blend) == ("classic", "coffee", 0.5)
    assert app.query_params["checkpoint"] == "classic"


def on_page(name: str, session: Session) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = session
    return app.run()


def test_switches_show_what_the_session_says_and_change_it(toy_checkpoints):
    app = on_page("inputs", Session().on("inputs", view="reliance", tested_on="samples", tested_most=7))
    assert not app.exception
    most, maps = app.number_input(key="reliance-most"), app.toggle(key="reliance-maps")
    assert (most.value, maps.value) == (7, False)
    most.set_value(9)
    maps.set_value(True)
    app.run()
    assert not app.exception
    now = app.session_state[SESSION_KEY].inputs
    assert (now.tested_most, now.shows_maps) == (9, True)


@pytest.mark.parametrize(
    ("page", "key", "left"),
    [
        ("inputs", "inputs-view", Session().on("inputs", view="pair", pair_view="between")),
        ("inputs", "pair-view", Session().on("inputs", view="pair", pair_view="between")),
        ("inputs", "curve-measure", Session().on("inputs", curve="ssim")),
        ("inputs", "tested-on", Session().on("inputs", view="reliance", tested_on="set")),
    ],
)
def test_a_second_click_on_a_choice_leaves_it(page, key, left, toy_checkpoints):
    app = on_page(page, left)
    app.button_group(key=key).set_value(None).run()
    assert not app.exception
    assert app.session_state[SESSION_KEY].inputs == replace(left.inputs, curve_mark=ANY)


def test_a_new_visitor_has_the_address_of_a_new_session(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py")
    assert app.session_state[SESSION_KEY] == Session()
    assert app.query_params == Session().to_query()
