"""The model's laws: what each input does, where an edit reaches, and what gradients training sees."""

import copy

import pytest
import torch
from torch import Tensor

from tests.toys import toy_config, toy_images, toy_model
from vqvae.decoder import NarrowProjection
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.tokenizer import Encoding, blend, prepare, reconstruct


def grids(model: VQVAE, *, batch: int = 2, rows: int = 5, columns: int = 6, seed: int = 0) -> Encoding:
    """An encoding that needs no image: random embeddings and random codes."""
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randint(0, model.config.codes, (batch, rows, columns), generator=generator)
    embedding = torch.randn(batch, model.config.embedding_dim, rows, columns, generator=generator)
    return Encoding(embedding=embedding, indices=(indices,), quantized=model.lookup((indices,)))


# The two inputs


def test_the_decoder_uses_both_inputs() -> None:
    model = toy_model()
    encoding = grids(model)
    with_embedding = model.decode(encoding.quantized, encoding.embedding)
    assert not torch.allclose(model.decode(encoding.quantized), with_embedding, atol=1e-3)
    assert not torch.allclose(model.decode(encoding.embedding, encoding.embedding), with_embedding, atol=1e-3)


@pytest.mark.parametrize("inputs", ["both", "quantized"])
def test_without_an_embedding_the_decoder_sees_the_codes_alone(inputs: str) -> None:
    model = toy_model(decoder_inputs=inputs)
    quantized = grids(model).quantized
    assert torch.equal(model.decode(quantized), model.decode(quantized, quantized))


@pytest.mark.parametrize("inputs", ["both", "quantized"])
@pytest.mark.parametrize("as_map", [False, True])
def test_the_ends_of_the_blend_are_exact(inputs: str, as_map: bool) -> None:
    model = toy_model(decoder_inputs=inputs)
    encoding = grids(model)
    zero, one = (torch.full((5, 6), w) if as_map else w for w in (0.0, 1.0))
    assert torch.equal(blend(encoding, zero), encoding.quantized)
    assert torch.equal(blend(encoding, one), encoding.embedding)
    assert torch.equal(model.decode(encoding.quantized, blend(encoding, zero)), model.decode(encoding.quantized))
    assert torch.equal(
        model.decode(encoding.quantized, blend(encoding, one)), model.decode(encoding.quantized, encoding.embedding)
    )


def test_a_blend_map_blends_each_cell_by_its_own_weight() -> None:
    model = toy_model()
    encoding = grids(model)
    weights = torch.rand(5, 6, generator=torch.Generator().manual_seed(1))
    blended = blend(encoding, weights)
    for row, column in [(0, 0), (2, 3), (4, 5)]:
        w = weights[row, column]
        expected = (1 - w) * encoding.quantized[..., row, column] + w * encoding.embedding[..., row, column]
        torch.testing.assert_close(blended[..., row, column], expected)


def test_what_the_decoder_starts_from_is_linear_in_the_blend() -> None:
    model = toy_model()
    encoding = grids(model)
    stem = [model.decoder.stem(encoding.quantized, blend(encoding, w)) for w in (0.0, 0.25, 0.7, 1.0)]
    torch.testing.assert_close(stem[1], 0.75 * stem[0] + 0.25 * stem[3])
    torch.testing.assert_close(stem[2], 0.3 * stem[0] + 0.7 * stem[3])
    assert not torch.allclose(stem[0], stem[3])


def test_the_stem_is_the_formula_in_its_docstring() -> None:
    model = toy_model()
    encoding = grids(model)
    stem = model.decoder.stem
    quantized, embedding = encoding.quantized[1, :, 2, 3], encoding.embedding[1, :, 2, 3]
    expected = stem.from_quantized.weight.flatten(1) @ quantized + stem.from_quantized.bias
    expected = expected + stem.from_embedding.weight.flatten(1) @ (embedding - quantized)
    torch.testing.assert_close(stem(encoding.quantized, encoding.embedding)[1, :, 2, 3], expected)


