"""Blends, swaps and interpolations: laws of the ends, and every place between computed cell by cell."""

import itertools
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from explorer.base.job import Cancelled
from explorer.editing.edits import DecoderInputs, Painting, unpainted
from explorer.images.reconstruction import Quality
from explorer.images.sets import ImageSet
from explorer.inputs import blending
from explorer.inputs.blending import HIGHEST, LOWEST, WEIGHTS, CellOrder, Curve, Through
from tests.toys import Heard, Mixing, assert_one_sentence, encoded, toy_images, toy_model, toy_pixels
from vqvae.errors import BadInput
from vqvae.images import to_tensor
from vqvae.metrics import psnr, ssim
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding

BOTH = pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
WAYS, ORDERS = get_args(Through), get_args(CellOrder)


def toy_encoding(model: VQVAE, rows: int = 4, columns: int = 5, *, seed: int = 0) -> Encoding:
    return model.encode(toy_images(1, 4 * rows, 4 * columns, seed=seed))


def between(model: VQVAE, a: Encoding, b: Encoding, place: float, **settings: Any) -> DecoderInputs:
    return blending.interpolate(model, Codebook.of(model), a, b, place, **settings)


def pixels_of(picture: Tensor) -> np.ndarray:
    """uint8 [H, W, 3], rounded by NumPy."""
    return np.rint(picture[0].permute(1, 2, 0).numpy().astype(np.float64) * 255).astype(np.uint8)


def assert_same(one: DecoderInputs, other: DecoderInputs) -> None:
    assert torch.equal(one.quantized, other.quantized)
    assert torch.equal(one.embedding, other.embedding)


# --- the blend of one picture -----------------------------------------------------------------------------------------


@BOTH
def test_the_ends_of_the_blend_are_the_decoder_without_the_embedding_and_with_it(decoder_inputs: str) -> None:
    model = toy_model(decoder_inputs=decoder_inputs)
    encoding = toy_encoding(model)
    off, on = (blending.decoded(model, blending.fed_at(encoding, weight)) for weight in (0, 1))
    assert np.array_equal(off, pixels_of(model.decode(encoding.quantized)))
    assert np.array_equal(on, pixels_of(model.decode(encoding.quantized, encoding.embedding)))
    assert not np.array_equal(off, on)


@pytest.mark.parametrize("weight", [*WEIGHTS, 0.123])
def test_the_fed_input_is_linear_in_the_weight(weight: float) -> None:
    encoding = toy_encoding(toy_model())
    fed = blending.fed_at(encoding, weight)
    assert torch.equal(fed.quantized, encoding.quantized)
    residual = encoding.embedding.double() - encoding.quantized.double()
    wanted = encoding.quantized.double() + weight * residual
    torch.testing.assert_close(fed.embedding.double(), wanted, rtol=1e-5, atol=1e-5)


def test_a_curve_goes_over_both_ends_and_through_them() -> None:
    assert (WEIGHTS[0], WEIGHTS[-1]) == (LOWEST, HIGHEST) == (-0.5, 1.5)
    assert {0.0, 1.0} < set(WEIGHTS)
    assert list(WEIGHTS) == sorted(set(WEIGHTS))


@BOTH
def test_each_point_of_a_curve_is_that_picture_against_the_original(decoder_inputs: str) -> None:
    model, original = toy_model(decoder_inputs=decoder_inputs), toy_pixels(14, 18)
    encoding = model.encode(to_tensor(original))
    weights = (-0.5, 0.0, 0.25, 1.0, 1.5)
    found = blending.curve(model, encoding, original, weights)
    assert found.ssim is not None
    assert found.weights.tolist() == list(weights)
    for number, weight in enumerate(weights):
        second = (1 - weight) * encoding.quantized + weight * encoding.embedding
        shown = to_tensor(pixels_of(model.decode(encoding.quantized, second))[:14, :18])
        assert found.psnr[number] == pytest.approx(psnr(shown, to_tensor(original)).item(), abs=0.02)
        assert found.ssim[number] == pytest.approx(ssim(shown, to_tensor(original)).item(), abs=0.002)
    assert found.best == weights[max(range(5), key=lambda number: found.psnr[number])]


