"""The Edit page through Streamlit's own harness: a recipe that does not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.editing import starts
from explorer.editing.edits import Painting, unedited, unpainted
from explorer.editing.recipe import CellCode, Recipe
from explorer.editing.requests import EditRequest
from explorer.editing.starts import Start
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture
from explorer.images.samples import SAMPLES
from explorer.ui import cache
from explorer.ui.session import Session
from explorer.ui.store import LIVE_KEY, SESSION_KEY
from explorer.ui.views.edit import editing
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toy_engine import asking
from tests.toys import toy_model
from vqvae import checkpoint

SIZE = 64


@pytest.fixture(autouse=True)
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """One whose first cell has a code that the toy does not have, which is all the checkpoints there are."""
    model = toy_model()
    checkpoint.save(tmp_path / "photos", model, {})
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    [found] = checkpoint.find(tmp_path)
    picture = open_picture(SAMPLES[0].read(), SAMPLES[0].file, working_size=SIZE)
    base = starts.begin(model, Start(), encode_picture(model, picture).encoding, other=None, counts=None)
    made = Recipe.of(
        checkpoint="photos",
        checkpoint_hash=cache.fingerprint(found.folder),
        picture=picture,
        working_size=SIZE,
        start=Start(),
        other=None,
        base=base,
        edit=unedited(base),
        level=1.0,
    )
    return replace(made, cells=(CellCode(0, 0, 5000),))


def changed(painting: Painting) -> Painting:
    indices = painting.indices.copy()
    indices[0, 0] = (indices[0, 0] + 1) % 8
    return replace(painting, indices=indices)


def errors(app: AppTest) -> list[str]:
    return [error.value.replace("\\", "") for error in app.error]


def test_why_a_recipe_does_not_fit_stays_on_the_screen_until_something_is_painted(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = AppTest.from_file(str(ROOT / "pages" / "edit.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session(working_size=SIZE, picture=SAMPLES[0].name).with_recipe(recipe)
    at_rest(app.run())
    (said,) = errors(app)
    assert "5000" in said or "5,000" in said
    ((content, engine),) = app.session_state[LIVE_KEY].visitor.engines.items()
    untouched = unpainted(engine.base)

    asked: list[EditRequest] = []
    monkeypatch.setattr(editing, "_newest", lambda *of: asked[-1] if asked else None)
    for painted, wanted in ((untouched, [said]), (changed(untouched), [])):
        asked.append(asking(engine, painted, sequence=len(asked) + 1))
        at_rest(app.run())
        assert errors(app) == wanted
        assert app.session_state[SESSION_KEY].edit.saved_edit_of(content).painting.equals(painted)
