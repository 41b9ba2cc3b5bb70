"""One cell followed through toy models, against the definitions computed the slow way; and the five tasks."""

import base64
import html
import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from PIL import Image

from explorer.codebook.tiles import code_tiles, mean_colours
from explorer.editing.edits import Edit, inputs_of, unedited
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import EncodedPicture, encode_picture, render
from explorer.images.samples import SAMPLES
from explorer.index.training_usage import load_training_usage
from explorer.learn import charts
from explorer.learn.answers import (
    BYPASS,
    CLASSIC,
    TRAINED,
    Facts,
    Guess,
    Listening,
    Other,
    Run,
    answers,
    facts_of,
    listen,
    price,
    shuffled,
)
from explorer.learn.claims import CLAIMS, Subject, _without_second_path, offered
from explorer.learn.steps import fact, source_of, steps, tell
from explorer.learn.tasks import (
    TASKS,
    EditEffect,
    Ground,
    check_half,
    check_ignored,
    check_margin,
    check_rare,
    check_sky,
    edit_effect,
    half_way,
    ignored_edit,
    way,
    why_not,
)
from explorer.learn.walk import Walk, all_gaps, cell_inside, follow, light_up
from explorer.learn.worksheet import Sheet, worksheet
from explorer.ui.address import SMALL, STEPS
from explorer.ui.components import picker
from explorer.ui.session import Guessed, Session
from explorer.ui.views.learn import lesson
from tests import toy_tokenizers
from tests.browser import ROOT
from tests.conftest import CHECKPOINTS
from tests.toy_tokenizers import global_decoder
from tests.toys import toy_model, toy_pixels
from vqvae import checkpoint
from vqvae.adapting import adapt
from vqvae.images import to_pixels, to_png
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.served import Served
from vqvae.tokenizer import Tokenizer, blend

MODELS = {1: toy_model(decoder_inputs="quantized"), 2: toy_model()}  # by the number of their decoder's inputs

CELLS = [(0, 0), (0, 6), (4, 6), (4, 0), (2, 3)]  # the corners and the middle of the grid below
HEIGHT, WIDTH = 19, 27  # 5 × 7 cells of 4 × 4 pixels, the last row and column partly padding


def toy_picture(height: int = HEIGHT, width: int = WIDTH, *, seed: int = 0) -> Picture:
    return open_picture(to_png(toy_pixels(height, width, seed=seed)), "toy.png", working_size=128)


def walked(model: VQVAE, cell: tuple[int, int], *, weight: float = 1.0) -> tuple[Walk, Picture, EncodedPicture]:
    picture = toy_picture()
    encoded = encode_picture(model, picture)
    return follow(model, Codebook.of(model), encoded, picture, cell, weight=weight), picture, encoded


def deaf_to_codes() -> VQVAE:
    """A bypass: its stem adds W·quantized + W·(embedding − quantized), so the codes fall out."""
    model = toy_model()
    model.decoder.stem.from_embedding.weight.copy_(model.decoder.stem.from_quantized.weight)
    return model


def deaf_to_the_embedding() -> VQVAE:
    model = toy_model()
    model.decoder.stem.from_embedding.weight.zero_()
    return model