@pytest.mark.parametrize("rule", ["follow", "carry", "keep"])
def test_the_curve_of_an_edit_is_of_the_grid_as_it_is_painted(rule: Any) -> None:
    model, original = toy_model(), toy_pixels(14, 18)
    encoding = model.encode(to_tensor(original))
    untouched = unpainted(encoding)
    painting = Painting(untouched.indices.copy(), untouched.painted.copy())
    painting.indices[1, 2] = (painting.indices[1, 2] + 1) % 8
    painting.painted[0, 0], painting.painted[3, 1] = 40, 150
    found = blending.curve(model, encoding, original, (0.0, 0.5, 1.5), painting=painting, rule=rule)
    quantized = model.lookup((torch.from_numpy(painting.indices)[None],))
    for number, level in enumerate((0.0, 0.5, 1.5)):
        second = torch.empty_like(quantized)
        for row, column in itertools.product(range(4), range(5)):
            weight = {(0, 0): 0.4, (3, 1): 1.5}.get((row, column), level)
            code, embedding = quantized[0, :, row, column], encoding.embedding[0, :, row, column]
            if (row, column) == (1, 2) and rule == "follow":
                embedding = code
            if (row, column) == (1, 2) and rule == "carry":
                embedding = code + embedding - encoding.quantized[0, :, row, column]
            second[0, :, row, column] = (1 - weight) * code + weight * embedding
        shown = to_tensor(pixels_of(model.decode(quantized, second))[:14, :18])
        assert found.psnr[number] == pytest.approx(psnr(shown, to_tensor(original)).item(), abs=0.02)
    plain = blending.curve(model, encoding, original, (0.0, 0.5, 1.5))
    assert (np.abs(plain.psnr - found.psnr) > 0.02).any()
    same = blending.curve(model, encoding, original, (0.0, 0.5, 1.5), painting=untouched, rule=rule)
    np.testing.assert_allclose(same.psnr, plain.psnr, atol=0.02)


@pytest.mark.parametrize(
    ("weight", "weights", "psnrs"),
    [
        (0.25, [0, 0.25, 0.5, 1], [10, 40, 20, 30]),
        (0.5, [0, 0.5, 1], [10, 40, 30]),
        (-0.5, [-0.5, 0, 0.5, 1], [40, 10, 20, 30]),
        (1.5, [0, 0.5, 1, 1.5], [10, 20, 30, 40]),
        (0, [0, 0.5, 1], [40, 20, 30]),
    ],
)
def test_a_curve_goes_through_a_point(weight: float, weights: list[float], psnrs: list[float]) -> None:
    curve = Curve(np.array([0, 0.5, 1]), np.array([10.0, 20, 30]), np.array([0.1, 0.2, 0.3]))
    found = curve.through(weight, Quality(40.0, 0.4))
    assert (found.weights.tolist(), found.psnr.tolist()) == (weights, psnrs)
    assert found.ssim is not None
    assert [round(100 * value) for value in found.ssim] == psnrs
    assert curve.through(weight, Quality(40.0, None)).ssim is None


def test_a_picture_smaller_than_the_window_has_no_ssim() -> None:
    model, original = toy_model(), toy_pixels(8, 30)
    found = blending.curve(model, model.encode(to_tensor(original)), original, (0.0, 1.0))
    assert found.ssim is None
    assert np.isfinite(found.psnr).all()


def test_a_curve_can_be_stopped_and_says_how_far_it_is() -> None:
    model, original = toy_model(), toy_pixels(12, 12)
    encoding, heard = model.encode(to_tensor(original)), Heard(stop_at=2)
    with pytest.raises(Cancelled):
        blending.curve(model, encoding, original, (0, 0.5, 1), progress=heard)
    assert heard.steps == [(1, 3), (2, 3)]


@pytest.mark.parametrize(
    "weights", [(), (0, 0), (0.5, 0.2), (-0.6, 0), (0, 1.6), (float("nan"),), (0, float("nan")), (float("inf"),)]
)
def test_weights_that_are_no_curve_are_refused(weights: tuple[float, ...]) -> None:
    model, original = toy_model(), toy_pixels(12, 12)
    with pytest.raises(BadInput) as refusal:
        blending.curve(model, model.encode(to_tensor(original)), original, weights)
    assert_one_sentence(refusal)


