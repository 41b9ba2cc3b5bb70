"""The Codebooks view through Streamlit's own harness: its figures are those of the comparison."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from explorer.base.job import Cancelled
from explorer.base.open_model import open_folder
from explorer.codebook.health import Sample, usage_rows
from explorer.compare import codes
from explorer.compare import measure as measuring
from explorer.compare.measure import measure
from explorer.compare.records import Comparison, Settings
from explorer.images.sets import open_set
from explorer.index.usage import summarise
from explorer.ui import cache, jobs
from explorer.ui.session import Session, Upload
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toys import encoded, toy_model, toy_pixels, write_toy_photos
from vqvae import checkpoint
from vqvae.plugin import TOKENIZER_VARIABLE


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Toys of two strides and two numbers of codes, and nothing else."""
    changes: dict[str, dict] = {"one": {}, "two": {"codes": 12}, "three": {"channels": (8,), "blocks": (1,)}}
    for seed, (name, settings) in enumerate(changes.items()):
        checkpoint.save(tmp_path / "checkpoints" / name, toy_model(seed, **settings), {})
    broken = tmp_path / "checkpoints" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    write_toy_photos(tmp_path / "photos", count=5)
    monkeypatch.setattr(cache, "ROOT", tmp_path / "checkpoints")
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    jobs.shelf.clear()


def photos() -> Path:
    return cache.ROOT.parent / "photos"


def on_codebooks(*models: str, **changes: object) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session(checkpoint="one").on(
        "compare", models=models, view="codebooks", measured_on="set", measured_path=str(photos()), **changes
    )
    return at_rest(app.run())


def matched(*models: str, **changes: object) -> AppTest:
    return on_codebooks(*models, codebooks_view="matched", **changes)


def compared(*names: str) -> Comparison:
    return measure([open_folder(cache.ROOT / name) for name in names], open_set(photos()), Settings())


def said(app: AppTest) -> str:
    parts = [one.proto.body for one in app.get("html")]
    parts += [one.value for kind in (app.caption, app.info, app.error) for one in kind]
    return html.unescape(" ".join(parts))


def kinds(app: AppTest) -> dict[str, int]:
    """What the buttons that filter say: their words, and how many there are."""
    labels = [re.fullmatch(r"\*\*([\d,]+)\*\* (.*)", one.label) for one in app.button]
    return {found[2]: int(found[1].replace(",", "")) for found in labels if found}


def test_health_is_a_table_with_columns_for_each_model():
    app = on_codebooks("one", "two", "three")
    assert not app.exception and not app.error
    comparison = compared("one", "two", "three")
    (table,) = [one.proto.body for one in app.get("html") if 'class="health"' in one.proto.body]
    rows = {
        label: re.findall(r"<td [^>]*>(.*?)</td>", cells)
        for label, cells in re.findall(r'<th role="rowheader".*?>([^<>]*)</th>(.*?)</tr>', table)
    }
    wanted = [codes.counted(comparison, model) for model in range(3)]
    of_each = [usage_rows([Sample("", summarise(one.counts, images=one.images))]) for one in wanted]
    for number, row in enumerate(of_each[0]):
        assert rows[row.label] == [table[number].values[0] for table in of_each]
    assert len(rows["Norm"]) == 3
    assert "over half of 12." in table and "over half of 8." in table  # what is good differs with K
    words = said(app)
    assert all(f">{number}</em>" in words for number in (1, 2, 3))
    assert "What training used is not known of 1 and 2 and 3" in words


def test_a_model_that_cannot_be_opened_keeps_its_line():
    app = on_codebooks("one", "broken", "two")
    assert not app.exception
    assert "<b>broken</b> · It cannot be opened" in said(app)
    app = matched("one", "broken", "two")
    assert not app.exception and "broken cannot be opened" in said(app).replace("\\", "")
    assert kinds(app)["in all"] > 0  # one and two are matched


def test_the_counts_are_those_of_the_matching_and_filter_it():
    app = matched("one", "two")
    assert not app.exception and not app.error
    found = codes.match(compared("one", "two"), 0, 1)
    counts = found.matching.counts
    assert kinds(app) == {
        "in all": len(found.matching.matches),
        "common": counts["common"],
        "split": counts["split"],
        "merged": counts["merged"],
        "only in 1": counts["only here"],
        "only in 2": counts["only there"],
    }
    assert f"{np.median(found.matching.best):.2f}" in said(app) and f"{found.chance.usual:.2f}" in said(app)
    assert all(one.help for one in app.button if str(one.key).startswith("kind-"))
    app.button(key="kind-only there").click()
    at_rest(app.run())
    assert app.session_state[SESSION_KEY].compare.matched_kind == "only there"
    assert "<b>Only in 2</b>" in said(app) and not app.exception