def plain_psnr(one: np.ndarray, two: np.ndarray) -> float:
    error = np.mean((one.astype(float) - two.astype(float)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


# --- one cell ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_each_picture_of_a_walk_is_that_part_of_the_whole_one(cell, weight):
    model = toy_model()
    walk, picture, encoded = walked(model, cell, weight=weight)
    row, column = cell
    rows = slice(4 * max(0, row - 2), min(HEIGHT, 4 * min(5, row + 3)))
    columns = slice(4 * max(0, column - 2), min(WIDTH, 4 * min(7, column + 3)))
    own = slice(4 * row, min(HEIGHT, 4 * row + 4)), slice(4 * column, min(WIDTH, 4 * column + 4))
    np.testing.assert_array_equal(walk.original, picture.pixels[rows, columns])
    for shown, share in ((walk.off, 0.0), (walk.on, 1.0), (walk.now, weight)):
        whole = to_pixels(model.decode(encoded.encoding.quantized, blend(encoded.encoding, share)))[0]
        np.testing.assert_array_equal(shown, whole[rows, columns])
        np.testing.assert_array_equal(walk.patch(shown), whole[own])
        assert walk.psnr(shown) == pytest.approx(plain_psnr(picture.pixels[own], whole[own]), abs=1e-3)
    assert not np.array_equal(walk.off, walk.on)
    assert walk.numbers == picture.pixels[own].size
    assert walk.cut is (walk.numbers < 48) is (row == 4 or column == 6)


@pytest.mark.parametrize("cell", CELLS)
def test_the_codes_come_by_their_distance_and_the_chosen_one_first(cell):
    model = toy_model()
    walk, _, encoded = walked(model, cell)
    embedding = encoded.encoding.embedding[0, :, cell[0], cell[1]].tolist()
    plain = [math.dist(embedding, code) for code in model.codebook.tolist()]
    assert walk.code == encoded.indices[cell] == np.argmin(plain)
    assert walk.order.tolist() == sorted(range(8), key=lambda code: plain[code])
    np.testing.assert_allclose(walk.distances, sorted(plain), rtol=1e-6)
    first, second = sorted(plain)[:2]
    assert walk.gap == pytest.approx((second - first) / first, rel=1e-6, abs=1e-6)  # of distances in float32


def test_of_codes_equally_near_the_one_that_the_model_chose_comes_first():
    model, cell = toy_model(), (2, 3)
    _, picture, encoded = walked(model, cell)
    code = int(encoded.indices[cell])
    twin = (code + 1) % 8
    model.codebook[twin] = model.codebook[code]
    for chosen, other in ((code, twin), (twin, code)):
        encoding = replace(encoded.encoding, indices=(torch.full_like(encoded.encoding.grid, chosen),))
        walk = follow(model, Codebook.of(model), replace(encoded, encoding=encoding), picture, cell, weight=1.0)
        assert walk.order[:2].tolist() == [chosen, other]
        assert sorted(walk.order.tolist()) == list(range(8))
        assert walk.gap == 0


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_vectors_of_a_walk_add_up(weight):
    walk, _, encoded = walked(toy_model(), (2, 3), weight=weight)
    encoding = encoded.encoding
    embedding, quantized = (part[0, :, 2, 3].numpy() for part in (encoding.embedding, encoding.quantized))
    np.testing.assert_array_equal(walk.residual, embedding - quantized)
    np.testing.assert_array_equal(walk.second, blend(encoding, weight)[0, :, 2, 3])
    assert walk.lost == pytest.approx(((embedding - quantized) ** 2).sum() / (embedding**2).sum())
    assert walk.alike == sum(index == walk.code for index in encoded.indices.ravel())


def test_a_cell_that_the_grid_has_stays_and_another_becomes_the_middle():
    for cell in ((0, 0), (4, 6)):
        assert cell_inside(cell, rows=5, columns=7) == cell
    for cell in (None, (5, 0), (0, 7), (-1, 0), (0, -1)):
        assert cell_inside(cell, rows=5, columns=7) == (2, 3)
    assert cell_inside(None, rows=1, columns=1) == (0, 0)


def test_the_gaps_of_all_cells_are_those_of_each():
    model = toy_model()
    _, picture, encoded = walked(model, (0, 0))
    codebook = Codebook.of(model)
    gaps = all_gaps(codebook, encoded)
    assert gaps.shape == (5, 7)
    for cell in np.ndindex(5, 7):
        walk = follow(model, codebook, encoded, picture, cell, weight=1.0)
        assert gaps[cell] == pytest.approx(walk.gap, rel=1e-6, abs=1e-6)


def test_with_a_single_code_there_is_no_gap_and_every_step_still_has_its_words():
    model = toy_model(codes=1)
    walk, _, encoded = walked(model, (2, 3))
    assert walk.gap is None
    gaps = all_gaps(Codebook.of(model), encoded)
    assert np.isinf(gaps).all()
    assert not check_margin(walk.gap, gaps, chosen=True).done
    for step in steps(MODELS[2]):
        assert tell(step.name, walk) and fact(step.name, walk)
        lesson.drawing(step.name, walk, np.zeros((4, 4, 3), np.uint8))


def test_lit_cells_keep_their_pixels_and_all_others_are_dimmed():
    pixels = np.full((19, 27, 3), 200, np.uint8)
    gaps = np.arange(35.0).reshape(5, 7)[::-1, ::-1]
    lit = light_up(pixels, gaps, stride=4)
    assert lit.shape == pixels.shape
    bright = {(row // 4, column // 4) for row, column in np.argwhere((lit == 200).all(-1)).tolist()}
    assert bright == {(4, 6), (4, 5), (4, 4), (4, 3)}  # a tenth of 35 cells, and the one at the edge of it
    assert (lit[:16] == 50).all()


# --- the steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [1, 2])
def test_the_source_of_each_step_is_what_stands_in_the_file(inputs):
    for step in steps(MODELS[inputs]):
        for function in step.functions:
            source = source_of(function)
            lines = (ROOT / source.file).read_text().splitlines()[source.first - 1 : source.last]
            assert source.file.startswith("vqvae/")
            assert [line.strip() for line in lines] == [line.strip() for line in source.text.splitlines()]
            assert f"def {source.name.split('.')[-1]}(" in source.text
            assert not source.text.startswith(" ")


def test_a_decoder_with_one_input_has_the_same_steps_with_its_own_stem():
    one, two = steps(MODELS[1]), steps(MODELS[2])
    assert [step.name for step in one] == [step.name for step in two]
    assert [a.name for a, b in zip(one, two, strict=True) if a.functions != b.functions] == ["inputs"]
    assert "embedding - quantized" in source_of(two[5].functions[0]).text
    assert "embedding - quantized" not in source_of(one[5].functions[0]).text


def test_what_is_told_of_a_step_has_this_cells_own_figures():
    walk, _, _ = walked(toy_model(), (2, 3), weight=0.25)
    wanted = {
        "patch": ["5 × 7 cells", "row 2, column 3", "4 × 4 pixels", "48 numbers", "35 cells"],
        "embedding": ["4 numbers", f"{walk.embedding.max():.2f}"],
        "distances": ["8 vectors", f"Code {walk.code} ", f"{walk.distances[0]:.2f}", f"code {walk.order[1]} "],
        "code": [f"number, {walk.code}:", "3 bits", "384"],
        "residual": [f"{walk.lost:.0%}", "25%"],
        "inputs": ["At a blend of 25%"],
        "output": [f"{walk.psnr(view):.2f} dB" for view in (walk.off, walk.now, walk.on)],
    }
    for step in steps(MODELS[2]):
        told = tell(step.name, walk)
        for words in wanted[step.name]:
            assert words in told
        assert told.endswith(".")


def test_what_is_told_follows_the_blend_and_the_number_of_inputs():
    told = {}
    for inputs, weight in ((2, 0.0), (2, 1.0), (1, 0.0)):
        model = toy_model(decoder_inputs="both" if inputs == 2 else "quantized")
        walk, _, _ = walked(model, (1, 1), weight=weight)
        told[inputs, weight] = {step.name: tell(step.name, walk) for step in steps(MODELS[inputs])}
    assert "the embedding is off" in told[2, 0.0]["inputs"]
    assert "gets nothing of it" in told[2, 0.0]["residual"]
    assert "the encoder's own embedding" in told[2, 1.0]["inputs"]
    assert "carries all of it" in told[2, 1.0]["residual"]
    assert "at a blend" not in told[2, 1.0]["output"]
    assert "has one input" in told[1, 0.0]["inputs"]
    assert "no second input" in told[1, 0.0]["residual"]
    assert "the whole embedding" not in told[1, 0.0]["output"]


@pytest.mark.parametrize("inputs", [1, 2])
def test_every_step_has_a_sound_drawing_and_a_short_fact(inputs):
    model = toy_model(decoder_inputs="both" if inputs == 2 else "quantized")
    walk, _, _ = walked(model, (0, 6), weight=float(inputs == 2))
    for step in steps(MODELS[inputs]):
        markup = lesson.drawing(step.name, walk, np.zeros((4, 4, 3), np.uint8))
        assert len(ElementTree.fromstring(f"<p>{markup}</p>"))
        assert len(fact(step.name, walk)) < 24
    pictures = lesson.drawing("output", walk, walk.off).count("<img")
    assert pictures == inputs


def test_the_bars_of_a_drawing_are_the_numbers_of_the_vector():
    walk, _, _ = walked(toy_model(), (2, 3))
    bars = ElementTree.fromstring(lesson.drawing("embedding", walk, walk.off)).findall("path")[1].attrib["d"]
    heights = [-float(part.split("v")[1].split("h")[0]) for part in bars.split("z") if part]
    np.testing.assert_allclose(heights, walk.embedding * 0.48 * 40 / lesson.scale_of(walk), atol=0.01)


def test_charts_hold_the_vector_and_the_distances():
    walk, _, _ = walked(toy_model(), (2, 3))
    chart = charts.vector_bars(walk.quantized, largest=lesson.scale_of(walk), behind=walk.embedding)
    np.testing.assert_array_equal(chart.data[-1].y, walk.quantized)
    np.testing.assert_array_equal(chart.data[0].y, walk.embedding)
    low, high = chart.layout.yaxis.range
    assert low == -high and high >= np.abs([walk.quantized, walk.embedding, walk.residual]).max()
    curve = charts.distance_curve(walk.order, walk.distances)
    np.testing.assert_allclose(curve.data[0].y, walk.distances, rtol=1e-6)
    assert list(curve.data[0].customdata) == walk.order.tolist()
    assert isinstance(curve, go.Figure) and list(curve.data[1].y) == [np.float32(walk.distances[0])]


# --- the whole picture ------------------------------------------------------------------------------------------------


def listened(model: VQVAE) -> Listening:
    picture = toy_picture()
    return listen(model, encode_picture(model, picture), picture)


def test_off_and_on_are_the_plain_psnr_of_the_pixels_on_the_screen():
    model, picture = toy_model(), toy_picture()
    encoding = model.encode(picture.image)
    found = listened(model)
    for value, embedding in ((found.off, None), (found.on, encoding.embedding)):
        pixels = to_pixels(model.decode(encoding.quantized, embedding))[0, :HEIGHT, :WIDTH]
        assert value == pytest.approx(plain_psnr(picture.pixels, pixels), abs=1e-3)
    assert found.gain == pytest.approx(found.on - found.off)


def test_wrong_codes_are_the_right_ones_in_other_cells():
    indices = torch.arange(35).view(1, 5, 7)
    moved = shuffled(indices)
    assert moved.shape == indices.shape
    assert not torch.equal(moved, indices)
    assert sorted(moved.flatten().tolist()) == list(range(35))
    assert torch.equal(moved, shuffled(indices))


def test_wrong_codes_change_nothing_for_a_decoder_that_is_deaf_to_codes_and_much_for_one_that_hears_nothing_else():
    bypass = listened(deaf_to_codes())
    assert bypass.shuffled == pytest.approx(bypass.on, abs=1e-3)
    assert abs(bypass.on - bypass.off) > 0.05
    codes_alone = listened(deaf_to_the_embedding())
    assert codes_alone.on == codes_alone.off
    assert codes_alone.gain == 0
    assert abs(codes_alone.shuffled - codes_alone.on) > 0.01


def test_a_decoder_with_one_input_is_only_measured_on_its_codes():
    found = listened(toy_model(decoder_inputs="quantized"))
    assert (found.on, found.shuffled, found.gain) == (None, None, 0)
    assert math.isfinite(found.off)


def facts(here: Listening, **changes: Any) -> Facts:
    model, picture = MODELS[here.inputs], toy_picture()
    found = facts_of(model, Codebook.of(model), encode_picture(model, picture), picture, here)
    return replace(found, **changes)


def answered(here: Facts | Listening, others: dict[str, Listening], **runs: Run) -> dict[str, str]:
    here = facts(here) if isinstance(here, Listening) else here
    given = {name: Other(listening, runs.get(name.replace("-", "_"))) for name, listening in others.items()}
    shown = answers(here, given)
    assert all(answer.question.endswith("?") and answer.text.endswith(".") for answer in shown)
    return {answer.name: answer.text for answer in shown}


def test_the_answers_speak_with_the_figures_that_were_measured():
    trained, classic = Listening(2, 24.4, 31.5, 26.7), Listening(1, 24.72, None, None)
    bypass = Listening(2, 22.88, 32.22, 31.96)
    told = answered(
        trained,
        {TRAINED: trained, CLASSIC: classic, BYPASS: bypass},
        photos=Run(11_200, True, 0.01),
        photos_classic=Run(10_000, True, 0.01),
        photos_bypass=Run(2_000, False, 0.0),
    )
    _, picture, encoded = walked(toy_model(), (2, 3))
    assert "8 vectors" in told["codebook"] and "35 cells" in told["codebook"] and "3 bits" in told["codebook"]
    assert f"{len(set(encoded.indices.ravel().tolist()))} different" in told["codebook"] and "1,539" in told["codebook"]
    assert picture.pixels.size == 1539
    assert "24.40 dB" in told["inputs"] and "31.50 dB: 7.10 dB more" in told["inputs"]
    assert "24.72 dB" in told["classic"] and "0.32 dB less" in told["classic"] and "31.50 dB" in told["classic"]
    assert "photos of 11,200 steps and photos-classic of 10,000" in told["classic"]
    assert "never left out; without it, that has 22.88 dB" in told["dropout"]
    assert "a part of every batch; without it, that has 24.40 dB" in told["dropout"]
    assert "from 32.22 to 31.96 dB" in told["dropout"] and "from 31.50 to 26.70 dB" in told["dropout"]
    assert "commitment loss as well, 0.01 and 0" in told["dropout"]


def test_an_embedding_that_does_harm_is_said_to():
    here = Listening(2, 24.4, 20.0, 26.0)
    assert "4.40 dB less" in answered(here, {})["inputs"]
    assert here.gain == pytest.approx(-4.4) and here.disturbed == pytest.approx(-6)


def test_what_the_embedding_costs_is_counted_in_bytes():
    """4 numbers of 4 bytes a cell, 35 cells; the codes 3 bits each."""
    model, picture = toy_model(), toy_picture()
    found = price(model, encode_picture(model, picture), picture)
    assert (found.codes, found.second, found.raw) == (35 * 3 / 8, 35 * 4 * 4, 19 * 27 * 3)
    narrow = toy_model(embedding_channels=1)
    assert price(narrow, encode_picture(narrow, picture), picture).second == 35 * 4
    one = toy_model(decoder_inputs="quantized")
    assert price(one, encode_picture(one, picture), picture).second == 0
    here = facts(Listening(2, 20.0, 30.0, 25.0))
    for second, says in ((1540, "the raw pixels"), (1500, "the PNG"), (200, "together take 13.8%")):
        assert says in answered(replace(here, price=replace(here.price, second=second, png=1400)), {})["price"]


def test_what_is_not_there_is_said():
    one = Listening(1, 24.4, None, None)
    told = answered(one, {})
    assert set(told) == {"codebook", "inputs", "classic", "dropout"}
    assert "24.40 dB" in told["inputs"] and "two inputs" in told["inputs"]
    assert f"no checkpoint named {CLASSIC}" in told["classic"]
    assert f"no checkpoint named {BYPASS}" in told["dropout"]
    told = answered(one, {CLASSIC: one, BYPASS: Listening(2, 20.0, 30.0, 29.9)})
    assert told["classic"].endswith("24.40 dB on this picture.")
    assert told["dropout"].endswith("from 30.00 to 29.90 dB.")


def test_a_picture_that_comes_out_exactly_is_infinitely_good_and_not_an_error():
    exact = Listening(2, math.inf, math.inf, math.inf)
    close = Listening(2, 30.0, math.inf, 30.0)
    assert exact.gain == exact.disturbed == 0
    assert "∞ dB: the same" in answered(exact, {TRAINED: exact, CLASSIC: exact, BYPASS: exact})["inputs"]
    assert "∞ dB" in answered(close, {TRAINED: close, BYPASS: close})["inputs"]
    check = check_half(math.inf, close, weight=1.0)
    assert not check.done and "exactly" in check.sentence
    assert half_way(lambda percent: 30.0, close) is None


@pytest.mark.parametrize(
    "settings, run",
    [
        ({"training": {"step": 5, "embedding_dropout": True, "commitment": 0.5}}, Run(5, True, 0.5)),
        (
            {
                "training": {"step": 5, "embedding_dropout": True, "commitment": 0.5},
                "fine_tuning": {"step": 7, "embedding_dropout": False, "commitment": 0.1},
            },
            Run(12, False, 0.5),
        ),
        ({}, None),
        ({"training": {"step": "many", "embedding_dropout": True, "commitment": 0.5}}, None),
        ({"training": {"step": 5}}, None),
        ({"training": [5]}, None),
    ],
)
def test_how_a_checkpoint_was_trained_is_read_from_its_settings(settings: dict[str, Any], run: Run | None):
    assert Run.of(settings) == run


@pytest.mark.parametrize(
    "value, decimals, shown", [(1234.0, 0, "1,234 codes"), (-0.256, 2, "−0.26 codes"), (math.inf, 2, "∞ codes")]
)
def test_a_guess_is_written_as_the_figure_is(value, decimals, shown):
    assert Guess("?", 0.0, "codes", decimals).shown(value) == shown


# --- things to try ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "colour, sky",
    [
        ([100, 142, 186], True),
        ([95, 105, 115], True),  # 20 bluer than red, and not dark
        ([96, 105, 115], False),  # too grey
        ([10, 30, 90], False),  # too dark
        ([140, 130, 190], False),  # violet
        ([120, 190, 180], False),  # green
        ([255, 255, 255], False),
    ],
)
def test_sky_is_light_and_more_blue_than_green_than_red(colour, sky):
    check = check_sky(3, np.array(colour, np.uint8))
    assert check.done is sky
    assert f"blue {colour[2]}" in check.sentence and ("not sky" in check.sentence) is not sky


def test_the_rarest_hundredth_of_the_codes_counts_and_all_that_are_as_rare():
    counts = np.arange(200)[::-1] // 2 + 5  # each count twice, so that the hundredth are the two of 5
    for code, rare in ((199, True), (198, True), (197, False), (0, False)):
        assert check_rare(code, counts, sample="toys").done is rare
    tied = np.array([9, 0, 0, 0])
    assert [check_rare(code, tied, sample="toys").done for code in range(4)] == [False, True, True, True]
    assert "1 cell of toys" in check_rare(0, np.array([1, 7]), sample="toys").sentence


def test_a_cell_counts_as_close_when_it_is_among_a_tenth_and_was_picked():
    gaps = np.linspace(0.01, 1, 100).reshape(10, 10)
    assert check_margin(0.05, gaps, chosen=True).done
    assert not check_margin(0.05, gaps, chosen=False).done
    assert not check_margin(0.2, gaps, chosen=True).done
    assert "20.0%" in check_margin(0.2, gaps, chosen=True).sentence


def test_half_of_the_gain_is_half_of_the_decibels():
    here = Listening(2, 20.0, 30.0, 25.0)
    done = {now: check_half(now, here, weight=0.2).done for now in (24.4, 24.6, 25.0, 25.4, 25.6, 30.0)}
    assert [now for now, is_done in done.items() if is_done] == [24.6, 25.0, 25.4]
    assert "brings 46% of what the whole embedding adds" in check_half(24.6, here, weight=0.2).sentence
    assert not check_half(20.1, Listening(2, 20.0, 20.2, 20.0), weight=0.5).done
    assert not check_half(22.0, Listening(1, 20.0, None, None), weight=0.0).done


def plain_effect(model: VQVAE, edit: Edit, before: Edit, encoded: EncodedPicture, cell: tuple[int, int]) -> float:
    """Both whole pictures decoded; the root mean square of what changed in the cell, in levels of 255."""
    one, two = (
        model.decode(fed.quantized, fed.embedding).numpy()[0]
        for fed in (inputs_of(model, encoded.encoding, each) for each in (before, edit))
    )
    row, column = cell
    change = (one - two)[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
    return 255 * math.sqrt((change.astype(float) ** 2).mean())


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("rule", ["follow", "carry", "keep"])
def test_the_effect_of_an_edit_is_what_it_does_to_the_cells_pixels(cell, rule):
    model = toy_model()
    _, _, encoded = walked(model, cell)
    code = (int(encoded.indices[cell]) + 3) % 8
    effect = edit_effect(model, encoded.encoding, cell, code, rule=rule, weight=0.6)
    assert effect is not None
    for found, weight in ((effect.now, 0.6), (effect.alone, 0.0)):
        before = unedited(encoded.encoding, weight=weight, rule=rule)
        indices = before.indices.copy()
        indices[cell] = code
        plain = plain_effect(model, replace(before, indices=indices), before, encoded, cell)
        assert found == pytest.approx(plain, rel=1e-3, abs=1e-3)


def test_only_a_decoder_that_is_deaf_to_codes_ignores_an_edit_and_only_while_the_embedding_is_kept():
    cell = (2, 3)
    done = {}
    for name, model in (("codes", deaf_to_codes()), ("embedding", deaf_to_the_embedding())):
        _, _, encoded = walked(model, cell)
        for rule in ("follow", "keep"):
            for weight in (0.0, 1.0):
                for code in set(range(8)) - {int(encoded.indices[cell])}:
                    effect = edit_effect(model, encoded.encoding, cell, code, rule=rule, weight=weight)
                    check = check_ignored(code, effect)
                    done.setdefault((name, rule, weight), set()).add(check.done)
    assert done.pop(("codes", "keep", 1.0)) == {True}
    assert set.union(*done.values()) == {False}


def test_what_cannot_be_checked_is_not_done():
    assert edit_effect(*_same_code(), rule="keep", weight=1.0) is None
    silent = EditEffect(now=0.0, alone=0.2)
    for check in (
        check_sky(None, None),
        check_rare(None, np.ones(8), sample="toys"),
        check_ignored(None, None),
        check_ignored(3, None),
        check_ignored(3, silent),
    ):
        assert not check.done and check.sentence.endswith(".")


def _same_code() -> tuple:
    model = toy_model()
    _, _, encoded = walked(model, (1, 1))
    return model, encoded.encoding, (1, 1), int(encoded.indices[1, 1])


# --- every task that is offered can be done


def ground_for(tokenizer: Tokenizer, picture: Picture, counts: np.ndarray | None = None) -> Ground:
    """As the page makes it: all codes are on the wall."""
    encoded, codebook = encode_picture(tokenizer, picture), Codebook.of(tokenizer)
    here = listen(tokenizer, encoded, picture)
    counts = np.bincount(encoded.indices.ravel(), minlength=len(codebook)) if counts is None else counts
    codes = np.argsort(-counts, kind="stable")
    colours = mean_colours(code_tiles(tokenizer, codes))
    return Ground(
        inputs=tokenizer.spec.inputs,
        codes=codes,
        colours=colours,
        counts=counts,
        gaps=all_gaps(codebook, encoded),
        half=half_way(lambda percent: psnr_at(tokenizer, encoded, picture, percent), here),
        ignored=ignored_edit(tokenizer, encoded.encoding, codes, colours),
    )


def psnr_at(tokenizer: Tokenizer, encoded: EncodedPicture, picture: Picture, percent: int) -> float:
    return render(tokenizer, encoded, picture, weight=percent / 100).quality.psnr


def a_way(task: str, tokenizer: Tokenizer, picture: Picture, ground: Ground) -> bool:
    """Search what a person can do on the page, by the page's own checks: is there a way to do the task?"""
    encoded, codebook = encode_picture(tokenizer, picture), Codebook.of(tokenizer)
    every_code = range(len(codebook))
    if task == "sky":
        tiles = mean_colours(code_tiles(tokenizer))
        return any(check_sky(code, tiles[code]).done for code in every_code)
    if task == "rare":
        return any(check_rare(code, ground.counts, sample="toys").done for code in every_code)
    if task == "margin":
        walks = (
            follow(tokenizer, codebook, encoded, picture, cell, weight=0.0) for cell in np.ndindex(ground.gaps.shape)
        )
        return any(check_margin(walk.gap, ground.gaps, chosen=True).done for walk in walks)
    if task == "half":
        here = listen(tokenizer, encoded, picture)
        return any(
            check_half(psnr_at(tokenizer, encoded, picture, percent), here, weight=percent / 100).done
            for percent in sorted(range(101), key=lambda percent: abs(percent - (ground.half or 0)))
        )
    assert task == "ignore"
    cell, code = ground.ignored or ((0, 0), 0)
    effect = edit_effect(tokenizer, encoded.encoding, cell, code, rule="keep", weight=1.0)
    return check_ignored(code, effect).done


TOYS: dict[str, Callable[[], Tokenizer]] = {
    "two": toy_model,
    "one": lambda: toy_model(decoder_inputs="quantized"),
    "narrow": lambda: toy_model(embedding_channels=2),
    "one code": lambda: toy_model(codes=1),
    "bypass": deaf_to_codes,
    "deaf to the embedding": deaf_to_the_embedding,
    "mixes neighbours": toy_tokenizers.mixed_neighbours,
    "global": lambda: Served(toy_tokenizers.global_decoder()),
}


def assert_all_can_be_done(tokenizer: Tokenizer, picture: Picture, counts: np.ndarray | None = None) -> set[str]:
    """The names of the tasks that are offered."""
    ground = ground_for(tokenizer, picture, counts)
    reasons = {task.name: why_not(task.name, ground) for task in TASKS}
    offered = {name for name, reason in reasons.items() if reason is None}
    assert all(reason.endswith(".") for reason in reasons.values() if reason)
    for name in offered:
        assert a_way(name, tokenizer, picture, ground), name
        assert way(name, ground).endswith(".")
    return offered


@pytest.mark.parametrize("pixels", [toy_pixels(19, 27), np.full((16, 16, 3), 99, np.uint8), toy_pixels(1, 1)])
@pytest.mark.parametrize("name", TOYS)
def test_a_toy_offers_no_task_that_cannot_be_done(name: str, pixels: np.ndarray):
    offered = assert_all_can_be_done(TOYS[name](), open_picture(to_png(pixels), "toy.png", working_size=128))
    if name in ("one", "deaf to the embedding", "one code", "global"):
        assert not offered & ({"half", "ignore"} if name != "one code" else {"margin", "rare", "sky", "ignore"})
    if name == "bypass" and len(pixels) == 19:
        assert "ignore" in offered


@pytest.mark.parametrize("name", sorted(path.parent.name for path in CHECKPOINTS.glob("*/config.json")))
def test_a_shipped_checkpoint_offers_no_task_that_cannot_be_done(name: str):
    folder = CHECKPOINTS / name
    tokenizer = checkpoint.load(folder)
    usage = load_training_usage(folder, checkpoint=checkpoint.content_hash(folder), codes=tokenizer.spec.grid.codes)
    picture = open_picture(SAMPLES[0].read(), SAMPLES[0].file, working_size=128)
    offered = assert_all_can_be_done(tokenizer, picture, usage.counts if usage else None)
    assert {"sky", "rare", "margin"} <= offered
    assert ("half" in offered) is (tokenizer.spec.inputs == 2)


@pytest.mark.parametrize("at", [0.004, 0.12, 0.5, 0.97])
def test_a_blend_of_half_the_gain_is_found_wherever_the_gain_comes(at: float):
    """A gain that rises as a smooth step around a blend; found is one that the task itself accepts."""
    here = Listening(2, 20.0, 30.0, 25.0)

    def psnr(percent: int) -> float:
        raw = [1 / (1 + math.exp(-(place / 100 - at) / 0.05)) for place in (0, percent, 100)]
        return 20 + 10 * (raw[1] - raw[0]) / (raw[2] - raw[0])

    found = half_way(psnr, here)
    assert found is not None and check_half(psnr(found), here, weight=found / 100).done


def test_a_gain_that_comes_all_at_once_has_no_half():
    here = Listening(2, 20.0, 30.0, 25.0)
    assert half_way(lambda percent: 30.0 if percent >= 40 else 20.0, here) is None
    assert half_way(lambda percent: 20.0 + percent / 1000, Listening(2, 20.0, 20.1, 20.0)) is None
    assert half_way(lambda percent: 20.0 - percent / 10, Listening(2, 20.0, 10.0, 20.0)) is None


# --- the worksheet


def sheet_for(tokenizer: Tokenizer, **changes: Any) -> Sheet:
    picture = toy_picture()
    encoded, codebook = encode_picture(tokenizer, picture), Codebook.of(tokenizer)
    here = listen(tokenizer, encoded, picture)
    found = facts_of(tokenizer, codebook, encoded, picture, here)
    ground = ground_for(tokenizer, picture)
    subject = Subject(tokenizer, codebook, encoded, picture, here)
    sheet = Sheet(
        model="toy",
        title="A toy",
        link="checkpoint=toy&cell=4,6",
        picture=picture,
        encoded=encoded,
        cell=(4, 6),
        facts=found,
        answers=answers(found, {}),
        findings=[(claim, claim.test(subject)) for claim in offered(tokenizer.spec)],
        tasks=[(task, way(task.name, ground)) for task in TASKS if why_not(task.name, ground) is None],
    )
    return replace(sheet, **changes)


@pytest.mark.parametrize("name", ["two", "one", "narrow", "one code", "mixes neighbours"])
def test_the_worksheet_is_whole_and_its_answers_stand_on_pages_of_their_own(name: str):
    sheet = sheet_for(TOYS[name]())
    page = worksheet(sheet)
    questions, found = page.split("<main class='answers'>")
    plain = html.unescape(re.sub("<[^>]+>", "", questions))
    answered = html.unescape(re.sub("<[^>]+>", "", found))
    for claim, finding in sheet.findings:
        assert claim.saying in plain and finding.text in answered and finding.text not in plain
    for answer in sheet.answers:
        assert answer.text in answered and answer.text not in plain
        if answer.guess:
            assert answer.guess.prompt in plain and answer.guess.shown(answer.guess.truth) in answered
    for task, how in sheet.tasks:
        assert task.title in plain and how in answered and how not in plain
    assert "/learn?checkpoint=toy&cell=4,6" in plain
    assert ".answers { break-before: page; }" in page
    assert questions.count("class='blank'") == page.count("class='blank'") >= 8


def test_the_worksheet_needs_nothing_but_itself():
    page = worksheet(sheet_for(toy_model()))
    assert not re.search(r"<script|<link|@import|url\(|https?:", page)
    sources = re.findall(r"(?:src|href)='([^']*)'", page)
    assert len(sources) == 1 and sources[0].startswith("data:image/png;base64,")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(sources[0].split(",")[1]))))
    np.testing.assert_array_equal(shown, toy_picture().pixels)
    assert worksheet(sheet_for(toy_model())) == page


def test_a_name_is_shown_as_it_is_on_the_worksheet():
    page = worksheet(sheet_for(toy_model(), title="<b>\udcff&", model="'x'"))
    assert "<b>" not in page.split("<div class='top'>")[0] and "&lt;b&gt;\\udcff&amp;" in page
    page.encode()


@pytest.mark.parametrize("cell, box", [((4, 6), (24, 16, 3, 3)), ((0, 0), (0, 0, 4, 4))])
def test_the_frame_on_the_worksheet_is_around_the_cell(cell, box):
    page = worksheet(sheet_for(toy_model(), cell=cell))
    left, top, width, height = box
    assert f"<rect class='frame' x='{left}' y='{top}' width='{width}' height='{height}'" in page


# --- claims


def test_each_claim_has_a_name_and_can_be_put_to_some_decoder():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS) >= 6
    assert all(claim.saying.endswith(".") for claim in CLAIMS)
    one, two = (offered(model.spec) for model in (MODELS[1], MODELS[2]))
    assert set(one) < set(two) == set(CLAIMS)
    assert {claim.name for claim in CLAIMS} - {claim.name for claim in one} == {"shuffled"}


