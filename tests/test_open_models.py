"""Which models the app keeps open: the last four, whatever is on a screen, and nothing of the others."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.base import open_model
from explorer.base.open_model import OpenModel, open_folder
from explorer.ui import cache
from explorer.ui.session import InputsPage, Session
from explorer.ui.store import LIVE_KEY, SESSION_KEY
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toy_engine import asking, painted
from tests.toys import assert_one_sentence, toy_model
from vqvae import checkpoint
from vqvae.errors import BadInput

NAMES = tuple(f"toy {number}" for number in range(7))


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven toys with different weights."""
    for seed, name in enumerate(NAMES):
        checkpoint.save(tmp_path / name, toy_model(seed), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    cache._models.clear()
    return tmp_path


def opened(name: str) -> OpenModel:
    return cache.open_model(cache.ROOT / name)


def is_gone(*things: weakref.ref) -> bool:
    gc.collect()
    return all(thing() is None for thing in things)


def refs(name: str) -> tuple[weakref.ref, weakref.ref]:
    """To a model and to its tokenizer, which holds the weights."""
    model = opened(name)
    return weakref.ref(model), weakref.ref(model.tokenizer)


def open_others() -> None:
    for name in NAMES[1:6]:
        opened(name)


def test_what_was_measured_of_codes_goes_with_the_model_and_not_before():
    everything = np.arange(8)
    model = opened(NAMES[0])
    stores = [make(model) for make in (cache.tile_store, cache.colour_store, cache.nearest_store)]
    of_codes = [store.of(everything) for store in stores]
    held, of_stores = refs(NAMES[0]), [weakref.ref(store) for store in stores]
    open_others()
    again = [make(model) for make in (cache.tile_store, cache.colour_store, cache.nearest_store)]
    assert all(one is other for one, other in zip(stores, again, strict=True))
    assert not any(store.missing(everything).size for store in again) and len(of_codes) == 3
    assert opened(NAMES[0]) is model
    open_others()
    del model, stores, again
    assert is_gone(*held, *of_stores)


PAGES = {  # by the page that is open
    "reconstruct": Session(),
    "codebook": Session(cell=(1, 1)),
    "edit": Session(),
    "inputs": Session(),
    "inputs, reliance": Session(inputs=InputsPage(view="reliance")),
    "learn": Session(),
    "compare": Session(),
    "compare, codebooks": Session().on("compare", view="codebooks"),
    "compare, inputs": Session().on("compare", view="inputs"),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_model_stays_open_while_it_is_on_a_screen_and_goes_some_time_after(page):
    app = AppTest.from_file(str(ROOT / "pages" / f"{page.partition(',')[0]}.py"), default_timeout=120)
    session = PAGES[page]
    app.session_state[SESSION_KEY] = session.with_checkpoint(NAMES[0]).on("compare", models=NAMES[:2])
    at_rest(app.run())
    assert not app.exception and not app.error
    shown = refs(NAMES[0])
    for name in NAMES[2:]:
        opened(name)
    assert opened(NAMES[0]) is shown[0]() is app.session_state[LIVE_KEY].shown[0]
    session = app.session_state[SESSION_KEY]
    app.session_state[SESSION_KEY] = session.with_checkpoint(NAMES[2]).on("compare", models=NAMES[2:4])
    at_rest(app.run())
    for name in NAMES[3:]:
        opened(name)
    assert is_gone(*shown)
    del app


def test_what_was_painted_is_kept_when_its_engine_goes_with_the_model():
    app = AppTest.from_file(str(ROOT / "pages" / "edit.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session(checkpoint=NAMES[0])
    at_rest(app.run())
    visitor = app.session_state[LIVE_KEY].visitor
    [engine] = visitor.engines.values()
    content, before = engine.content, int(engine.base.grid[0, 0, 0])
    after = painted(engine, (0, 0, (before + 1) % 8))
    visitor.newest[content] = asking(engine, after)  # over the socket, which no rerun has heard of
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].with_checkpoint(NAMES[1])
    at_rest(app.run())
    assert content not in visitor.engines and content not in visitor.newest
    kept = app.session_state[SESSION_KEY].edit.saved_edit_of(content)
    assert kept is not None and np.array_equal(kept.painting.indices, after.indices)


def test_a_visitor_who_leaves_holds_nothing():
    app = AppTest.from_file(str(ROOT / "pages" / "edit.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session(checkpoint=NAMES[0])
    at_rest(app.run())
    shown = refs(NAMES[0])
    for name in NAMES[2:]:
        opened(name)
    assert not is_gone(shown[0])
    del app
    opened(NAMES[1])
    assert is_gone(*shown)


def test_a_model_that_is_overwritten_while_it_is_opened_is_known_by_its_own_weights(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, folder, overwritten_with = checkpoint.load, toys / NAMES[0], [20]

    def load(folder: Path) -> object:
        tokenizer = real(folder)
        if overwritten_with:
            seed = overwritten_with.pop(0)
            checkpoint.save(folder, toy_model(seed), {"figures": {"seed": seed}})
        return tokenizer

    monkeypatch.setattr(open_model.checkpoint, "load", load)
    model = open_folder(folder)
    assert model.fingerprint == checkpoint.content_hash(folder)
    assert model.settings["figures"] == {"seed": 20}
    expected = toy_model(20).state_dict()
    assert all(bool((expected[name] == one).all()) for name, one in model.tokenizer.state_dict().items())
    overwritten_with += [21, 22]
    with pytest.raises(BadInput) as refusal:
        open_folder(folder)
    assert "being written" in assert_one_sentence(refusal)
