"""Compare's first view without a browser: what is computed of each column, in which order columns are fed, that one
that fails costs nobody else anything, and what a link means."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.base.open_model import OpenModel, of_tokenizer
from explorer.compare import answers
from explorer.compare.answers import Answered, Paces, attempt, colours_here, figures, misfit, note
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import Quality, encode_picture, render
from explorer.ui import cache
from explorer.ui.components import comparison
from explorer.ui.components.comparison import Request
from explorer.ui.session import Session
from explorer.ui.store import SESSION_KEY
from explorer.ui.views.compare import pictures
from tests import toy_tokenizers
from tests.browser import ROOT
from tests.toys import toy_model
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import to_png
from vqvae.served import Served

PAGE = str(ROOT / "pages" / "compare.py")
SAID = {
    "sequence": 3,
    "content": "x",
    "anchor": "photos",
    "settled": True,
    "original": True,
    "held": [{"content": "a", "weight": 0.5, "coloured": True}],
    "blend": 0.5,
    "uses_embedding": True,
    "cell": [4, 7],
    "layout": "one",
    "layers": ["error", "codes"],
    "layer": "codes",
    "shown": 2,
    "pair": [2, 1],
    "signed": False,
    "gain": 4,
}


def photo(height: int = 48, width: int = 64) -> Picture:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return open_picture(to_png(pixels), "noise.png", working_size=256)


def passed(tokenizer: Any, picture: Picture, weight: float = 0.0) -> Answered:
    encoded = encode_picture(tokenizer, picture)
    return answers.answered(encoded, render(tokenizer, encoded, picture, weight=weight))


def value(rows: list, label: str) -> str:
    return next(row.value for row in rows if row.label == label)


# --- what is computed of a column


@pytest.mark.parametrize("make", toy_tokenizers.MAKERS)
def test_the_figures_of_any_family_are_those_of_its_grids(make):
    tokenizer = getattr(toy_tokenizers, make)()
    only = tokenizer.spec.sizes.only
    picture = photo(*only) if only else photo(50, 70)
    found = passed(tokenizer, picture)
    rows = figures(found, tokenizer.spec, weight=0, device="CPU")
    tokens = tokenizer.encode(picture.image).indices
    size = sum(level.numel() * np.log2(one.codes) for level, one in zip(tokens, tokenizer.spec.levels, strict=True))
    assert float(value(rows, "Bits per pixel, codes")) == pytest.approx(size / picture.pixels[..., 0].size, abs=6e-4)
    distinct = " + ".join(f"{len(level.unique()):,}" for level in tokens)
    assert value(rows, "Distinct codes") == distinct
    mse = ((picture.pixels.astype(float) - found.pixels) ** 2).mean() / 255**2
    assert float(value(rows, "PSNR").split()[0]) == pytest.approx(-10 * np.log10(mse), abs=0.006)
    assert found.pixels.shape == picture.pixels.shape


def test_a_picture_smaller_than_the_window_has_no_ssim_and_equal_ones_an_endless_psnr():
    found = Answered(np.zeros((4, 4, 3), np.uint8), Quality(float("inf"), None), (np.zeros((1, 1), int),), 1, 1)
    rows = figures(found, toy_tokenizers.global_decoder().spec, weight=0, device="CPU")
    assert (value(rows, "PSNR"), value(rows, "SSIM")) == ("∞ dB", "–")


def test_what_the_decoder_is_given_is_said_and_the_embedding_is_not_counted_silently():
    one, two = toy_tokenizers.global_decoder().spec, toy_tokenizers.mixed_neighbours().spec
    assert [note(one, 0.5), note(two, 0), note(two, 0.5)] == [
        "one input: codes only",
        "codes only",
        "codes + 50 % embedding",
    ]
    found = passed(toy_tokenizers.mixed_neighbours(), photo(), weight=0.5)
    meaning = {row.label: row.meaning for row in figures(found, two, weight=0.5, device="CPU")}
    assert "not counted" in meaning["Bits per pixel, codes"]
    assert "codes alone" in {row.label: row.meaning for row in figures(found, two, weight=0, device="CPU")}["PSNR"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (BadInput("The config is gone."), "The config is gone."),
        (RuntimeError("size mismatch"), "RuntimeError (“size mismatch”)"),
        (MemoryError(), "not enough memory for mine"),
        (IndexError("\n\n"), "mine raises IndexError"),
    ],
)
def test_whatever_a_model_raises_is_one_sentence(fault, words):
    def work() -> None:
        raise fault

    said = attempt("mine", work)
    assert words in str(said)
    assert "\n" not in str(said)
    assert attempt("mine", lambda: 5) == 5


def test_a_model_of_one_size_says_so_of_any_other():
    spec = toy_tokenizers.one_size().spec
    assert misfit("mine", spec, (48, 64)) == ""
    assert misfit("mine", toy_tokenizers.two_levels().spec, (50, 70)) == ""
    said = misfit("mine", spec, (64, 48))
    assert "64 × 48 pixels alone" in said  # width × height
    assert "at 48 × 64" in said


def test_a_code_of_a_level_has_the_mean_colour_of_where_it_stands():
    found = passed(toy_tokenizers.two_levels(), photo(24, 40))
    grid = found.grids[1]
    colours = colours_here(found, 1, toy_tokenizers.two_levels().spec)
    for code in np.unique(grid):
        cells = np.argwhere(grid == code)
        means = [found.pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean((0, 1)) for row, column in cells]
        np.testing.assert_allclose(colours[grid == code], np.tile(np.mean(means, 0), (len(cells), 1)), atol=0.51)


def test_who_is_known_answers_first_then_who_was_quick_and_by_weights_who_never_ran():
    small, large = (of_tokenizer(Served(toy_tokenizers.global_decoder()), name=name) for name in ("small", "large"))
    small, large = replace(small, fingerprint="s", parameters=10**6), replace(large, fingerprint="l", parameters=10**8)
    paces, here, other = Paces(), photo(), photo(64, 64)
    assert paces.expected_ms(small, here) < paces.expected_ms(large, here)
    slow = replace(passed(small.tokenizer, here), encode_ms=900, decode_ms=100)
    paces.note(small, here, slow)
    assert paces.expected_ms(small, here) == 0  # it is kept
    assert paces.expected_ms(small, other) == pytest.approx(1000 * 64 * 64 / (48 * 64))
    assert paces.expected_ms(small, other) > paces.expected_ms(large, other)


# --- what the browser says


def test_a_request_is_read_whole_or_not_at_all():
    request = Request.parse(SAID)
    assert request is not None
    assert (request.cell, request.pair, request.layers) == ((4, 7), (2, 1), ("error", "codes"))
    assert request.holds("a") is not None
    assert request.holds("b") is None
    for name, bad in [
        ("cell", [4]),
        ("layers", []),
        ("layers", ["error", "error"]),
        ("layers", ["else"]),
        ("pair", [1]),
        ("pair", [1, 5]),
        ("shown", 5),
        ("gain", 65),
        ("blend", 1.5),
        ("held", [{"content": "a"}]),
        ("held", ["a"]),
        ("held", SAID["held"] * 5),
        ("anchor", 5),
    ]:
        assert Request.parse(SAID | {name: bad}) is None, name
    assert Request.parse(None) is None


# --- what a cell means


def compared(*models: str, checkpoint: str = "photos") -> Session:
    return Session(checkpoint=checkpoint).on("compare", models=models)


def test_a_cell_is_of_the_open_model_where_it_is_compared_and_else_of_the_first_column():
    assert compared("a", "photos").anchor == "photos"
    assert compared("a", "b").anchor == "a"
    own = compared("a", "photos").with_compared_cell((1, 2))
    assert (own.cell, own.compared_cell) == ((1, 2), (1, 2))
    other = compared("a", "b").with_compared_cell((1, 2))
    assert (other.cell, other.compared_cell) == (None, (1, 2))  # no other page takes it for one of its own grid
    assert own.to_query()["cell"] == other.to_query()["cell"] == "1,2"
    assert other.with_compared_cell(None).compared_cell is None


def test_other_columns_keep_the_cell_while_its_model_stays():
    session = compared("a", "b").with_compared_cell((1, 2))
    assert session.with_compared(["a", "c"]).compared_cell == (1, 2)
    assert session.with_compared(["b", "a"]).compared_cell is None
    assert compared("photos", "b").with_cell((1, 2)).with_compared(["b", "photos"]).cell == (1, 2)
    assert session.with_compared("abcdefg").compare.models == ("a", "b", "c", "d")


# --- the page


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Three toys, and what the browser is given of them in its order."""
    for seed, name in enumerate(("photos", "a, b", "ünïcode")):
        checkpoint.save(tmp_path / name, toy_model(seed), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(comparison, "_frame", lambda **said: told.append(read(said["data"])))
    monkeypatch.setattr(comparison, "_feed", lambda **said: told.append(read(said["data"])))
    cache.answered.clear()
    cache.paces.clear()
    yield told


def read(message: bytes) -> dict[str, Any]:
    """The header of a packed message, with the names of its arrays."""
    header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
    return header | {"arrays": [array["name"] for array in header["arrays"]]}


def open_page(session: Session | None = None, **query: str) -> AppTest:
    app = AppTest.from_file(PAGE, default_timeout=120)
    for name, said in query.items():
        app.query_params[name] = said
    if session:
        app.session_state[SESSION_KEY] = session
    return app.run()


def kinds(told: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(message.get("kind", "frame"), message.get("number", 0)) for message in told]


def test_the_frame_comes_first_then_each_answer_and_what_codes_look_like_last(heard):
    app = open_page(models="photos,a%2C b")
    assert not app.exception
    assert kinds(heard) == [("frame", 0), ("answer", 1), ("answer", 2), ("colours", 1), ("colours", 2)]
    frame, first = heard[:2]
    assert [column["name"] for column in frame["columns"]] == ["photos", "a, b"]
    assert frame["arrays"] == ["original"]
    assert first["arrays"] == ["pixels", "indices0"]


def test_who_is_expected_to_take_long_answers_last_and_who_is_known_first(heard, monkeypatch):
    expected = {"photos": 900.0, "a, b": 100.0, "ünïcode": 0.0}
    monkeypatch.setattr(Paces, "expected_ms", lambda self, model, picture: expected[model.name])
    open_page(models="photos,a%2C b,ünïcode")
    assert [number for kind, number in kinds(heard) if kind == "answer"] == [3, 2, 1]


@pytest.mark.parametrize("fault", [RuntimeError("no"), MemoryError(), BadInput("This is bad."), ValueError("odd")])
def test_a_model_that_fails_midway_costs_its_column_and_no_other(heard, monkeypatch, fault):
    answered = cache.answered

    def failing(model: OpenModel, picture: Picture, weight: float) -> Answered:
        if model.name == "photos":
            raise fault
        return answered(model, picture, weight)

    monkeypatch.setattr(cache, "answered", failing)
    app = open_page(models="photos,a%2C b")
    assert not app.exception
    assert set(kinds(heard)) == {("frame", 0), ("refusal", 1), ("answer", 2), ("colours", 2)}
    said = next(message["refusal"] for message in heard if message.get("kind") == "refusal")
    assert said.endswith(".")


def test_a_model_that_cannot_say_what_its_codes_look_like_still_shows_its_picture(heard, monkeypatch):
    monkeypatch.setattr(pictures, "colours_of", lambda model, found: 1 / 0)
    app = open_page(models="photos,a%2C b")
    assert not app.exception
    assert kinds(heard) == [("frame", 0), ("answer", 1), ("answer", 2)]


def test_what_the_browser_has_is_not_sent_again(heard, monkeypatch):
    app = open_page(models="photos,a%2C b")
    frame, one, other = heard[:3]
    held = [
        {"content": one["content"], "weight": one["weight"], "coloured": True},
        {"content": other["content"], "weight": 0.25, "coloured": False},
    ]
    said = SAID | {"content": frame["content"], "held": held, "anchor": "photos", "blend": 1.0, "cell": None}
    heard.clear()
    request = Request.parse(said)
    monkeypatch.setattr(comparison, "read_request", lambda key: request)
    app.run()
    assert kinds(heard) == [("frame", 0), ("answer", 1), ("answer", 2), ("colours", 2)]
    assert [message["arrays"] for message in heard] == [[], [], ["pixels"], ["colours0"]]
    assert all(message["sequence"] == 3 for message in heard)
    chosen = app.session_state[SESSION_KEY].compare
    assert (chosen.layout, chosen.layers, chosen.pair, chosen.shown) == ("one", ("error", "codes"), (2, 1), 2)


def test_a_request_of_another_picture_or_another_anchor_moves_nothing(heard, monkeypatch):
    app = open_page(models="photos,a%2C b", cell="1,2")
    frame = heard[0]
    assert frame["cell"] == [1, 2]
    stale = Request.parse(SAID | {"content": frame["content"], "anchor": "a, b", "cell": [3, 3]})
    monkeypatch.setattr(comparison, "read_request", lambda key: stale)
    app.run()
    assert heard[-5]["cell"] == [1, 2]
    monkeypatch.setattr(comparison, "read_request", lambda key: replace(stale, content="other", anchor="photos"))
    before = app.session_state[SESSION_KEY]
    app.run()
    assert app.session_state[SESSION_KEY] == before


def test_a_cell_that_the_grid_does_not_have_is_none(heard):
    open_page(models="photos,a%2C b", cell="900,2")
    assert heard[0]["cell"] is None


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ("a%2C b,photos", ["a, b", "photos"]),
        ("%C3%BCn%C3%AFcode,photos", ["ünïcode", "photos"]),
        ("photos,photos", ["photos", "a, b"]),  # the same twice is once; the page fills the second column
        ("photos,gone", ["photos", "gone"]),
        ("photos,a%2C b,ünïcode,gone,more", ["photos", "a, b", "ünïcode", "gone"]),
        ("", ["photos", "a, b"]),
    ],
)
def test_the_link_says_which_models_are_compared(heard, models, names):
    app = open_page(models=models)
    assert not app.exception
    frame = heard[0]
    assert [column["name"] for column in frame["columns"]] == names
    assert [bool(column["refusal"]) for column in frame["columns"]] == [name == "gone" for name in names]
    link = app.session_state[SESSION_KEY].to_query()
    assert Session.from_query(link).compare.models == tuple(names)
    said = " ".join(caption.value for caption in app.sidebar.caption)
    assert ("names one model" in said) == (models == "photos,photos")
    assert ("names 5 models" in said) == models.endswith("more")


def test_codes_only_and_a_blend_are_those_of_the_session(heard):
    open_page(models="photos,a%2C b", blend="0")
    assert {message["weight"] for message in heard if message.get("kind") == "answer"} == {0}
    heard.clear()
    open_page(models="photos,a%2C b", blend="0.25")
    assert {message["weight"] for message in heard if message.get("kind") == "answer"} == {0.25}
    assert heard[0]["columns"][0]["note"] == "codes + 25 % embedding"