def test_the_exhibit_that_ignores_its_embedding_is_the_open_model_otherwise():
    for model in (toy_model(), toy_model(embedding_channels=2)):
        deaf = _without_second_path(model)
        encoding = model.encode(toy_picture().image)
        noise = torch.randn_like(encoding.embedding)
        torch.testing.assert_close(deaf.decode(encoding.quantized, noise), model.decode(encoding.quantized))
        assert not torch.equal(model.decode(encoding.quantized, noise), model.decode(encoding.quantized))


# --- the session, and what the browser says ---------------------------------------------------------------------------


def test_what_was_done_stays_done():
    session = Session().with_tried("sky")
    assert session.with_tried("half").learn.tried == {"sky", "half"}
    assert session.with_tried("sky") is session
    assert session.with_checkpoint("photos-bypass").with_picture("coffee").learn.tried == {"sky"}
    assert {task.name for task in TASKS} == {"sky", "rare", "margin", "half", "ignore"}


@pytest.mark.parametrize(
    "session",
    [
        Session().with_tried("sky", "rare"),
        Session().on("learn", step="inputs"),
        Session().on("learn", step="code").with_tried("half").with_picture("coffee"),
        Session().on("learn", linked_cell=(4, 17)),
    ],
)
def test_a_link_holds_how_far_one_is(session):
    assert Session.from_query(session.to_query()) == session
    assert set(session.to_query()) <= {*STEPS, *SMALL}


