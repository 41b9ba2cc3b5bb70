"""The laws that every tokenizer keeps, one function each: `for law in LAWS: law(tokenizer)`.

They are written down here a second time, apart from `vqvae.contract`, and are stricter: what is equal is equal to the
bit. A family is tested by them for free.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.toys import toy_images
from vqvae.tokenizer import Encoding, Tokenizer, blend, pixels_of, reconstruct

Law = Callable[[Tokenizer], None]


def images_for(tokenizer: Tokenizer, batch: int = 2, *, seed: int = 0) -> Tensor:
    """Noise of a size that the tokenizer takes, of no multiple of its stride where any size will do."""
    sizes = tokenizer.spec.sizes
    height, width = sizes.only or (3 * sizes.multiple + 1, 5 * sizes.multiple - 1)
    return toy_images(batch, height, width, seed=seed)


def padded_size(tokenizer: Tokenizer, images: Tensor) -> list[int]:
    multiple = tokenizer.spec.sizes.multiple
    return [-(-side // multiple) * multiple for side in images.shape[-2:]]


def encoding_of(tokenizer: Tokenizer) -> Encoding:
    return tokenizer.encode(images_for(tokenizer))


def spec_is_possible(tokenizer: Tokenizer) -> None:
    spec = tokenizer.spec
    assert spec.levels
    assert spec.inputs in (1, 2)
    assert spec.reach is None or spec.reach >= 0
    for level in spec.levels:
        assert level.codes >= 1
        assert level.dim >= 1
        assert level.stride is None or spec.sizes.multiple % level.stride == 0
    if spec.sizes.only:
        assert all(side % spec.sizes.multiple == 0 for side in spec.sizes.only)


def indices_are_a_grid_for_each_level(tokenizer: Tokenizer) -> None:
    images = images_for(tokenizer)
    indices = tokenizer.encode(images).indices
    assert len(indices) == len(tokenizer.spec.levels)
    for level, grid in zip(tokenizer.spec.levels, indices, strict=True):
        assert grid.dtype == torch.int64
        if level.stride is None:
            assert grid.shape[:2] == (2, 1)
        else:
            assert list(grid.shape) == [2, *(side // level.stride for side in padded_size(tokenizer, images))]
        assert grid.min() >= 0
        assert grid.max() < level.codes


def quantized_is_lookup_of_indices(tokenizer: Tokenizer) -> None:
    encoding = encoding_of(tokenizer)
    assert encoding.quantized.shape == encoding.embedding.shape
    assert encoding.quantized.is_floating_point()
    assert encoding.embedding.isfinite().all()
    assert torch.equal(tokenizer.lookup(encoding.indices), encoding.quantized)


def pixels_have_the_padded_size_and_lie_in_the_range(tokenizer: Tokenizer) -> None:
    images = images_for(tokenizer)
    encoding = tokenizer.encode(images)
    for decoded in (tokenizer.decode(encoding.quantized), tokenizer.decode(encoding.quantized, encoding.embedding)):
        assert list(decoded.shape) == [2, 3, *padded_size(tokenizer, images)]
        assert decoded.min() >= 0
        assert decoded.max() <= 1
    assert reconstruct(tokenizer, images).shape == images.shape


def the_answer_is_always_the_same(tokenizer: Tokenizer) -> None:
    images = images_for(tokenizer)
    kept = images.clone()
    first, second = tokenizer.encode(images), tokenizer.encode(images)
    assert torch.equal(images, kept)  # nothing is written into what is given
    for one, other in zip(first.indices, second.indices, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(first.embedding, second.embedding)
    decoded = tokenizer.decode(first.quantized)
    assert torch.equal(first.quantized, second.quantized)
    assert torch.equal(decoded, tokenizer.decode(second.quantized))


def a_batch_is_its_images_one_by_one(tokenizer: Tokenizer) -> None:
    images = images_for(tokenizer, batch=3)
    together = tokenizer.encode(images)
    for number in range(3):
        alone = tokenizer.encode(images[number : number + 1])
        for grid, one in zip(together.indices, alone.indices, strict=True):
            assert torch.equal(grid[number : number + 1], one)
        torch.testing.assert_close(together.embedding[number : number + 1], alone.embedding)
        decoded = tokenizer.decode(together.quantized)[number : number + 1]
        torch.testing.assert_close(decoded, tokenizer.decode(alone.quantized), rtol=0, atol=1e-5)


def without_an_embedding_the_codes_stand_for_it(tokenizer: Tokenizer) -> None:
    encoding = encoding_of(tokenizer)
    alone = tokenizer.decode(encoding.quantized)
    assert torch.equal(tokenizer.decode(encoding.quantized, encoding.quantized), alone)
    assert torch.equal(tokenizer.decode(encoding.quantized, blend(encoding, 0.0)), alone)


def a_second_input_is_listened_to_as_the_spec_says(tokenizer: Tokenizer) -> None:
    encoding = encoding_of(tokenizer)
    other = encoding.embedding + 0.1
    beside = tokenizer.decode(encoding.quantized, other)
    only = tokenizer.decode(other, other)
    assert torch.equal(beside, only) == (tokenizer.spec.inputs == 1)


def vectors_are_rows_of_one_table(tokenizer: Tokenizer) -> None:
    for number, level in enumerate(tokenizer.spec.levels):
        codes = torch.linspace(0, level.codes - 1, 21, dtype=torch.float64).long()
        whole = tokenizer.vectors(number, codes)
        assert list(whole.shape) == [21, level.dim]
        assert whole.isfinite().all()
        assert torch.equal(torch.cat([tokenizer.vectors(number, part) for part in codes.split(4)]), whole)
        assert torch.equal(tokenizer.vectors(number, codes.flip(0)), whole.flip(0))
        assert list(tokenizer.vectors(number, codes[:0]).shape) == [0, level.dim]


def a_change_goes_as_far_as_reach_says(tokenizer: Tokenizer) -> None:
    """Counted in cells of the coarsest level, on each side."""
    spec = tokenizer.spec
    if spec.reach is None:
        return
    coarsest = max(level.stride or 0 for level in spec.levels)
    side = coarsest * (2 * spec.reach + 5)
    encoding = tokenizer.encode(toy_images(1, side, side))
    before = tokenizer.decode(encoding.quantized)
    middle, reach = side // 2, spec.reach * coarsest
    for number, level in enumerate(spec.levels):
        assert level.stride is not None
        cell = middle // level.stride
        changed = [grid.clone() for grid in encoding.indices]
        changed[number][0, cell, cell] = (changed[number][0, cell, cell] + level.codes // 2) % level.codes
        moved = (tokenizer.decode(tokenizer.lookup(tuple(changed))) != before).any(1)[0]
        assert moved.any()
        first, last = cell * level.stride - reach, (cell + 1) * level.stride + reach
        rows, columns = moved.any(1).nonzero(), moved.any(0).nonzero()
        for places in (rows, columns):
            assert places.min() >= first
            assert places.max() < last


def decode_clamps_what_is_drawn(tokenizer: Tokenizer) -> None:
    encoding = encoding_of(tokenizer)
    drawn = pixels_of(tokenizer, encoding.quantized, encoding.embedding)
    assert torch.equal(drawn.clamp(0, 1), tokenizer.decode(encoding.quantized, encoding.embedding))


LAWS: tuple[Law, ...] = (
    spec_is_possible,
    indices_are_a_grid_for_each_level,
    quantized_is_lookup_of_indices,
    pixels_have_the_padded_size_and_lie_in_the_range,
    the_answer_is_always_the_same,
    a_batch_is_its_images_one_by_one,
    without_an_embedding_the_codes_stand_for_it,
    a_second_input_is_listened_to_as_the_spec_says,
    vectors_are_rows_of_one_table,
    a_change_goes_as_far_as_reach_says,
    decode_clamps_what_is_drawn,
)
