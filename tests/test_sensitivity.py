"""The maps of how much each input counts: against finite differences, on decoders whose answer is known, and how sure
they are against how far they are off."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from explorer.base.job import Cancelled
from explorer.inputs import sensitivity
from explorer.inputs.sensitivity import (
    FINEST,
    LEAST_PROBES,
    LEAST_ROUNDS,
    MOST_PROBES,
    MOST_RATIO,
    MOST_SIGNS,
    InputMap,
    SensitivityMap,
    sensitivity_map,
)
from tests.known_decoders import known
from tests.toys import Heard, StandIn, assert_one_sentence, toy_images, toy_model
from vqvae.errors import BadInput
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer, blend

ROUND = 32  # probes of a toy's


def encode(model: Tokenizer, height: int = 20, width: int = 24) -> Encoding:
    with torch.inference_mode():
        return model.encode(toy_images(1, height, width))


def cells_of(vectors: Tensor) -> np.ndarray:
    """[1, D, h, w] -> [h·w, D] in reading order."""
    return vectors[0].flatten(1).T.numpy()


def double(encoding: Encoding) -> Encoding:
    return replace(encoding, embedding=encoding.embedding.double(), quantized=encoding.quantized.double())


def differences(model: VQVAE, quantized: Tensor, embedding: Tensor, *, at: int) -> np.ndarray:
    """∂ output / ∂ one of the inputs by central differences: [3·H·W, D·h·w]."""
    columns, step = [], 1e-6
    for place in range(quantized.numel()):
        sides = []
        for sign in (1, -1):
            fed = [quantized.clone(), embedding.clone()]
            fed[at].view(-1)[place] += sign * step
            sides.append(model.decode(*fed).flatten())
        columns.append(((sides[0] - sides[1]) / (2 * step)).numpy())
    return np.stack(columns, axis=1)


def exact_map(jacobian: np.ndarray, directions: np.ndarray, *, rows: int, columns: int, stride: int) -> np.ndarray:
    """The definition: at each cell, the root of Σ tr(J M Jᵀ) / 3f²."""
    moment = directions.T @ directions / len(directions)
    moment /= np.trace(moment) / len(moment)
    jacobian = jacobian.reshape(3, rows, stride, columns, stride, -1, rows * columns)
    values = np.zeros((rows, columns))
    for row, column, cell in itertools.product(range(rows), range(columns), range(rows * columns)):
        block = jacobian[:, row, :, column, :, :, cell].reshape(3 * stride**2, -1)
        values[row, column] += np.trace(block @ moment @ block.T) / (3 * stride**2)
    return np.sqrt(values)


def input_map(values: list[float], *, size: float = 1.0, errors: list[float] | None = None) -> InputMap:
    """One row of cells with these values and standard errors, to first order, of two rounds."""
    values_, errors_ = np.array([values]), np.array([errors or [0.0] * len(values)])
    return InputMap(np.stack([values_**2 + 2 * values_ * errors_, values_**2 - 2 * values_ * errors_]), 2, size)


# --- the definition ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_map_against_finite_differences(weight: float) -> None:
    model = toy_model(codes=5).double()
    encoding = double(encode(toy_model(codes=5), 8, 12))
    found = sensitivity_map(model, Codebook.of(model), encoding, weight=weight)
    fed = encoding.quantized.contiguous(), blend(encoding, weight).contiguous()
    codes = model.codebook.numpy() - model.codebook.numpy().mean(0)
    residual = cells_of(encoding.embedding) - cells_of(encoding.quantized)
    for at, one, directions in zip((0, 1), found.inputs, (codes, residual), strict=True):
        exact = exact_map(differences(model, *fed, at=at), directions, rows=2, columns=3, stride=4)
        assert one.values.dtype == one.errors.dtype == np.float32
        np.testing.assert_allclose(one.values, exact, rtol=0.12)
        assert np.median(np.abs(one.values / exact - 1)) < 0.05
        assert exact.min() > 0.01  # so that there was something to find
    assert found.quantized.size == pytest.approx(np.sqrt((codes**2).mean()), rel=1e-5)
    assert found.embedding is not None
    assert found.embedding.size == pytest.approx(weight * np.sqrt((residual**2).mean()), rel=1e-5)


def test_a_round_is_the_mean_square_of_finite_differences_along_its_changes() -> None:
    model = toy_model(codes=5).double()
    encoding = double(encode(toy_model(codes=5), 8, 12))
    axes = sensitivity._axes(model.codebook - model.codebook.mean(0))
    generator = torch.Generator().manual_seed(sensitivity._seed(3, 0, 1))
    fed, step, squares = (encoding.quantized, encoding.embedding), 1e-6, []
    for change in sensitivity._changes(axes, like=fed[0], generator=generator):
        ahead, behind = (model.decode(fed[0] + sign * step * change, fed[1]) for sign in (1, -1))
        squares.append(((ahead - behind) / (2 * step))[0].numpy() ** 2)
    slopes = np.mean(squares, 0).reshape(3, 2, 4, 3, 4).mean((0, 2, 4))
    second_round = sensitivity_map(model, Codebook.of(model), encoding, seed=3).quantized.rounds[1]
    np.testing.assert_allclose(second_round, slopes, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 3, 4, 32, 64])
def test_a_round_goes_through_all_directions_and_neighbours_do_not_disturb_it(width: int) -> None:
    directions = torch.randn(80, width, generator=torch.Generator().manual_seed(1))
    axes = sensitivity._axes(directions)
    changes = list(
        sensitivity._changes(axes, like=torch.zeros(1, width, 4, 5), generator=torch.Generator().manual_seed(0))
    )
    assert len(changes) == {1: 32, 3: 32, 4: 32, 32: 64, 64: 128}[width]
    drawn = torch.stack([change[0] for change in changes]).double()  # [N, D, 4, 5]
    moment = directions.double().T @ directions.double() / 80
    moment /= moment.diagonal().mean()
    for row, column in itertools.product(range(4), range(5)):
        here = drawn[:, :, row, column]
        torch.testing.assert_close(here.T @ here / len(changes), moment, rtol=1e-4, atol=1e-5)
        for beside in ((row + 1, column), (row, column + 1)):
            if beside[0] < 4 and beside[1] < 5:
                assert (here.T @ drawn[:, :, *beside]).abs().max() < 1e-4
    others = [(drawn[:, :, 0, 0].T @ drawn[:, :, row, row]).abs().max() for row in (1, 2, 3)]
    assert width < 32 or min(others) > 0.1  # those further apart do so by chance alone


def test_of_many_directions_a_round_has_the_right_ones_on_average() -> None:
    directions = torch.randn(160, 80, generator=torch.Generator().manual_seed(1)) * torch.linspace(2, 0.1, 80)
    axes = sensitivity._axes(directions)
    assert MOST_SIGNS < 80
    moment, cells = torch.zeros(80, 80), 0
    for change in sensitivity._changes(
        axes, like=torch.zeros(1, 80, 24, 24), generator=torch.Generator().manual_seed(0)
    ):
        here = change[0].flatten(1)
        np.testing.assert_allclose(here.square().mean(0), 1, rtol=1e-4)
        moment, cells = moment + here @ here.T, cells + here.shape[1]
    wanted = directions.T @ directions / 160
    wanted /= wanted.diagonal().mean()
    assert wanted.abs().max() > 2
    np.testing.assert_allclose(moment / cells, wanted, atol=0.1)


def test_a_matrix_of_signs_is_orthogonal() -> None:
    for size in (1, 2, 8, 32):
        matrix = sensitivity._hadamard(size)
        assert set(matrix.unique().tolist()) <= {1, -1}
        assert torch.equal(matrix @ matrix.T, size * torch.eye(size, dtype=torch.int64))
        assert torch.equal(matrix, matrix.T)


def test_a_map_of_one_input() -> None:
    model = toy_model(codes=5, decoder_inputs="quantized").double()
    encoding = double(encode(toy_model(codes=5, decoder_inputs="quantized"), 8, 12))
    found = sensitivity_map(model, Codebook.of(model), encoding, weight=0.0)
    assert found.embedding is found.ratio("unit") is found.ratio_errors is None
    jacobian = differences(model, encoding.quantized.contiguous(), encoding.quantized.contiguous(), at=1)
    codes = model.codebook.numpy() - model.codebook.numpy().mean(0)
    exact = exact_map(jacobian, codes, rows=2, columns=3, stride=4)
    np.testing.assert_allclose(found.quantized.values, exact, rtol=0.12)


# --- how sure it is ---------------------------------------------------------------------------------------------------


def test_the_errors_are_as_large_as_maps_of_other_seeds_differ() -> None:
    model = toy_model(codes=5, decoder_inputs="quantized", channels=(4, 8), blocks=(1, 2))
    encoding, codebook = encode(model, 16, 16), Codebook.of(model)
    maps = [sensitivity_map(model, codebook, encoding, seed=seed, weight=0.0).quantized for seed in range(12)]
    assert {one.probes for one in maps} == {LEAST_PROBES}
    spread = np.stack([one.values for one in maps]).var(0, ddof=1).mean()
    said = np.mean([one.errors**2 for one in maps])
    assert 0.75 < said / spread < 1.35
    assert spread > 0


def test_the_reliability_is_the_correlation_of_two_halves() -> None:
    random = np.random.default_rng(0)
    values = random.uniform(0.9, 1.1, (40, 40))
    rounds = (values + random.normal(0, 0.05, (8, 40, 40))) ** 2
    one, other = InputMap(rounds[:4], 2, 1.0), InputMap(rounds[4:], 2, 1.0)
    found = np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1]
    assert 0.6 < found < 0.9
    assert one.reliability == pytest.approx(found, abs=0.03)
    assert one.relative_error == pytest.approx(0.025, rel=0.06)


def test_it_goes_on_until_it_is_sure_and_no_further_than_the_bound() -> None:
    random = np.random.default_rng(0)
    values = random.uniform(0.5, 1.5, (9, 9))

    def measured(rounds: int, noise: float, over: np.ndarray = values) -> InputMap:
        return InputMap((over + random.normal(0, noise, (rounds, 9, 9))) ** 2, 64, 1.0)

    assert not measured(LEAST_ROUNDS - 1, 0).sure  # of so few, how they differ says little
    assert measured(LEAST_ROUNDS, 0.02).sure
    assert not measured(LEAST_ROUNDS, 0.4).sure
    flat = np.ones((9, 9))  # the same everywhere, so that there is nothing to correlate
    assert not measured(LEAST_ROUNDS, 0.02, flat).sure
    assert measured(LEAST_ROUNDS, FINEST, flat).sure
    rough = measured(MOST_PROBES // 64, 2)
    assert rough.finished and not rough.sure
    assert measured(1, 0).errors.min() == np.inf
    for one in (measured(LEAST_ROUNDS, 0.2), measured(5, 0.1, flat)):
        assert one.probes < one.expected_probes <= MOST_PROBES
    later = measured(LEAST_ROUNDS, 0.15).expected_probes // 64
    assert measured(later + 2, 0.15).sure


def test_a_stop_keeps_the_rounds_that_were_done_and_it_goes_on_from_there() -> None:
    model = toy_model()
    encoding, codebook = encode(model), Codebook.of(model)
    whole = sensitivity_map(model, codebook, encoding)
    partial = sensitivity_map(model, codebook, encoding, progress=Heard(stop_at=5 * ROUND + 7))
    assert [one.probes for one in partial.inputs] == [3 * ROUND, 2 * ROUND]
    assert whole.sure and not partial.finished and np.isfinite(partial.quantized.errors).all()
    for one, all_of_it in zip(partial.inputs, whole.inputs, strict=True):
        np.testing.assert_array_equal(one.rounds, all_of_it.rounds[: len(one.rounds)])
    rest = sensitivity_map(model, codebook, encoding, so_far=partial)
    for one, all_of_it in zip(rest.inputs, whole.inputs, strict=True):
        np.testing.assert_array_equal(one.rounds, all_of_it.rounds)
    with pytest.raises(Cancelled):  # of one round no error can be told
        sensitivity_map(model, codebook, encoding, progress=Heard(stop_at=3 * ROUND - 1))


def test_with_no_time_there_are_two_rounds_and_progress_says_how_sure_they_are() -> None:
    model, heard = toy_model(), Heard()
    found = sensitivity_map(model, Codebook.of(model), encode(model), seconds=0, progress=heard)
    assert [len(one.rounds) for one in found.inputs] == [2, 2]
    assert [done for done, _ in heard.steps] == list(range(1, 4 * ROUND + 1))
    assert all(done <= total for done, total in heard.steps)
    assert heard.stages[0] == "1 probe"
    rest = Heard()
    sensitivity_map(model, Codebook.of(model), encode(model), so_far=found, progress=rest)
    assert rest.stages[0].startswith("129 probes, ± ") and rest.stages[0].endswith(" % so far")


def test_the_map_is_the_same_at_every_call_and_inside_inference_mode() -> None:
    model = toy_model()
    encoding = encode(model)  # made in inference mode, as the app's are
    first = sensitivity_map(model, Codebook.of(model), encoding)
    with torch.inference_mode():
        again = sensitivity_map(model, Codebook.of(model), encoding)
    other = sensitivity_map(model, Codebook.of(model), encoding, seed=1)
    for one, same, differs in zip(first.inputs, again.inputs, other.inputs, strict=True):
        assert one.values.shape == (5, 6)
        np.testing.assert_array_equal(one.rounds, same.rounds)
        assert (one.values != differs.values).any()


# --- the ratio --------------------------------------------------------------------------------------------------------


class OfKnownMix(StandIn):
    """f = 4, D = 48: a cell's pixels are a · quantized + b · embedding, number by number, around middle grey."""

    def __init__(self, a: float, b: float) -> None:
        model = toy_model(embedding_dim=48)
        super().__init__(model)
        self.a, self.b = a, b

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        second = quantized if embedding is None else embedding
        return functional.pixel_shuffle(0.5 + self.a * quantized + self.b * second, 4)