def test_a_narrow_second_input_is_a_matrix_of_that_rank() -> None:
    model = toy_model(embedding_channels=2)
    encoding = grids(model)
    narrow = model.decoder.stem.from_embedding
    matrix = narrow.up.weight.flatten(1) @ narrow.down.weight.flatten(1)
    assert torch.linalg.matrix_rank(matrix) == 2 < min(matrix.shape)
    residual = encoding.embedding - encoding.quantized
    expected = model.decoder.stem.from_quantized(encoding.quantized) + torch.einsum("wd,bdij->bwij", matrix, residual)
    torch.testing.assert_close(model.decoder.stem(encoding.quantized, encoding.embedding), expected)


def test_of_the_matrices_of_its_rank_a_narrow_projection_finds_the_one_with_the_least_error() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, mix = torch.randn(6, 4, generator=generator), torch.randn(4, 4, generator=generator)
    residuals = torch.randn(4000, 4, generator=generator) @ mix
    covariance = residuals.T @ residuals / len(residuals)
    narrow = NarrowProjection(4, 2, 6)
    narrow.approximate_(weight, covariance)

    def error(matrix: torch.Tensor) -> float:
        return (residuals @ (weight - matrix).T).square().sum(1).mean().item()

    # the error that is left is what the dropped singular values of weight · covariance^½ amount to
    wanted = torch.linalg.svdvals(residuals @ weight.T / len(residuals) ** 0.5)[2:].square().sum().item()
    up, down = narrow.up.weight.detach().flatten(1), narrow.down.weight.detach().flatten(1)
    assert error(up @ down) == pytest.approx(wanted, rel=1e-3)
    for _ in range(20):
        nudged = up + 0.05 * torch.randn(up.shape, generator=generator)
        assert error(nudged @ down) > error(up @ down)


def test_a_one_input_decoder_reads_the_blend_and_nothing_else() -> None:
    model = toy_model(decoder_inputs="quantized")
    encoding = grids(model)
    other = grids(model, seed=1).quantized
    assert torch.equal(model.decode(encoding.quantized, encoding.embedding), model.decode(other, encoding.embedding))
    assert torch.equal(model.decode(encoding.quantized, encoding.embedding), model.decode(encoding.embedding))
    assert not torch.equal(model.decode(encoding.quantized), model.decode(other))


def test_pictures_lie_between_zero_and_one() -> None:
    model = toy_model()
    picture = model.decode(100 * grids(model).quantized)
    assert picture.min() == 0 and picture.max() == 1


# Gradients in training


def embedding_gradient(model: VQVAE, images: Tensor, weight: Tensor, target: Tensor) -> tuple[Tensor, Encoding]:
    reconstruction, encoding = model(images, weight)
    encoding.embedding.retain_grad()
    (reconstruction * target).sum().backward()
    assert encoding.embedding.grad is not None
    return encoding.embedding.grad, encoding


@pytest.mark.parametrize("inputs", ["both", "quantized"])
def test_without_blend_the_gradient_goes_straight_through_the_quantizer(inputs: str) -> None:
    model = toy_model(decoder_inputs=inputs).requires_grad_(True)
    images, target = toy_images(2, 16, 12), torch.randn(2, 3, 16, 12, generator=torch.Generator().manual_seed(1))
    gradient, encoding = embedding_gradient(model, images, torch.zeros(2, 1, 1, 1), target)
    quantized = encoding.quantized.detach().requires_grad_(True)
    (model.decoder(quantized, quantized) * target).sum().backward()
    assert quantized.grad is not None and quantized.grad.abs().max() > 0
    torch.testing.assert_close(gradient, quantized.grad)