def test_the_open_match_shows_both_dossiers_with_links_to_the_codes():
    app = matched("one", "two")
    best = max(codes.match(compared("one", "two"), 0, 1).matching.matches, key=lambda match: match.agreement)
    words = said(app)
    assert f"codebook?checkpoint=one&code={best.here[0]}" in words
    assert f"codebook?checkpoint=two&code={best.there[0]}" in words
    assert words.count("has there</p>") == 2 and words.count("Patches <span>") == 2


def test_the_pair_of_models_is_chosen():
    app = matched("one", "two", "three")
    assert app.selectbox(key="matched-pair").value == (1, 2)
    app.selectbox(key="matched-pair").select((1, 3))
    at_rest(app.run())
    assert app.session_state[SESSION_KEY].compare.matched_pair == (1, 3)
    assert kinds(app)["in all"] == len(codes.match(compared("one", "three"), 0, 1).matching.matches)
    assert "checkpoint=three" in said(app) and "checkpoint=two" not in said(app)


@pytest.mark.parametrize("function", ["two_levels", "row_of_tokens", "sign_bits"])
def test_models_of_several_levels_of_tokens_and_of_very_many_codes(function: str, monkeypatch: pytest.MonkeyPatch):
    """The first has no tiles of its own, the second no places at all, the third 262,144 codes."""
    monkeypatch.setenv(TOKENIZER_VARIABLE, f"{ROOT / 'tests' / 'toy_tokenizers.py'}:{function}")
    names = (f"toy_tokenizers.py:{function}", "one")
    app = on_codebooks(*names)
    assert not app.exception and not app.error
    assert said(app).count("<li class") == 2 and 'class="health"' in said(app)
    app = matched(*names)
    assert not app.exception and not app.error
    words = said(app).replace("\\", "")
    if function == "row_of_tokens":
        assert "have no place in the picture: its codes cannot be matched" in words and "choose another model" in words
        return
    assert kinds(app)["in all"] > 0 and words.count("Patches <span>") == 2
    levels = function == "two_levels"
    assert ("has 2 levels: looked at is the first with a grid, top" in words) == levels
    assert words.count("Its page</a>") == (1 if levels else 2)  # a page of one code is of a model of one grid


def test_too_few_cells_are_said_to_be_too_few():
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    tiny = Upload("tiny.png", encoded(Image.fromarray(toy_pixels(8, 12)), "PNG"))
    session = Session(checkpoint="one").with_upload(tiny)
    app.session_state[SESSION_KEY] = session.on(
        "compare", models=("one", "two"), view="codebooks", measured_on="picture", codebooks_view="matched"
    )
    at_rest(app.run())
    assert not app.exception
    assert "On 1 image, 6 cells each, no code has 8 cells" in said(app)


def test_a_model_that_fails_on_every_image_costs_its_column(monkeypatch):
    whole = measuring.measure_picture

    def measured(tokenizer, picture, *, weight):
        if tokenizer.spec.grid.codes == 12:
            raise RuntimeError("out of memory")
        return whole(tokenizer, picture, weight=weight)

    monkeypatch.setattr(measuring, "measure_picture", measured)
    app = on_codebooks("one", "two", "three")
    assert not app.exception and "Nothing was counted" in said(app)
    app = matched("one", "two", "three")
    assert not app.exception and "no image that one and two both could do" in said(app).replace("\\", "")
    app.selectbox(key="matched-pair").select((1, 3))
    at_rest(app.run())
    assert kinds(app)["in all"] > 0


def test_matching_can_be_stopped_and_gone_on_with(monkeypatch):
    monkeypatch.setattr("explorer.ui.views.compare.matched.AT_ONCE", 0.0)
    app = on_codebooks("one", "two")

    def stop(*_: object, **__: object) -> None:
        raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr("explorer.ui.views.compare.matched.codes.match", stop)
        app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].on("compare", codebooks_view="matched")
        at_rest(app.run())
    assert "Matching was stopped." in said(app)
    (again,) = [one for one in app.button if one.label == "Go on"]
    again.click()
    at_rest(app.run())
    assert kinds(app)["in all"] > 0 and not app.exception