@pytest.mark.parametrize(("a", "b", "weight"), [(0.02, 0.01, 1.0), (0.01, 0.03, 1.0), (0.02, 0.02, 0.25)])
def test_of_a_known_mix_the_ratio_is_the_mix_by_either_reading(a: float, b: float, weight: float) -> None:
    tokenizer = OfKnownMix(a, b)
    encoding, codebook = encode(tokenizer), Codebook.of(tokenizer)
    found = sensitivity_map(tokenizer, codebook, encoding, weight=weight)
    assert found.embedding is not None
    np.testing.assert_allclose(found.quantized.values, a, rtol=0.02)
    np.testing.assert_allclose(found.embedding.values, b, rtol=0.02)
    ratio, errors = found.ratio("unit"), found.ratio_errors
    assert ratio is not None and errors is not None
    np.testing.assert_allclose(ratio, np.log2(a / b), atol=0.03)
    assert np.median(errors) < 0.01
    # by hand: what the codes draw that differs from code to code, over what the embedding adds to the picture
    codes = tokenizer.model.codebook.numpy()
    drawn_by_codes = np.sqrt(np.mean((a * (codes - codes.mean(0))) ** 2))
    off, on = (tokenizer.decode(encoding.quantized, blend(encoding, how_much)) for how_much in (0.0, weight))
    drawn_by_embedding = (on - off).square().mean().sqrt().item()
    by_size = found.ratio("size")
    assert by_size is not None
    np.testing.assert_allclose(by_size, np.log2(drawn_by_codes / drawn_by_embedding), atol=0.03)
    scaled = [sensitivity.scaled(one, "size")[0] for one in found.inputs]
    np.testing.assert_allclose(scaled[0], drawn_by_codes, rtol=0.02)
    np.testing.assert_allclose(scaled[1], drawn_by_embedding, rtol=0.02)


