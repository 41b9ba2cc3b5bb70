"""The Table view through Streamlit's own harness: what it says is what was measured, and a model that fails costs its
own column alone."""

import html
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.base.open_model import open_folder
from explorer.compare import measure as measuring
from explorer.compare.measure import measure
from explorer.compare.records import Settings
from explorer.compare.table import MEASURES, farthest_apart, sentence, table_of
from explorer.images.sets import open_set, sample_set
from explorer.ui import cache, jobs, widgets
from explorer.ui.session import Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.harness import at_rest, jobs_of
from tests.toys import toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.errors import BadInput


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three toys, and nothing else."""
    for seed, name in enumerate(("one", "two", "three")):
        checkpoint.save(
            tmp_path / "checkpoints" / name,
            toy_model(seed, decoder_inputs="quantized" if name == "two" else "both"),
            {},
        )
    monkeypatch.setattr(cache, "ROOT", tmp_path / "checkpoints")
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    jobs.shelf.clear()


def on_table(*models: str, on: str = "picture", session: Session | None = None, **changes: object) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    session = session or Session(checkpoint="one", working_size=128)
    app.session_state[SESSION_KEY] = session.on("compare", models=models, view="table", measured_on=on, **changes)
    return at_rest(app.run())


def cells(app: AppTest) -> dict[str, list[str]]:
    """The table's rows by their labels: what each cell says, without its markup."""
    (table,) = [one.proto.body for one in app.get("html") if 'class="compared"' in one.proto.body]
    rows = re.findall(r'<tr role="row"><th role="rowheader".*?</tr>', table)
    parted = [re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row) for row in rows]
    plain = [[html.unescape(re.sub(r"<[^>]+>", " ", cell)).split() for cell in row] for row in parted]
    return {" ".join(label): [" ".join(cell) for cell in row] for label, *row in plain}


def titles(app: AppTest) -> list[str]:
    (table,) = [one.proto.body for one in app.get("html") if 'class="compared"' in one.proto.body]
    return [html.unescape(title) for title in re.findall(r'<small [^>]*title="([^"]*)"', table)]


def said(app: AppTest) -> str:
    return " ".join(one.proto.body for one in app.get("html")) + " ".join(one.value for one in app.caption)


def opened(*names: str) -> list:
    return [open_folder(cache.ROOT / name) for name in names]


def test_one_picture_has_no_interval_and_that_is_said():
    app = on_table("one", "two")
    assert not app.exception and not app.error
    found = cells(app)
    assert len(found) == len(MEASURES)
    assert not any("[" in cell for row in found.values() for cell in row)
    assert "One picture: no interval" in said(app)
    assert not [one for one in app.button if str(one.key).startswith("apart-")]


def test_the_samples_table_says_what_was_measured_beside_the_model_that_is_chosen():
    app = on_table("one", "two", "three", on="samples", reference=2)
    assert not app.exception and not app.error
    comparison = measure(opened("one", "two", "three"), sample_set(), Settings(weight=1.0))
    table = table_of(comparison, reference=1)
    found = cells(app)
    for name, label in (("psnr", "PSNR dB"), ("ssim", "SSIM"), ("tokens", "Tokens an image")):
        line = table.line(name)
        for cell, shown in zip(line.cells, found[label], strict=True):
            assert shown.startswith(line.measure.ranged(cell.estimate))
    whole = [
        f"{sentence(table.line('psnr').measure, table.line('psnr').differences[place])}, beside two" for place in (0, 2)
    ]
    assert titles(app)[:2] == whole
    assert "two-input decoders at a blend of 100%" in said(app) and "12 of 12 images" in said(app)


def test_the_blend_is_that_of_every_page():
    session = Session(checkpoint="one", working_size=128).with_blend(0.4, uses_embedding=True)
    app = on_table("one", "two", session=session)
    assert "at a blend of 40%" in said(app)
    app.button_group(key="compared-fed").set_value(False).run()
    at_rest(app)
    assert app.session_state[SESSION_KEY].weight_for(2) == 0 and app.session_state[SESSION_KEY].blend == 0.4
    assert "the codes alone" in said(app)


