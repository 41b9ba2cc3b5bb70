"""What an edit starts from: each kind against its definition, cell by cell."""

from typing import get_args

import numpy as np
import pytest
import torch

from explorer.editing.edits import edited_cells, inputs_of, unedited
from explorer.editing.starts import (
    KINDS,
    LARGEST_SEED,
    MASKS,
    Kind,
    Mask,
    Start,
    begin,
    mask_of,
    mix,
    of_codes,
    random_codes,
)
from tests.toys import Mixing, assert_one_sentence, toy_images, toy_model
from vqvae.errors import BadInput
from vqvae.tokenizer import Encoding


def encoding(height: int, width: int, *, seed: int = 0) -> Encoding:
    return toy_model().encode(toy_images(1, height, width, seed=seed))


def begun(start: Start, encoded: Encoding, *, other: Encoding | None = None, counts: object = None) -> Encoding:
    return begin(toy_model(), start, encoded, other=other, counts=None if counts is None else np.array(counts))


def test_a_picture_starts_from_its_own_grid() -> None:
    encoded = encoding(12, 20)
    assert begun(Start(), encoded, other=encoding(12, 20, seed=1), counts=[1] * 8) is encoded


@pytest.mark.parametrize("start", [Start("one code", code=7), Start("one code", code=0), Start("random", seed=3)])
def test_without_a_picture_the_embedding_is_the_codes_own(start: Start) -> None:
    model, encoded = toy_model(), encoding(10, 21)
    base = begun(start, encoded)
    assert len(base.indices) == 1
    for name in ("embedding", "grid", "quantized"):
        part, like = getattr(base, name), getattr(encoded, name)
        assert (part.shape, part.dtype) == (like.shape, like.dtype)
    for row, column in np.ndindex(base.grid.shape[1:]):
        code = model.codebook[base.grid[0, row, column]]
        assert base.embedding[0, :, row, column].equal(code)
        assert base.quantized[0, :, row, column].equal(code)
    if start.kind == "one code":
        assert (base.grid == start.code).all()
    half, whole = (inputs_of(model, base, unedited(base, weight=weight)).embedding for weight in (0.5, 1.0))
    assert half.equal(base.quantized)
    assert whole.equal(base.quantized)


@pytest.mark.parametrize("second", [(16, 24), (8, 40), (40, 8), (40, 40), (1, 1)])
@pytest.mark.parametrize("mask", MASKS)
def test_a_mix_takes_each_cell_whole_from_one_of_the_two(mask: Mask, second: tuple[int, int]) -> None:
    first, other = encoding(16, 24), encoding(*second, seed=1)
    before = [part.clone() for part in (first.embedding, first.grid, first.quantized)]
    base = begun(Start("mix", mask=mask, seed=5), first, other=other)
    chosen = mask_of(mask, 4, 6, 5)
    assert base.grid.shape == (1, 4, 6)
    for row, column in np.ndindex(4, 6):
        there = row < other.grid.shape[1] and column < other.grid.shape[2]
        source = other if chosen[row, column] and there else first
        assert base.grid[0, row, column] == source.grid[0, row, column]
        assert base.embedding[0, :, row, column].equal(source.embedding[0, :, row, column])
        assert base.quantized[0, :, row, column].equal(source.quantized[0, :, row, column])
    assert all(map(torch.equal, before, (first.embedding, first.grid, first.quantized)))


def test_a_mix_with_nothing_or_all_of_the_second_is_one_of_them() -> None:
    first, second = encoding(16, 24), encoding(16, 24, seed=1)
    for mask, expected in ((np.zeros((4, 6), bool), first), (np.ones((4, 6), bool), second)):
        mixed = mix(toy_model(), first, second, mask)
        assert mixed.grid.equal(expected.grid)
        assert mixed.embedding.equal(expected.embedding)
    assert edited_cells(mix(toy_model(), first, first, np.ones((4, 6), bool)), unedited(first)).sum() == 0


def test_where_a_lookup_mixes_neighbours_a_mix_is_looked_up_whole() -> None:
    tokenizer = Mixing(toy_model())
    first, second = (tokenizer.encode(toy_images(1, 16, 24, seed=seed)) for seed in (0, 1))
    mask = mask_of("checkerboard", 4, 6, 0)
    mixed = mix(tokenizer, first, second, mask)
    assert mixed.grid.equal(torch.where(torch.from_numpy(mask), second.grid, first.grid))
    assert mixed.quantized.equal(tokenizer.lookup(mixed.indices))
    apart = torch.where(torch.from_numpy(mask), second.quantized, first.quantized)
    assert not torch.allclose(mixed.quantized, apart, atol=1e-3)  # each cell has neighbours from the other