def test_a_cell_is_in_the_link_and_waits_for_its_grid():
    query = Session().with_cell((4, 17)).to_query()
    assert query["cell"] == "4,17"
    again = Session.from_query(query)
    assert again.cell is None and again.learn.linked_cell == (4, 17)
    assert again.to_query() == query


def test_a_new_session_has_the_link_of_yesterday():
    assert set(Session().to_query()) == {"checkpoint", "size", "blend", "picture"}


@pytest.mark.parametrize(
    "query",
    [
        {"tried": ""},
        {"tried": "nonsense,,SKY"},
        {"step": "nonsense"},
        {"step": ""},
        {"cell": "1"},
        {"cell": "1,2,3"},
        {"cell": "-1,2"},
        {"cell": "1.5,2"},
        {"cell": "٣,٤"},
        {"cell": "1" * 5000 + ",2"},
    ],
)
def test_what_a_link_makes_up_is_passed_over(query):
    assert Session.from_query(query) == Session()


def test_unknown_names_in_a_link_leave_the_known_ones():
    assert Session.from_query({"tried": "sky,nonsense,rare"}).learn.tried == {"sky", "rare"}


def test_a_guess_is_of_one_figure_of_one_picture_and_the_newest_counts():
    session = Session().with_guess(Guessed("codebook", "a", 3)).with_guess(Guessed("codebook", "b", None))
    assert session.learn.guess_of("codebook", "a") == Guessed("codebook", "a", 3)
    assert session.learn.guess_of("codebook", "b") == Guessed("codebook", "b", None)
    assert session.learn.guess_of("inputs", "a") is None
    session = session.with_guess(Guessed("codebook", "a", 4))
    assert session.learn.guess_of("codebook", "a") == Guessed("codebook", "a", 4) and len(session.learn.guesses) == 2
    for number in range(300):
        session = session.with_guess(Guessed("codebook", str(number), number))
    assert len(session.learn.guesses) == 200 and session.learn.guess_of("codebook", "299")