@pytest.mark.parametrize(("kind", "sign"), [("ignores the embedding", 1), ("bypasses the codebook", -1)])
def test_an_input_that_does_nothing_has_a_map_of_nothing(kind: str, sign: int) -> None:
    model = known(kind)
    found = sensitivity_map(model, Codebook.of(model), encode(model))
    assert found.embedding is not None
    dead, alive = (found.embedding, found.quantized) if sign > 0 else (found.quantized, found.embedding)
    assert dead.values.max() < 1e-5 * alive.values.max()
    for reading in ("size", "unit"):
        ratio = found.ratio(reading)
        assert ratio is not None
        assert (ratio[alive.values > 0] == sign * MOST_RATIO).all()


def test_the_ratio_is_the_power_of_two_between_the_maps() -> None:
    found = SensitivityMap(input_map([0.5, 0.25, 0, 0, 1], size=2), input_map([0.5, 1, 0, 1, 0], size=0.5))
    unit, size = found.ratio("unit"), found.ratio("size")
    assert unit is not None and size is not None
    assert unit.dtype == size.dtype == np.float32
    np.testing.assert_allclose(unit, [[0, -2, 0, -8, 8]], atol=1e-6)
    np.testing.assert_allclose(size, [[2, 0, 0, -8, 8]], atol=1e-6)