@pytest.mark.parametrize("weight", [-0.51, 1.51, float("nan"), float("-inf")])
def test_a_blend_far_beyond_is_refused(weight: float) -> None:
    model = toy_model()
    a = toy_encoding(model)
    for attempt in (
        lambda: blending.fed_at(a, weight),
        lambda: blending.swap(model, a, a, weight=weight),
        lambda: between(model, a, a, 0.5, through="codes", weight=weight),
    ):
        with pytest.raises(BadInput) as refusal:
            attempt()
        assert_one_sentence(refusal)


# --- the band of a set ------------------------------------------------------------------------------------------------


def toy_curve(psnr: list[float], ssim: list[float] | None = None) -> Curve:
    return Curve(np.arange(len(psnr)) / 10, np.array(psnr), None if ssim is None else np.array(ssim))


def test_the_band_is_the_quartiles_at_each_weight() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(8, 3))
    found = blending.band([toy_curve(list(row), list(row / 10)) for row in rows])
    assert found.images == 8
    for place in range(3):
        ordered = sorted(rows[:, place])
        assert found.psnr[:, place].tolist() == [ordered[1], ordered[3], ordered[5]]  # a quarter of 8 are two
    np.testing.assert_allclose(found.ssim, found.psnr / 10)


def test_of_one_picture_the_band_is_its_curve() -> None:
    found = blending.band([toy_curve([20.0, np.inf])])
    assert found.psnr.tolist() == [[20.0, np.inf]] * 3  # and nothing is taken from infinity
    assert found.ssim is None


def test_pictures_without_ssim_are_left_out_of_its_band() -> None:
    found = blending.band([toy_curve([1.0]), toy_curve([2.0], [0.5]), toy_curve([3.0], [0.7])])
    assert (found.images, found.psnr[1].tolist()) == (3, [2.0])
    assert found.ssim is not None
    assert found.ssim[:, 0].tolist() == [0.5, 0.5, 0.7]


def test_curves_of_other_weights_make_no_band() -> None:
    for curves in ([], [toy_curve([1.0]), toy_curve([1.0, 2.0])]):
        with pytest.raises(BadInput) as refusal:
            blending.band(curves)
        assert_one_sentence(refusal)


def toy_set(*, broken: tuple[int, ...] = ()) -> ImageSet:
    files = {f"{number}.png": encoded(Image.fromarray(toy_pixels(40, 32, seed=number)), "PNG") for number in range(4)}
    files |= {f"{number}.png": b"no picture" for number in broken}
    return ImageSet("toys", "toys", "", tuple(files), "0" * 64, files.__getitem__)


def test_the_band_of_a_set_is_that_of_its_pictures() -> None:
    model, heard = toy_model(), Heard()
    found = blending.band_of_set(model, toy_set(broken=(1,)), (0, 1), working_size=40, progress=heard)
    curves = []
    for number in (0, 2, 3):
        original = toy_pixels(40, 32, seed=number)
        curves.append(blending.curve(model, model.encode(to_tensor(original)), original, (0, 1)))
    wanted = blending.band(curves)
    assert (found.images, found.psnr.tolist()) == (3, wanted.psnr.tolist())
    assert found.ssim is not None and wanted.ssim is not None
    assert found.ssim.tolist() == wanted.ssim.tolist()
    assert heard.steps == [(1, 4), (2, 4), (3, 4), (4, 4)]  # one that cannot be read is done, too
    ((name, reason),) = found.unreadable
    assert name == "1.png" and reason in assert_one_sentence(found.unreadable_in_words)
    assert found.unreadable_in_words.startswith("1 of 4 images could not be read: “1.png” is not an image")
    assert wanted.unreadable_in_words == ""
    two = replace(found, unreadable=(*found.unreadable, ("5.png", "5.png is empty.")))
    assert two.unreadable_in_words.startswith("2 of 5 images could not be read; the first: “1.png” is not an image")


def test_a_set_is_shrunk_to_the_working_size_and_can_be_stopped() -> None:
    model = toy_model()
    small = blending.band_of_set(model, toy_set(), (0,), working_size=10)
    assert small.ssim is None  # a picture of 10 × 8 pixels has none
    with pytest.raises(Cancelled):
        blending.band_of_set(model, toy_set(), (0,), working_size=10, progress=Heard(stop_at=3))


def test_a_set_of_nothing_to_read_is_refused() -> None:
    with pytest.raises(BadInput) as refusal:
        blending.band_of_set(toy_model(), toy_set(broken=(0, 1, 2, 3)), (0,), working_size=40)
    assert_one_sentence(refusal)


# --- two pictures, swapped --------------------------------------------------------------------------------------------


