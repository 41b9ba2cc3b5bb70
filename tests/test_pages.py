"""Every page through Streamlit's own harness: it opens, and bad input never takes it down."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.base.beside import FED, MAP, NEIGHBOURS, USAGE
from explorer.base.open_model import open_folder
from explorer.cli import main as cli
from explorer.codebook.projection import ProjectionSettings, projection_key, to_bytes, umap
from explorer.index import cells
from explorer.ui import cache
from explorer.ui.session import NamedSet, Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.harness import at_rest, jobs_of
from tests.toys import toy_model, until, write_toy_photos
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
    said = messages(app.info)
    assert "python -m vqvae.train" in said
    assert "app.py" not in said  # which is no file of an installed app
    assert path.stem == "training" or "python -m explorer --tokenizer" in said  # which needs no model


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_broken_folder_is_listed_with_its_reason_and_the_rest_works(path, toy_checkpoints):
    (toy_checkpoints / "bro*ken*").mkdir()
    (toy_checkpoints / "bro*ken*" / "config.json").write_text("[")
    app = run(path)
    assert not app.exception
    assert "not valid JSON" in messages(app.sidebar.caption)
    assert app.session_state[SESSION_KEY].checkpoint == "photos"


def test_weights_that_are_not_finite_are_not_offered_and_another_checkpoint_opens(toy_checkpoints):
    model = toy_model()
    model.codebook[0, 0] = float("nan")
    checkpoint.save(toy_checkpoints / "nan", model, {})
    app = run(ROOT / "pages" / "reconstruct.py", checkpoint="nan")
    assert not app.exception
    assert app.sidebar.selectbox[0].options == ["classic", "photos"]
    assert "The checkpoint nan cannot be opened; another is shown." in messages(app.sidebar.warning)
    assert "not finite" in messages(app.sidebar.caption)
    assert len(app.get("download_button")) == 3  # the page is all there


def test_six_that_cannot_be_opened_are_one_line_that_unfolds_with_what_each_needs(toy_checkpoints):
    for number in range(3):
        (toy_checkpoints / f"broken {number}").mkdir()
        (toy_checkpoints / f"broken {number}" / "config.json").write_text("[")
    (toy_checkpoints / "their model.ckpt").write_bytes(b"x")
    (toy_checkpoints / "pickled").mkdir()
    (toy_checkpoints / "pickled" / "a.pth").write_bytes(b"x")
    checkpoint.save(toy_checkpoints / "cut", toy_model(), {})
    (toy_checkpoints / "cut" / "model.safetensors").write_bytes(b"x" * 99)
    app = run(ROOT / "pages" / "reconstruct.py")
    assert not app.exception and not app.sidebar.warning and not app.sidebar.error
    [line] = app.sidebar.expander
    assert line.label == "6 models cannot be opened"
    for name in ("broken 0", "broken 1", "broken 2", "cut", "pickled", "their model\\.ckpt"):
        assert f"**{name}**" in messages(line.caption)
    assert [code.value for code in line.code] == [
        f"python -m vqvae.convert {toy_checkpoints}/pickled {toy_checkpoints}/pickled-converted",
        f"python -m vqvae.convert '{toy_checkpoints}/their model.ckpt' '{toy_checkpoints}/their model'",
    ]
    (toy_checkpoints / "their model.ckpt").unlink()
    assert app.run().sidebar.expander[0].label == "5 models cannot be opened"


def test_whose_own_folder_lacks_the_default_checkpoint_is_told_of_nothing(toy_checkpoints):
    (toy_checkpoints / "photos").rename(toy_checkpoints / "mine")
    for other in toy_checkpoints.iterdir():
        if other.name != "mine":
            shutil.rmtree(other)
    app = run(ROOT / "pages" / "reconstruct.py")
    assert not app.exception and not app.sidebar.warning
    assert app.session_state[SESSION_KEY].checkpoint == "mine"


def test_a_link_to_what_is_not_here_says_so_and_shows_something_else(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py", checkpoint="gone", picture="gone")
    assert not app.exception
    assert "no checkpoint named gone" in messages(app.sidebar.warning)
    assert "not here" in messages(app.main.warning)
    assert app.session_state[SESSION_KEY] == Session(checkpoint="photos", missing="gone")
    assert app.query_params == {"checkpoint": "gone", "picture": "gone"}  # as it was: that is no step of the visitor's
    assert "not here" in messages(app.run().main.warning)  # for as long as the sample stands in


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
    assert app.file_uploader[0].value == []  # empty: what it was given is in the gallery


def test_files_that_are_refused_are_one_line_that_unfolds_until_another_picture_is_chosen(toy_checkpoints):
    refused = [f"“{number}.png” is not an image." for number in range(3)]
    app = on_page("reconstruct", Session().with_refused(refused))
    assert not app.exception and not app.error
    (unfolds,) = app.main.expander
    assert unfolds.label == "3 files could not be opened"
    assert messages(unfolds.markdown).count("is not an image") == 3
    app = on_page("reconstruct", Session().with_refused(refused).with_picture("coffee"))
    assert not app.main.expander


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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("link", [{}, {"picture": "coffee"}, Session().on("codebook", code=3).to_query()])
def test_a_link_is_left_as_it_was_opened(path, link, toy_checkpoints):
    assert run(path, **link).query_params == link


def test_what_is_chosen_is_said_and_nothing_else(toy_checkpoints):
    app = run(ROOT / "pages" / "codebook.py", utm_source="mail")
    app.number_input(key="code-number").set_value(5).run()
    assert app.query_params == {"utm_source": "mail", "code": "5"}


def test_a_picture_that_only_the_browser_may_have_is_asked_for_and_nothing_else_shown(toy_checkpoints):
    app = run(ROOT / "pages" / "reconstruct.py", picture="a" * 64)
    assert not app.exception and not app.main.warning
    assert "brought back from this browser" in messages(app.info)
    assert not app.get("download_button")  # no picture that is another one
    assert app.session_state[SESSION_KEY].picture == "a" * 64


def test_a_page_that_cannot_ask_the_browser_for_a_picture_says_where_it_is_brought_back(toy_checkpoints):
    app = run(ROOT / "pages" / "codebook.py", picture="a" * 64)
    assert not app.exception
    assert "open Reconstruct to bring it back. A sample is shown in its place." in messages(app.main.warning)
    assert app.session_state[SESSION_KEY].picture == "a" * 64  # which Reconstruct then asks for


@pytest.mark.parametrize(("made_room", "removed"), [(1, "the oldest was"), (3, "the 3 oldest were")])
def test_it_is_said_which_pictures_were_removed_to_make_room(made_room, removed, toy_checkpoints):
    said = messages(on_page("reconstruct", Session().with_refused((), made_room=made_room)).caption)
    assert f"At most 24 of your pictures are kept, 100 MB in all; {removed} removed to make room." in said


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
    assert not app.exception and not app.info and app.session_state[SESSION_KEY].codebook.code is not None
    assert not slow_steps.acquire(blocking=False)  # four were kept
    assert jobs_of(app) == {}


NOTHING_YET = '<div class="nothing-yet">'  # where wall and dossier will be


def html_of(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def test_the_page_keeps_its_layout_while_its_first_set_is_indexed(toy_checkpoints, slow_steps):
    app = open_codebook()
    assert bar(app) == "Encoding Sample photos"
    assert html_of(app).count(NOTHING_YET) == 2 and "is not known yet" in html_of(app)
    slow_steps.release(12)
    at_rest(app)
    assert not app.exception and NOTHING_YET not in html_of(app) and 'class="health"' in html_of(app)


def test_the_page_keeps_the_set_that_was_shown_while_another_is_indexed(toy_checkpoints, slow_steps, tmp_path):
    slow_steps.release(15)
    at_rest(app := open_codebook())
    for name in ("one", "two"):
        write_toy_photos(tmp_path / name, count=3)
    app.text_input(key="image-set-path").set_value(str(tmp_path / "one"))
    at_rest(app.run())
    assert "one (3 images)" in html_of(app) and not app.get("progress")
    app.text_input(key="image-set-path").set_value(str(tmp_path / "two"))
    app.run()
    assert bar(app) == "Encoding two"
    assert "one (3 images)" in html_of(app) and NOTHING_YET not in html_of(app)
    assert "Until then this page shows the usage over one." in messages(app.caption).replace("\\", "")
    assert app.number_input(key="code-number").value is not None  # the dossier is there
    assert [one.label for one in app.button].count("Stop") == 1
    slow_steps.release(3)
    at_rest(app)
    assert not app.exception and "two (3 images)" in html_of(app)
    assert "Until then" not in messages(app.caption)


def test_a_second_visitor_waits_for_the_index_that_the_first_has_begun(toy_checkpoints, slow_steps):
    first, second = open_codebook(), open_codebook()
    assert bar(second) == "Encoding Sample photos"
    slow_steps.release(12)
    for app in (first, second):
        at_rest(at_rest(app).run())
    assert not first.exception and not second.exception
    assert (
        first.session_state[SESSION_KEY].codebook.code is not None
        and second.session_state[SESSION_KEY].codebook.code is not None
    )


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
    assert not third.info and third.session_state[SESSION_KEY].codebook.code is not None


def test_a_set_of_which_nothing_can_be_read_is_refused_and_the_samples_are_shown(toy_checkpoints, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "broken.png").write_bytes(b"nonsense")
    app = AppTest.from_file(str(ROOT / "pages" / "codebook.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session().with_named_set(NamedSet(str(tmp_path / "set"), "", "set"))
    at_rest(app.run())
    assert not app.exception
    assert "Not even the only file could be read" in messages(app.error)
    assert app.session_state[SESSION_KEY].codebook.code is not None


# Files beside a model that are damaged


def run_as(path: Path, session: Session) -> AppTest:
    app = AppTest.from_file(str(path), default_timeout=120)
    app.session_state[SESSION_KEY] = session
    at_rest(app.run())
    assert not app.exception
    return app


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.fixture
def known(toy_checkpoints: Path) -> Path:
    """The two-input toy's folder, with all that is measured of a model's training beside it."""
    folder = toy_checkpoints / "photos"
    model = open_folder(folder)
    photos = toy_checkpoints.parent / "training photos"
    write_toy_photos(photos, count=3)
    for command in ("usage", "fed"):
        assert cli.main([command, str(photos), "--checkpoint", str(folder), "--size", "64"]) == 0
    made = umap(model.codebook.array, ProjectionSettings())
    (folder / MAP).write_bytes(to_bytes(projection_key(model.codebook.array, ProjectionSettings()), made))
    return folder


@pytest.mark.parametrize(("file", "view"), [(USAGE, "wall"), (MAP, "map")])
def test_a_damaged_file_is_said_on_the_codebook_page_where_its_figures_would_be(file, view, known):
    def captions() -> str:
        app = run_as(ROOT / "pages" / "codebook.py", Session().on("codebook", view=view))
        return messages(app.main.caption).replace("\\", "")

    assert "damaged" not in captions()
    flip(known / file)
    assert f"The file {file} beside the model is damaged and is not used; python -m explorer" in captions()
    flip(known / file)
    assert "damaged" not in captions()


@pytest.mark.parametrize("file", [FED, NEIGHBOURS])
def test_a_damaged_file_is_said_on_the_inputs_page_where_its_figures_would_be(file, known):
    def shown() -> str:
        app = run_as(ROOT / "pages" / "inputs.py", Session().on("inputs", view="pair"))
        return " ".join(element.proto.body for element in app.get("html"))

    assert "damaged" not in shown()
    flip(known / file)
    assert f"The file {file} beside the model is damaged and is not used; python -m explorer fed PHOTOS" in shown()


def test_the_doctor_names_every_damaged_file(known, capsys):
    assert cli.main(["doctor", str(known), "--json"]) == 0
    assert "damaged" not in capsys.readouterr().out
    for file in (USAGE, FED, NEIGHBOURS, MAP):
        flip(known / file)
    assert cli.main(["doctor", str(known)]) == 0  # the model is sound
    printed = capsys.readouterr().out
    for file in (USAGE, FED, NEIGHBOURS, MAP):
        assert f"warning: The file {file} beside the model is damaged" in printed


def test_the_view_of_reliance_says_that_what_the_decoder_met_is_damaged(known):
    def captions() -> str:
        app = run_as(ROOT / "pages" / "inputs.py", Session().on("inputs", view="reliance"))
        return messages(app.main.caption).replace("\\", "")

    assert "damaged" not in captions()
    flip(known / FED)
    assert captions().count(f"The file {FED} beside the model is damaged") == 1


def test_a_test_of_reliance_says_that_what_the_decoder_met_is_damaged(known, capsys):
    flip(known / FED)
    assert cli.main(["reliance", str(known), str(known.parent.parent / "training photos"), "--size", "32"]) == 0
    assert f"The file {FED} beside the model is damaged" in capsys.readouterr().err


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


def test_a_colour_of_the_map_is_kept_by_its_own_name_and_said_in_words(toy_checkpoints):
    app = on_page("codebook", Session().on("codebook", view="map", map_colour="isolation"))
    at_rest(app)
    colour = app.selectbox(key="map-colour")
    assert (colour.value, colour.options[2]) == ("isolation", "By distance to nearest code")
    assert app.session_state[SESSION_KEY].codebook.map_colour == "isolation"  # as in sessions of yesterday


@pytest.mark.parametrize("view", ["wall", "map", "usage"])
@pytest.mark.parametrize("by", ["decoded colour", "log usage", "isolation", "of yesterday"])
def test_every_view_opens_in_every_colour_and_order(view, by, toy_checkpoints):
    order = "hue" if by == "decoded colour" else by
    app = on_page("codebook", Session().on("codebook", view=view, map_colour=by, wall_order=order, map_patches=True))
    at_rest(app)
    assert not app.exception and not app.error