def test_the_error_of_the_ratio_is_how_far_it_moves_when_both_maps_do() -> None:
    codes, embedding = np.array([0.5, 0.25, 0.7]), np.array([0.4, 1.0, 1.0])
    found = SensitivityMap(
        input_map(list(codes), errors=[0.001, 0.003, 0.002], size=3),
        input_map(list(embedding), errors=[0.004, 0.01, 0.02], size=2),
    )
    assert found.embedding is not None and found.ratio_errors is not None
    by_codes = np.log2((codes + found.quantized.errors[0]) / embedding) - np.log2(codes / embedding)
    by_embedding = np.log2(codes / embedding) - np.log2(codes / (embedding + found.embedding.errors[0]))
    np.testing.assert_allclose(found.ratio_errors[0], np.hypot(by_codes, by_embedding), rtol=0.03)


def test_a_cells_error_is_drawn_to_that_of_all_cells_and_the_less_so_the_more_rounds_there_are() -> None:
    random = np.random.default_rng(0)
    noise = np.where(np.arange(40) < 20, 0.01, 0.05)  # half of the cells are surer than the others
    said = []
    for number in (2, 200):
        rounds = 1 + random.normal(0, noise, (number, 40, 40))
        one = InputMap(rounds, 64, 1.0)
        true = noise / 2 / number**0.5
        assert np.square(one.errors).mean() == pytest.approx(np.square(true).mean(), rel=0.1)
        said.append(np.sqrt(np.square(one.errors[:, 0]).mean()) / np.sqrt(np.square(one.errors[:, -1]).mean()))
    assert 0.2 < said[1] < 0.3 < 0.7 < said[0] < 1
    assert one.errors.min() > 0