@BOTH
def test_a_swap_has_the_codes_of_one_and_the_embedding_of_the_other(decoder_inputs: str) -> None:
    model = toy_model(decoder_inputs=decoder_inputs)
    a, b = toy_encoding(model, seed=1), toy_encoding(model, seed=2)
    found = blending.swap(model, a, b)
    assert_same(found.a_with_b, DecoderInputs(a.quantized, b.embedding))
    assert_same(found.b_with_a, DecoderInputs(b.quantized, a.embedding))
    assert np.array_equal(found.a_with_b_pixels, pixels_of(model.decode(a.quantized, b.embedding)))
    assert np.array_equal(found.b_with_a_pixels, pixels_of(model.decode(b.quantized, a.embedding)))


def test_a_swap_with_itself_is_the_picture_and_at_a_blend_of_0_the_codes_alone() -> None:
    model = toy_model()
    a, b = toy_encoding(model, seed=1), toy_encoding(model, seed=2)
    assert_same(blending.swap(model, a, a, weight=0.7).a_with_b, blending.fed_at(a, 0.7))
    off = blending.swap(model, a, b, weight=0)
    assert_same(off.a_with_b, blending.fed_at(a, 0))
    assert_same(off.b_with_a, blending.fed_at(b, 0))


@pytest.mark.parametrize(("rows", "columns"), [(4, 5), (2, 3), (1, 1), (9, 11), (3, 11), (8, 4), (5, 5)])
def test_another_grid_is_cropped_in_its_middle_or_repeated(rows: int, columns: int) -> None:
    model = toy_model()
    encoding = toy_encoding(model, 4, 5)
    found = blending.fitted(model, encoding, rows, columns)
    assert found.grid.shape == (1, rows, columns)
    for row, column in itertools.product(range(rows), range(columns)):
        from_row = row + (4 - rows) // 2 if rows < 4 else row % 4
        from_column = column + (5 - columns) // 2 if columns < 5 else column % 5
        assert found.grid[0, row, column] == encoding.grid[0, from_row, from_column]
        for part, whole in ((found.embedding, encoding.embedding), (found.quantized, encoding.quantized)):
            assert torch.equal(part[0, :, row, column], whole[0, :, from_row, from_column])


def test_a_swap_of_grids_of_different_shapes_has_the_shape_of_the_codes() -> None:
    model = toy_model()
    a, b = toy_encoding(model, 3, 5, seed=1), toy_encoding(model, 6, 2, seed=2)
    found = blending.swap(model, a, b)
    assert found.a_with_b_pixels.shape == (12, 20, 3)
    assert found.b_with_a_pixels.shape == (24, 8, 3)
    assert_same(found.a_with_b, DecoderInputs(a.quantized, blending.fitted(model, b, 3, 5).embedding))


def test_pictures_of_different_checkpoints_do_not_mix() -> None:
    model, other = toy_model(), toy_model(embedding_dim=6)
    a, b = toy_encoding(model), toy_encoding(other)
    for attempt in (
        lambda: blending.swap(model, a, b),
        lambda: between(model, a, b, 0, through="codes"),
        lambda: blending.frames(model, Codebook.of(model), a, b, steps=2, through="embeddings"),
    ):
        with pytest.raises(BadInput) as refusal:
            attempt()
        assert_one_sentence(refusal)


# --- from one to the other --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("through", WAYS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("weight", [-0.5, 0.0, 0.3, 1.0, 1.5])
def test_the_ends_are_the_two_pictures_to_the_bit(through: Any, order: Any, weight: float, decoder_inputs: str) -> None:
    model = toy_model(decoder_inputs=decoder_inputs)
    a, b = toy_encoding(model, seed=1), toy_encoding(model, seed=2)
    for place, wanted in ((0, a), (1, b), (0.0, a), (1.0, b)):
        fed = between(model, a, b, place, through=through, order=order, weight=weight)
        assert_same(fed, blending.fed_at(wanted, weight))


@pytest.mark.parametrize("through", WAYS)
def test_the_ends_keep_codes_that_are_not_the_nearest(through: Any) -> None:
    model = toy_model()
    encodings = []
    for seed in (1, 2):
        encoding = toy_encoding(model, seed=seed)
        indices = ((encoding.grid + 1) % 8,)
        encodings.append(Encoding(indices, encoding.embedding, model.lookup(indices)))
    for place, wanted in enumerate(encodings):
        fed = between(model, encodings[0], encodings[1], place, through=through)
        assert_same(fed, blending.fed_at(wanted, 1))