def test_the_masks_look_as_they_are_called() -> None:
    def drawn(mask: Mask, rows: int, columns: int) -> list[str]:
        return ["".join("#" if chosen else "." for chosen in row) for row in mask_of(mask, rows, columns, 0)]

    assert drawn("left half", 2, 5) == ["##...", "##..."]
    assert drawn("top half", 5, 2) == ["##", "##", "..", "..", ".."]
    assert drawn("centre", 4, 8) == ["........", "..####..", "..####..", "........"]
    assert drawn("centre", 3, 5) == [".....", "..#..", "....."]
    assert drawn("checkerboard", 2, 3) == [".#.", "#.#"]
    for mask in MASKS:
        assert mask_of(mask, 3, 7, 0).shape == (3, 7)
        assert mask_of(mask, 3, 7, 0).dtype == bool
        assert not mask_of(mask, 1, 1, 1).any()  # with the seed 1, the random one too


def test_a_random_mask_is_about_half_and_goes_by_its_seed() -> None:
    mask = mask_of("random", 60, 80, 1)
    assert np.array_equal(mask, mask_of("random", 60, 80, 1))
    assert 0.45 < mask.mean() < 0.55
    assert 0.4 < (mask == mask_of("random", 60, 80, 2)).mean() < 0.6
    assert 0.4 < (mask[:, 1:] == mask[:, :-1]).mean() < 0.6


def test_random_codes_come_as_often_as_they_are_used() -> None:
    counts = np.array([0, 1, 3, 0, 4, 0])
    drawn = random_codes(100, 200, codes=6, counts=counts, seed=9)
    shares = np.bincount(drawn.ravel(), minlength=6) / drawn.size
    assert np.abs(shares - counts / 8).max() < 0.02
    assert not shares[counts == 0].any()
    assert np.array_equal(drawn, random_codes(100, 200, codes=6, counts=counts, seed=9))
    assert not np.array_equal(drawn, random_codes(100, 200, codes=6, counts=counts, seed=10))
    for alike in (None, np.zeros(6, np.int64)):
        drawn = random_codes(100, 200, codes=6, counts=alike, seed=LARGEST_SEED)
        assert np.abs(np.bincount(drawn.ravel(), minlength=6) / drawn.size - 1 / 6).max() < 0.02


def test_the_usage_reaches_the_draw() -> None:
    counts = [0, 0, 5, 0, 0, 0, 0, 0]
    assert (begun(Start("random"), encoding(16, 16), counts=counts).grid == 2).all()


def test_what_is_random_stays_the_same_from_version_to_version() -> None:
    """A recipe made today has to give the same picture in years."""
    assert random_codes(2, 4, codes=1024, counts=None, seed=1).tolist() == [[524, 973, 147, 971], [319, 433, 847, 419]]
    assert mask_of("random", 2, 4, 1).astype(int).tolist() == [[0, 0, 1, 0], [1, 1, 0, 1]]


def test_starts_that_can_differ_have_different_keys() -> None:
    starts = [
        Start(),
        *(Start("one code", code=code) for code in (0, 1, 11)),
        *(Start("random", seed=seed) for seed in (0, 1, 11)),
        *(Start("mix", mask=mask, other=other) for mask in MASKS for other in ("chelsea", "coffee", "")),
        *(Start("mix", mask="random", seed=seed, other="chelsea") for seed in (1, 11)),
    ]
    assert len({start.key for start in starts}) == len(starts)


def test_what_a_kind_has_no_use_for_is_not_in_its_key() -> None:
    more = {"code": 3, "mask": "centre", "other": "coffee", "seed": 4}
    unused = {
        "picture": ("code", "mask", "other", "seed"),
        "one code": ("mask", "other", "seed"),
        "random": ("code", "mask", "other"),
        "mix": ("code", "seed"),
    }
    for kind in get_args(Kind):
        changes = {name: more[name] for name in unused[kind]}
        assert Start(kind, **changes).key == Start(kind).key


def test_every_kind_and_mask_is_explained() -> None:
    assert tuple(KINDS) == get_args(Kind)
    assert get_args(Mask) == MASKS


@pytest.mark.parametrize("start", [Start("one code", code=8), Start("one code", code=-1), Start("mix")])
def test_a_start_that_cannot_be_is_refused(start: Start) -> None:
    with pytest.raises(BadInput) as refusal:
        begun(start, encoding(8, 8))
    assert_one_sentence(refusal)


def test_a_grid_of_codes_is_looked_up() -> None:
    model = toy_model()
    indices = np.arange(8, dtype=np.int32).reshape(2, 4)
    base = of_codes(model, indices)
    assert base.grid.dtype == torch.int64
    assert base.quantized[0].movedim(0, -1).reshape(8, -1).equal(model.codebook)