def test_with_the_embedding_off_it_adds_nothing() -> None:
    model = toy_model()
    found = sensitivity_map(model, Codebook.of(model), encode(model), weight=0.0)
    assert found.embedding is not None
    assert found.embedding.values.min() > 0 and found.embedding.size == 0
    ratio = found.ratio("size")
    assert ratio is not None and (ratio == MOST_RATIO).all()


def test_a_single_code_and_a_cell_that_lost_nothing_have_maps_of_zero() -> None:
    model = toy_model(codes=1)
    encoding = encode(model)
    whole = replace(encoding, embedding=encoding.quantized)
    found = sensitivity_map(model, Codebook.of(model), whole)
    assert found.embedding is not None and found.sure
    for one in found.inputs:
        assert not one.values.any() and not one.errors.any()
        assert (one.size, one.relative_error, one.reliability) == (0, 0, 1)
    ratio, errors = found.ratio("size"), found.ratio_errors
    assert ratio is not None and errors is not None
    assert not ratio.any() and not errors.any()


def test_a_decoder_that_cannot_be_differentiated_twice_is_refused_in_a_sentence() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context, values):
            return values.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, pulled):
            return pulled

    class Rigid(StandIn):
        def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
            return Once.apply(super().decode(quantized, embedding))

    tokenizer = Rigid(toy_model())
    with pytest.raises(BadInput) as refusal:
        sensitivity_map(tokenizer, Codebook.of(tokenizer), encode(tokenizer))
    assert_one_sentence(refusal)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0004, "0.04 %"), (0.012, "1.2 %"), (0.0996, "10 %"), (0.35, "35 %"), (0, "0 %"), (1.5, "150 %")],
)
def test_small_shares_are_read_easily(share: float, text: str) -> None:
    assert sensitivity.percent(share) == text