@pytest.mark.parametrize("through", WAYS)
@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_between_a_picture_and_itself_there_is_only_that(through: Any, place: float) -> None:
    model = toy_model()
    a = toy_encoding(model)
    fed, wanted = (
        between(model, a, a, place, through=through, weight=0.4),
        blending.fed_at(a, 0.4),
    )
    torch.testing.assert_close(fed.quantized, wanted.quantized)
    torch.testing.assert_close(fed.embedding, wanted.embedding)


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.8])
def test_through_embeddings_both_inputs_move_in_a_straight_line(place: float, weight: float) -> None:
    model = toy_model()
    a, b = toy_encoding(model, seed=1), toy_encoding(model, seed=2)
    fed = between(model, a, b, place, through="embeddings", weight=weight)
    quantized = (1 - place) * a.quantized + place * b.quantized
    embedding = (1 - place) * a.embedding + place * b.embedding
    torch.testing.assert_close(fed.quantized, quantized)
    torch.testing.assert_close(fed.embedding, (1 - weight) * quantized + weight * embedding, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.8])
def test_requantized_each_cell_has_the_code_that_is_nearest_there(place: float, weight: float) -> None:
    model = toy_model()
    a, b = toy_encoding(model, seed=1), toy_encoding(model, seed=2)
    fed = between(model, a, b, place, through="requantized", weight=weight)
    for row, column in itertools.product(range(4), range(5)):
        embedding = (1 - place) * a.embedding[0, :, row, column] + place * b.embedding[0, :, row, column]
        code = min(range(8), key=lambda code: (embedding - model.codebook[code]).norm().item())
        assert torch.equal(fed.quantized[0, :, row, column], model.codebook[code])
        wanted = (1 - weight) * model.codebook[code] + weight * embedding
        torch.testing.assert_close(fed.embedding[0, :, row, column], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
def test_through_codes_cells_are_switched_one_after_another(order: Any, weight: float) -> None:
    model = toy_model()
    a, b = toy_encoding(model, seed=1), toy_encoding(model, seed=2)
    fed_a, fed_b = blending.fed_at(a, weight), blending.fed_at(b, weight)
    ranks = blending.cell_ranks(a, b, order=order, seed=3)
    for number in range(21):
        fed = blending.interpolate(
            model, Codebook.of(model), a, b, number / 20, through="codes", order=order, weight=weight, seed=3
        )
        for row, column in itertools.product(range(4), range(5)):
            whose = fed_b if ranks[row, column] < number else fed_a
            assert torch.equal(fed.quantized[0, :, row, column], whose.quantized[0, :, row, column])
            assert torch.equal(fed.embedding[0, :, row, column], whose.embedding[0, :, row, column])


@pytest.mark.parametrize("place", [0, 0.4, 1])
def test_where_a_lookup_mixes_neighbours_the_grid_between_is_looked_up_whole(place: float) -> None:
    tokenizer = Mixing(toy_model())
    a, b = (tokenizer.encode(toy_images(1, *size, seed=seed)) for seed, size in enumerate([(16, 20), (24, 12)]))
    b = blending.fitted(tokenizer, b, 4, 5)
    assert torch.equal(b.quantized, tokenizer.lookup(b.indices))
    codebook = Codebook.of(tokenizer)
    for order in ORDERS:
        fed = blending.interpolate(tokenizer, codebook, a, b, place, through="codes", order=order)
        switched = torch.from_numpy(blending.cell_ranks(a, b, order=order) < round(place * 20))
        assert torch.equal(fed.quantized, tokenizer.lookup((torch.where(switched, b.grid, a.grid),)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("rows", "columns"), [(4, 5), (1, 1), (3, 3), (1, 6)])
def test_each_cell_has_its_turn_once(order: Any, rows: int, columns: int) -> None:
    model = toy_model()
    a, b = toy_encoding(model, rows, columns, seed=1), toy_encoding(model, rows, columns, seed=2)
    ranks = blending.cell_ranks(a, b, order=order)
    assert ranks.shape == (rows, columns)
    assert sorted(ranks.ravel()) == list(range(rows * columns))


def test_the_orders_are_what_they_say() -> None:
    model = toy_model()
    a, b = toy_encoding(model, 5, 7, seed=1), toy_encoding(model, 5, 7, seed=2)
    places = list(itertools.product(range(5), range(7)))

    def switched(order: CellOrder, seed: int = 0) -> list[tuple[int, int]]:
        ranks = blending.cell_ranks(a, b, order=order, seed=seed)
        return sorted(places, key=lambda place: ranks[place])

    def from_centre(place: tuple[int, int]) -> float:
        return (place[0] - 2) ** 2 + (place[1] - 3) ** 2

    def apart(place: tuple[int, int]) -> float:
        return (a.quantized[0, :, *place] - b.quantized[0, :, *place]).square().sum().item()

    assert switched("reading") == places
    assert switched("centre") == sorted(places, key=from_centre)
    apart_in_turn = [apart(place) for place in switched("least different")]
    assert apart_in_turn == pytest.approx(sorted(apart_in_turn))
    assert apart_in_turn[0] < apart_in_turn[-1]
    same = [place for place in places if a.grid[0, *place] == b.grid[0, *place]]
    assert len(same) > 1
    assert switched("least different")[: len(same)] == same  # alike ones in reading order
    assert switched("most different")[-len(same) :] == same
    in_turn = [apart(place) for place in switched("most different")]
    assert in_turn == pytest.approx(sorted(in_turn, reverse=True))
    assert switched("random", 1) == switched("random", 1) != switched("random", 2)
    assert switched("random", 1) != places


@pytest.mark.parametrize("through", WAYS)
def test_another_grid_is_fitted_to_the_first(through: Any) -> None:
    model = toy_model()
    a, b = toy_encoding(model, 4, 5, seed=1), toy_encoding(model, 6, 3, seed=2)
    fitted = blending.fitted(model, b, 4, 5)
    for place in (0.5, 1):
        fed = between(model, a, b, place, through=through)
        assert_same(fed, between(model, a, fitted, place, through=through))
    assert_same(fed, blending.fed_at(fitted, 1))


def test_what_is_not_between_them_is_refused() -> None:
    model = toy_model()
    a = toy_encoding(model)
    wrong: list[tuple[Any, dict[str, Any]]] = [
        *((place, {"through": "codes"}) for place in (-0.01, 1.01, float("nan"))),
        (0.5, {"through": "walls"}),
        (0.5, {"through": "codes", "order": "backwards"}),
    ]
    for place, settings in wrong:
        with pytest.raises(BadInput) as refusal:
            between(model, a, a, place, **settings)
        assert_one_sentence(refusal)


def test_every_choice_is_explained() -> None:
    for words, choices in ((blending.THROUGH, WAYS), (blending.ORDERS, ORDERS)):
        assert tuple(words) == choices
        for text in words.values():
            assert_one_sentence(text)


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through", WAYS)
def test_frames_are_the_places_in_equal_steps(through: Any) -> None:
    model = toy_model()
    a, b = toy_encoding(model, seed=1), toy_encoding(model, seed=2)
    settings: dict[str, Any] = {"through": through, "order": "random", "weight": 0.5, "seed": 4}
    found = blending.frames(model, Codebook.of(model), a, b, steps=4, size=(13, 18), **settings)
    assert len(found) == 4
    for number, frame in enumerate(found):
        fed = between(model, a, b, number / 3, **settings)
        assert np.array_equal(frame, pixels_of(model.decode(fed.quantized, fed.embedding))[:13, :18])
    whole = blending.frames(model, Codebook.of(model), a, b, steps=2, **settings)
    assert [frame.shape for frame in whole] == [(16, 20, 3)] * 2
    assert np.array_equal(whole[1][:13, :18], found[3])


def test_frames_can_be_stopped() -> None:
    model, heard = toy_model(), Heard(stop_at=2)
    a = toy_encoding(model)
    with pytest.raises(Cancelled):
        blending.frames(model, Codebook.of(model), a, a, steps=5, through="codes", progress=heard)
    assert heard.steps == [(1, 5), (2, 5)]


@pytest.mark.parametrize("steps", [-1, 0, 1, 241, 10**9])
def test_too_few_or_too_many_frames_are_refused(steps: int) -> None:
    model = toy_model()
    a = toy_encoding(model)
    with pytest.raises(BadInput) as refusal:
        blending.frames(model, Codebook.of(model), a, a, steps=steps, through="codes")
    assert_one_sentence(refusal)