@pytest.mark.parametrize("value", [None, [1], [1, 2, 3], "12", [1, 2.0], [True, 1], [5, 0], [0, 7], [-1, 0], {"a": 1}])
def test_a_cell_that_the_browser_makes_up_is_no_cell(value):
    assert picker._cell(value, rows=5, columns=7) is None


def test_a_sound_cell_is_taken():
    assert picker._cell([4, 6], rows=5, columns=7) == (4, 6)


def test_the_lines_of_a_persons_own_code_are_shown_where_it_ran() -> None:
    served = Served(global_decoder())
    shown = [source_of(function) for step in steps(served) if step.name != "residual" for function in step.functions]
    assert len(shown) >= 5
    assert {source.file for source in shown if source} == {"tests/toy_tokenizers.py"}


def test_the_callables_of_an_adapted_model_are_shown() -> None:
    model = toy_model(decoder_inputs="quantized")

    def my_encoder(images: torch.Tensor) -> torch.Tensor:
        return model.encoder(images)

    def my_decoder(quantized: torch.Tensor) -> torch.Tensor:
        return model.decoder(quantized, quantized).clamp(0, 1)

    served = adapt(encode=my_encoder, decode=my_decoder, codebook=model.codebook, stride=4)
    named = {step.name: [function.__name__ for function in step.functions] for step in steps(served)}
    assert named["embedding"] == ["my_encoder"] and named["output"] == ["my_decoder"]


def test_lines_that_are_not_to_be_read_are_none() -> None:
    assert source_of(len) is None
