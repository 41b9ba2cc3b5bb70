"""The maps of how much each input counts, against finite differences and on decoders whose answer is known."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.inputs import sensitivity
from explorer.inputs.sensitivity import SensitivityMap, sensitivity_map
from tests.known_decoders import known
from tests.toys import toy_images, toy_model
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, blend


def encode(model: VQVAE, height: int = 20, width: int = 24) -> Encoding:
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


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_map_against_finite_differences(weight: float) -> None:
    model = toy_model(codes=5).double()
    encoding = double(encode(toy_model(codes=5), 8, 12))
    found = sensitivity_map(model, Codebook.of(model), encoding, weight=weight, probes=500)
    fed = encoding.quantized.contiguous(), blend(encoding, weight).contiguous()
    codes = model.codebook.numpy() - model.codebook.numpy().mean(0)
    residual = cells_of(encoding.embedding) - cells_of(encoding.quantized)
    for at, values, directions in ((0, found.quantized, codes), (1, found.embedding, residual)):
        exact = exact_map(differences(model, *fed, at=at), directions, rows=2, columns=3, stride=4)
        assert values is not None
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, exact, rtol=0.12)
        assert exact.min() > 0.01  # so that there was something to find


def test_the_derivative_along_a_change_is_the_finite_difference() -> None:
    """One probe, drawn as the map draws it."""
    model = toy_model(codes=5).double()
    encoding = double(encode(toy_model(codes=5), 8, 12))
    codes = model.codebook - model.codebook.mean(0)
    change = sensitivity._change(codes, like=encoding.quantized, generator=torch.Generator().manual_seed(3))
    fed, step = (encoding.quantized, encoding.embedding), 1e-6
    ahead, behind = (model.decode(fed[0] + sign * step * change, fed[1]) for sign in (1, -1))
    slope = ((ahead - behind) / (2 * step))[0].numpy().reshape(3, 2, 4, 3, 4)
    found = sensitivity_map(model, Codebook.of(model), encoding, probes=1, seed=3).quantized
    np.testing.assert_allclose(found, np.sqrt((slope**2).mean((0, 2, 4))), rtol=1e-5)


def test_changes_are_of_unit_size_and_go_where_the_directions_go() -> None:
    directions = torch.tensor([[3.0, 0, 0], [0, 4, 0]])
    drawn = sensitivity._change(directions, like=torch.zeros(1, 3, 60, 70), generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (1, 3, 60, 70)
    cells = drawn.movedim(1, -1).reshape(-1, 3)
    assert {tuple(cell) for cell in cells.sign().tolist()} == {(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)}
    assert cells.square().mean().item() == pytest.approx(1, rel=0.05)
    assert cells.mean(0).abs().max() < 0.1
    moments = (cells.T @ cells / len(cells)).numpy()
    np.testing.assert_allclose(moments, np.diag([9, 16, 0]) * 3 / 25, atol=0.1)


@pytest.mark.parametrize(("kind", "sign"), [("ignores the embedding", 1), ("bypasses the codebook", -1)])
def test_an_input_that_does_nothing_has_a_map_of_nothing(kind: str, sign: int) -> None:
    model = known(kind)
    found = sensitivity_map(model, Codebook.of(model), encode(model))
    dead, alive = (found.embedding, found.quantized) if sign > 0 else (found.quantized, found.embedding)
    assert dead is not None
    assert alive is not None
    assert dead.max() < 1e-5 * alive.max()
    assert found.ratio is not None
    assert (found.ratio[alive > 0] == sign * sensitivity.MOST_RATIO).all()


def test_the_ratio_is_the_power_of_two_between_the_maps() -> None:
    quantized = np.array([[0.5, 0.25, 0, 0, 1]], np.float32)
    embedding = np.array([[0.5, 1.0, 0, 1, 0]], np.float32)
    ratio = SensitivityMap(quantized, embedding).ratio
    assert ratio is not None
    assert ratio.dtype == np.float32
    np.testing.assert_allclose(ratio, [[0, -2, 0, -8, 8]])


def test_a_map_of_one_input() -> None:
    model = toy_model(codes=5, decoder_inputs="quantized").double()
    encoding = double(encode(toy_model(codes=5, decoder_inputs="quantized"), 8, 12))
    found = sensitivity_map(model, Codebook.of(model), encoding, weight=0.0, probes=500)
    assert found.embedding is found.ratio is None
    jacobian = differences(model, encoding.quantized.contiguous(), encoding.quantized.contiguous(), at=1)
    codes = model.codebook.numpy() - model.codebook.numpy().mean(0)
    exact = exact_map(jacobian, codes, rows=2, columns=3, stride=4)
    np.testing.assert_allclose(found.quantized, exact, rtol=0.12)


def test_the_map_is_the_same_at_every_call_and_inside_inference_mode() -> None:
    model = toy_model()
    encoding = encode(model)  # made in inference mode, as the app's are
    first = sensitivity_map(model, Codebook.of(model), encoding)
    with torch.inference_mode():
        again = sensitivity_map(model, Codebook.of(model), encoding)
    other = sensitivity_map(model, Codebook.of(model), encoding, seed=1)
    for name in ("quantized", "embedding"):
        assert getattr(first, name).shape == (5, 6)
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


def test_a_single_code_and_a_cell_that_lost_nothing_have_maps_of_zero() -> None:
    model = toy_model(codes=1)
    encoding = encode(model)
    whole = replace(encoding, embedding=encoding.quantized)
    found = sensitivity_map(model, Codebook.of(model), whole)
    assert found.embedding is not None
    assert not found.quantized.any()
    assert not found.embedding.any()
    assert found.ratio is not None
    assert not found.ratio.any()
