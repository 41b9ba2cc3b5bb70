"""Every page through Streamlit's own harness: it opens, and bad input never takes it down."""

import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.index import cells
from explorer.ui import cache
from explorer.ui.session import NamedSet, Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.harness import at_rest, jobs_of
from tests.toys import toy_model, until
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
    return at_rest(app.run())


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
    app = run(ROOT / "explorer" / "ui" / "main.py")
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
    assert "not valid JSON" in messages(app.sidebar.caption)
    assert app.session_state[SESSION_KEY].checkpoint == "photos"


def test_weights_that_are_not_finite_are_refused_when_chosen_and_another_checkpoint_opens(toy_checkpoints):
    model = toy_model()
    model.codebook[0, 0] = float("nan")
    checkpoint.save(toy_checkpoints / "nan", model, {})
    app = run(ROOT / "pages" / "reconstruct.py", checkpoint="nan")
    assert not app.exception
    assert "not finite" in messages(app.sidebar.caption)
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
    assert app.session_state[SESSION_KEY].inputs == replace(left.inputs, curve_mark=ANY, curve_drawn=ANY)


def test_a_new_visitor_has_the_address_of_a_new_session(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py")
    assert app.session_state[SESSION_KEY] == Session()
    assert app.query_params == Session().to_query()


# --- the set of images of the Codebook page is indexed beside the page


@pytest.fixture
def slow_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> threading.Semaphore:
    """Each image of a set is encoded once it is let; nothing has been indexed yet."""
    steps = threading.Semaphore(0)
    measured = cells.measure

    def measure(*arguments):
        assert steps.acquire(timeout=60)
        return measured(*arguments)

    monkeypatch.setattr(cells, "measure", measure)
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    return steps


def open_codebook() -> AppTest:
    return AppTest.from_file(str(ROOT / "pages" / "codebook.py"), default_timeout=120).run()


def button(app: AppTest, label: str):
    return next(button for button in app.button if button.label == label)


def bar(app: AppTest) -> str:
    return app.get("progress")[0].proto.text


def test_indexing_shows_how_far_it_is_is_stopped_and_goes_on_from_there(toy_checkpoints, slow_steps):
    app = open_codebook()
    (job,) = jobs_of(app).values()
    slow_steps.release(3)
    until(lambda: job.done == 3)
    app.run()
    assert not app.exception and bar(app) == "Encoding Sample photos: 3 of 12 images"
    assert not app.metric and not app.get("plotly_chart")
    button(app, "Stop").click().run()
    assert button(app, "Stop").disabled
    slow_steps.release()
    assert job.wait(60) and job.state == "cancelled"
    app.run()
    assert "Indexing was stopped. What was done is kept." in messages(app.info)
    app.run()
    assert [button.label for button in app.button if button.label in ("Stop", "Go on")] == ["Go on"]
    button(app, "Go on").click().run()
    slow_steps.release(8)
    at_rest(app)
    assert not app.exception and not app.info and "code" in app.query_params
    assert not slow_steps.acquire(blocking=False)  # four were kept
    assert jobs_of(app) == {}


def test_a_second_visitor_waits_for_the_index_that_the_first_has_begun(toy_checkpoints, slow_steps):
    first, second = open_codebook(), open_codebook()
    assert bar(second) == "Encoding Sample photos"
    slow_steps.release(12)
    for app in (first, second):
        at_rest(at_rest(app).run())
    assert not first.exception and not second.exception
    assert "code" in first.query_params and "code" in second.query_params


def test_a_second_visitor_can_stop_waiting_and_goes_on_when_the_first_stops(toy_checkpoints, slow_steps):
    first, second, third = open_codebook(), open_codebook(), open_codebook()
    button(second, "Stop").click().run()
    (waiting,) = jobs_of(second).values()
    assert waiting.wait(60) and waiting.state == "cancelled"
    button(first, "Stop").click().run()
    slow_steps.release(12)
    for app in (first, third):
        at_rest(at_rest(app).run())
    assert "Indexing was stopped" in messages(first.info)
    assert not third.info and "code" in third.query_params


def test_a_set_of_which_nothing_can_be_read_is_refused_and_the_samples_are_shown(toy_checkpoints, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "broken.png").write_bytes(b"nonsense")
    app = AppTest.from_file(str(ROOT / "pages" / "codebook.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session().with_named_set(NamedSet(str(tmp_path / "set"), "", "set"))
    at_rest(app.run())
    assert not app.exception
    assert "Not one of the 1 files" in messages(app.error)
    assert "code" in app.query_params


# --- which codes of a codebook are shown


def test_where_nearly_all_codes_are_unused_only_the_others_are_shown_until_all_are_asked_for(tmp_path, monkeypatch):
    model = toy_model(codes=1024)
    model.codebook[8:] += 1000  # beyond what any picture is encoded to
    checkpoint.save(tmp_path / "photos", model, {})
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    app = run(ROOT / "pages" / "codebook.py")
    assert not app.exception
    (said,) = [caption.value for caption in app.caption if "are shown" in caption.value]
    used = int(said.split()[2])
    assert said == f"Only the {used} codes used here are shown; {1024 - used:,} are not used."
    assert 1 <= used <= 8 and app.toggle(key="filter-used").value
    button(app, "Show all").click().run()
    assert not app.exception
    assert not [caption for caption in app.caption if "are shown" in caption.value]
    assert app.session_state[SESSION_KEY].codebook.least_cells == 0 and not app.toggle(key="filter-used").value
    app.number_input(key="filter-least").set_value(app.number_input(key="filter-least").max).run()
    assert not app.exception  # the most used code alone
    app.toggle(key="filter-starred").set_value(True).run()
    assert "No code passes these filters." in messages(app.info)
    button(app, "Reset the filters").click().run()
    assert not app.exception and not app.info
    assert app.session_state[SESSION_KEY].codebook.least_cells is None


@pytest.mark.parametrize("view", ["wall", "map", "usage"])
@pytest.mark.parametrize("by", ["decoded colour", "log usage", "isolation", "of yesterday"])
def test_every_view_opens_in_every_colour_and_order(view, by, toy_checkpoints):
    order = "hue" if by == "decoded colour" else by
    app = on_page("codebook", Session().on("codebook", view=view, map_colour=by, wall_order=order, map_patches=True))
    at_rest(app)
    assert not app.exception and not app.error