def test_an_image_of_the_list_opens_in_pictures():
    app = on_table("one", "two", on="samples")
    comparison = measure(opened("one", "two"), sample_set(), Settings(weight=1.0))
    first = farthest_apart(comparison, 0, 1)[0]
    app.button(key="apart-0").click().run()
    session = app.session_state[SESSION_KEY]
    assert (session.picture, session.compare.view) == (first.name, "pictures")


def test_an_image_of_ones_own_set_opens_too(tmp_path: Path):
    photos = write_toy_photos(tmp_path / "photos", count=3)
    app = on_table("one", "two", on="set", measured_path=str(photos))
    assert not app.exception and "3 of 3 images" in said(app)
    first = farthest_apart(measure(opened("one", "two"), open_set(photos), Settings(weight=1.0)), 0, 1)[0]
    app.button(key="apart-0").click().run()
    session = app.session_state[SESSION_KEY]
    assert session.uploads[-1].name == first.name and session.picture == session.uploads[-1].digest


def test_a_model_that_cannot_be_opened_or_fails_costs_its_own_column(monkeypatch: pytest.MonkeyPatch):
    def failing(tokenizer, picture, *, weight):
        if tokenizer.spec.inputs == 1:
            raise BadInput("It cannot do this one.")
        return figures(tokenizer, picture, weight=weight)

    figures = measuring.measure_picture
    monkeypatch.setattr(measuring, "measure_picture", failing)
    app = on_table("one", "gone", "two", "three", on="samples")
    assert not app.exception and not app.error
    for label, row in cells(app).items():
        assert row[1] == "–" and row[0] != "–" and row[3] != "–"
        assert row[2] == "–" or label == "Parameters"
    assert "2 gone: There is no checkpoint of this name here" in said(app).replace("\\", "")
    assert "12 of 12 images could not be done" in said(app).replace("\\", "")


def test_a_models_name_is_read_as_it_is_written_above_the_images_that_differ_most():
    for name in ("two", "three"):
        (cache.ROOT / name).rename(cache.ROOT / f"*{name}* [x](y)")
    app = on_table("one", "*two* [x](y)", "*three* [x](y)", on="samples")
    assert app.button_group(key="compared-against").options == [
        f"2 {widgets.plain('*two* [x](y)')}",
        f"3 {widgets.plain('*three* [x](y)')}",
    ]


def test_what_failed_once_is_tried_again_for_the_next_visitor(monkeypatch: pytest.MonkeyPatch):
    def failing(tokenizer, picture, *, weight):
        raise RuntimeError("no memory is left")

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "measure_picture", failing)
        assert cells(on_table("one", "two", on="samples"))["SSIM"] == ["–", "–"]
    assert "–" not in cells(on_table("one", "two", on="samples"))["SSIM"]


def test_what_was_stopped_is_shown_as_far_as_it_came_and_goes_on(monkeypatch: pytest.MonkeyPatch):
    def stopping(tokenizer, picture, *, weight):
        seen.append(picture.key)
        if len(seen) == 9:
            (job,) = jobs_of(app).values()
            job.stop()
        return figures(tokenizer, picture, weight=weight)

    seen: list[str] = []
    figures = measuring.measure_picture
    monkeypatch.setattr(measuring, "measure_picture", stopping)
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    session = Session(checkpoint="one").on("compare", models=("one", "two"), view="table", measured_on="samples")
    app.session_state[SESSION_KEY] = session
    at_rest(app.run())
    assert "Stopped after 4 of 12 images" in said(app) and "partial" in said(app) and cells(app)
    next(one for one in app.button if one.label == "Go on").click().run()
    at_rest(app)
    assert "12 of 12 images" in said(app) and len(seen) == 2 * 12


def test_a_set_of_which_nothing_can_be_read_is_one_sentence(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"nonsense")
    app = on_table("one", "two", on="set", measured_path=str(tmp_path / "photos"))
    assert not app.exception and len(app.error) == 1 and "None of the images can be read" in app.error[0].value