def test_the_blended_residual_adds_its_exact_gradient() -> None:
    model = toy_model().requires_grad_(True)
    images, target = toy_images(3, 16, 12), torch.randn(3, 3, 16, 12, generator=torch.Generator().manual_seed(1))
    weight = torch.tensor([0.0, 0.3, 1.0]).view(3, 1, 1, 1)
    gradient, encoding = embedding_gradient(model, images, weight, target)
    # the decoder as a function of the codes and of the residual, each moved alone
    codes = encoding.quantized.detach().requires_grad_(True)
    residual = (encoding.embedding - encoding.quantized).detach().requires_grad_(True)
    stem = model.decoder.stem
    start = stem.from_quantized(codes) + stem.from_embedding(weight * residual)
    (((model.decoder.levels(start) + 1) / 2) * target).sum().backward()
    assert codes.grad is not None and residual.grad is not None
    assert residual.grad[0].abs().max() == 0 and residual.grad[1].abs().max() > 0
    torch.testing.assert_close(gradient, codes.grad + residual.grad, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_the_slope_that_finite_differences_find() -> None:
    model = toy_model().requires_grad_(True)
    generator = torch.Generator().manual_seed(1)
    images, target = toy_images(2, 16, 12), torch.randn(2, 3, 16, 12, generator=generator)
    weight = torch.tensor([0.4, 0.9]).view(2, 1, 1, 1)
    gradient, encoding = embedding_gradient(model, images, weight, target)
    decoder = copy.deepcopy(model.decoder).double()
    codes, embedding = encoding.quantized.detach().double(), encoding.embedding.detach().double()
    direction = torch.randn(embedding.shape, generator=generator).double()

    def loss(step: float) -> float:
        moved = codes + step * direction  # straight through: the codes move as the embedding does
        blended = moved + weight.double() * (embedding + step * direction - codes)
        return (decoder(moved, blended) * target).sum().item()

    slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
    assert (gradient.double() * direction).sum().item() == pytest.approx(slope, rel=1e-4)


def test_training_sees_the_picture_that_serving_shows() -> None:
    model = toy_model()
    images = toy_images(2, 16, 12)
    for w in (0.0, 0.5, 1.0):
        trained, _ = model(images, torch.full((2, 1, 1, 1), w))
        torch.testing.assert_close(trained.clamp(0, 1), reconstruct(model, images, weight=w), rtol=1e-4, atol=1e-5)


# Any size


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 13), (16, 16), (4, 5), (3, 40)])
@pytest.mark.parametrize("channels", [(4,), (4, 8), (4, 4, 8)])
def test_images_of_any_size_go_through(height: int, width: int, channels: tuple[int, ...]) -> None:
    model = toy_model(channels=channels, blocks=(1,) * len(channels))
    images = toy_images(2, height, width)
    encoding = model.encode(images)
    stride = 2 ** len(channels)
    assert model.spec.stride == stride
    rows, columns = -(-height // stride), -(-width // stride)
    assert encoding.grid.shape == (2, rows, columns) and encoding.grid.dtype == torch.int64
    assert encoding.embedding.shape == encoding.quantized.shape == (2, 4, rows, columns)
    assert model.decode(encoding.quantized).shape == (2, 3, rows * stride, columns * stride)
    assert reconstruct(model, images).shape == images.shape


def test_the_encoding_is_consistent() -> None:
    model = toy_model()
    encoding = model.encode(toy_images(2, 24, 32))
    assert torch.equal(encoding.grid, model.quantizer.nearest(encoding.embedding))
    assert torch.equal(encoding.quantized, model.lookup(encoding.indices))
    assert len(encoding.grid.unique()) > 1
    torch.testing.assert_close(encoding.embedding.square().mean(1), torch.ones(2, 6, 8), rtol=1e-3, atol=1e-3)


def test_a_whole_image_is_encoded_as_part_of_itself_padded() -> None:
    model = toy_model()
    images = toy_images(1, 10, 11)
    mirrored = torch.cat([images, images[:, :, 7:9].flip(2)], dim=2)
    mirrored = torch.cat([mirrored, mirrored[..., 9:10]], dim=3)
    assert torch.equal(model.encode(images).embedding, model.encode(mirrored).embedding)


def test_a_batch_and_one_image_at_a_time_agree() -> None:
    model = toy_model()
    images = toy_images(5, 20, 28)
    together = model.encode(images)
    picture = model.decode(together.quantized, together.embedding)
    for number, image in enumerate(images):
        alone = model.encode(image[None])
        assert torch.equal(alone.grid[0], together.grid[number])
        torch.testing.assert_close(alone.embedding[0], together.embedding[number], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            model.decode(alone.quantized, alone.embedding)[0], picture[number], rtol=1e-4, atol=1e-5
        )


# Locality

SHAPES = [((4,), (1,)), ((4, 8), (1, 1)), ((4, 8), (0, 2)), ((4, 4, 8), (2, 0, 1))]
CORNERS_EDGES_MIDDLE = [(0, 0), (0, 12), (11, 0), (11, 12), (0, 5), (6, 12), (6, 6), (5, 7)]


def reached(position: int, cells: int, config: VQVAEConfig) -> slice:
    """The pixels along one axis that a cell can reach, by the sizes of the kernels alone."""
    first = last = position
    for level in reversed(range(len(config.channels))):
        spread = config.blocks[level] + (1 if level == 0 else 0)  # a block is one 3×3; so is the last convolution
        first, last = 2 * (first - spread), 2 * (last + spread) + 1  # and a position becomes two
    return slice(max(0, first), min(cells * config.stride, last + 1))


@pytest.mark.parametrize(("channels", "blocks"), SHAPES)
@pytest.mark.parametrize("which", ["quantized", "embedding"])
def test_an_edit_changes_no_pixel_beyond_its_reach(
    channels: tuple[int, ...], blocks: tuple[int, ...], which: str
) -> None:
    model = toy_model(channels=channels, blocks=blocks)
    encoding = grids(model, batch=1, rows=12, columns=13)
    before = model.decoder(encoding.quantized, encoding.embedding)
    for row, column in CORNERS_EDGES_MIDDLE:
        quantized, embedding = encoding.quantized.clone(), encoding.embedding.clone()
        edited = quantized if which == "quantized" else embedding
        edited[..., row, column] += 3 * torch.randn(4, generator=torch.Generator().manual_seed(row))
        changed = (model.decoder(quantized, embedding) != before).any(1)[0]
        inside = torch.zeros_like(changed)
        window = reached(row, 12, model.config), reached(column, 13, model.config)
        inside[window] = True
        assert not inside.all()
        assert not changed[~inside].any()
        # and the reach is not an exaggeration
        rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        assert (rows.min(), rows.max() + 1) == (window[0].start, window[0].stop)
        assert (columns.min(), columns.max() + 1) == (window[1].start, window[1].stop)


def test_a_crop_of_the_grid_decodes_to_a_crop_of_the_picture() -> None:
    """What the Edit page will lean on: beyond the reach of the cut, decoding a window is decoding the whole."""
    model = toy_model()
    encoding = grids(model, batch=1, rows=12, columns=13)
    whole = model.decode(encoding.quantized)
    part = model.decode(encoding.quantized[..., 2:10, 3:13].contiguous())
    reach = 2 * model.spec.stride
    torch.testing.assert_close(
        part[..., reach:-reach, reach:], whole[..., 8 + reach : 40 - reach, 12 + reach :], rtol=0, atol=1e-6
    )


# State and settings


def test_serving_changes_no_state() -> None:
    model = toy_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    encoding = model.encode(toy_images(2, 13, 9))
    kept = encoding.quantized.clone(), encoding.embedding.clone()
    model.decode(encoding.quantized, blend(encoding, 0.5))
    reconstruct(model, toy_images(1, 8, 8))
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(encoding.quantized, kept[0]) and torch.equal(encoding.embedding, kept[1])


def test_a_prepared_model_asks_for_no_gradients() -> None:
    model = prepare(VQVAE(toy_config()))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.decode(grids(model).quantized).requires_grad


def test_a_fresh_deep_stack_starts_as_the_identity() -> None:
    stack = VQVAE(toy_config(blocks=(5, 5))).encoder.levels[2]
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(stack(x), x)


@pytest.mark.parametrize(
    "config",
    [
        VQVAEConfig(),
        toy_config(),
        toy_config(embedding_channels=1),
        toy_config(decoder_inputs="quantized", blocks=(0, 3)),
    ],
)
def test_the_settings_round_trip_through_plain_values(config: VQVAEConfig) -> None:
    assert VQVAEConfig.from_dict(config.to_dict()) == config
