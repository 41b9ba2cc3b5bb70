"""The laws of lookup and of the learning codebook."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.toys import slow_nearest, toy_codebook
from vqvae.quantizer import CodebookLearner, VectorQuantizer
from vqvae.search import nearest
from vqvae.tokenizer import cells


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_nearest_keeps_float32_under_autocast() -> None:
    quantizer = VectorQuantizer(300, 8)
    grid = noise(2, 8, 16, 16, seed=7)
    plain = quantizer.nearest(grid)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer.nearest(grid), plain)


def test_cells_are_in_reading_order() -> None:
    grid = torch.arange(2 * 3 * 2 * 5).view(2, 3, 2, 5)
    expected = [grid[b, :, row, column].tolist() for b in range(2) for row in range(2) for column in range(5)]
    assert cells(grid).tolist() == expected


def test_lookup_puts_each_code_into_its_cell() -> None:
    quantizer = VectorQuantizer(8, 4)
    indices = torch.randint(0, 8, (2, 3, 5), generator=torch.Generator().manual_seed(0))
    quantized = quantizer.lookup(indices)
    assert quantized.shape == (2, 4, 3, 5)
    for b, row, column in np.ndindex(2, 3, 5):
        assert torch.equal(quantized[b, :, row, column], quantizer.codebook[indices[b, row, column]])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (1, 7, 2)])
def test_nearest_undoes_lookup(shape: tuple[int, int, int]) -> None:
    quantizer = VectorQuantizer(50, 6)
    quantizer.codebook.copy_(toy_codebook(50, 6))
    indices = torch.randint(0, 50, shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(quantizer.nearest(quantizer.lookup(indices)), indices)


# How the codebook learns


def test_the_start_finds_well_separated_clusters() -> None:
    centres = 10 * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    vectors = centres.repeat(50, 1) + 0.1 * noise(200, 2)
    means = torch.stack([vectors[n::4].mean(0) for n in range(4)])
    learner = CodebookLearner(VectorQuantizer(4, 2))
    for seed in range(100):  # Lloyd can stick where two starts share a cluster, so find a draw where none do
        torch.manual_seed(seed)
        if len(nearest(learner._draw(vectors, 4), centres).unique()) == 4:
            break
    torch.manual_seed(seed)
    learner.start_(vectors)
    found = learner.quantizer.codebook
    torch.testing.assert_close(found[nearest(means, found)], means, rtol=1e-4, atol=1e-4)


def test_the_start_is_lloyds_algorithm() -> None:
    vectors = noise(90, 3, seed=8)
    learner = CodebookLearner(VectorQuantizer(7, 3))
    torch.manual_seed(5)
    expected = learner._draw(vectors, 7).double().numpy()
    for _ in range(4):
        owners = slow_nearest(vectors, torch.from_numpy(expected))
        for code in set(owners.tolist()):
            expected[code] = vectors.double().numpy()[owners == code].mean(0)
    torch.manual_seed(5)
    learner.start_(vectors, rounds=4)
    np.testing.assert_allclose(learner.quantizer.codebook.numpy(), expected, atol=1e-5)


def test_the_start_works_with_fewer_vectors_than_codes() -> None:
    vectors = noise(3, 4)
    learner = CodebookLearner(VectorQuantizer(8, 4))
    learner.start_(vectors)
    codebook = learner.quantizer.codebook
    assert codebook.isfinite().all()
    assert all((codebook == vector).all(1).any() for vector in vectors)


def test_after_the_start_an_empty_update_moves_no_code() -> None:
    learner = CodebookLearner(VectorQuantizer(8, 4))
    learner.start_(noise(100, 4))
    before = learner.quantizer.codebook.clone()
    learner.update_(torch.empty(0, 4), torch.empty(0, dtype=torch.int64))
    torch.testing.assert_close(learner.quantizer.codebook, before)


def test_an_update_is_the_papers_formula() -> None:
    learner = CodebookLearner(VectorQuantizer(5, 3), decay=0.9)
    counts, sums = learner.counts.tolist(), learner.sums.tolist()
    random = torch.Generator().manual_seed(3)
    for step in range(4):
        vectors = noise(20, 3, seed=step)
        indices = torch.randint(0, 4, (20,), generator=random)  # code 4 gets none
        learner.update_(vectors, indices)
        for code in range(5):
            mine = [v for v, i in zip(vectors.tolist(), indices.tolist(), strict=True) if i == code]
            counts[code] = 0.9 * counts[code] + 0.1 * len(mine)
            sums[code] = [0.9 * old + 0.1 * sum(v[d] for v in mine) for d, old in enumerate(sums[code])]
        expected = [[value / counts[code] for value in sums[code]] for code in range(5)]
        torch.testing.assert_close(learner.quantizer.codebook, torch.tensor(expected), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(learner.counts, torch.tensor(counts))


def test_a_restart_moves_the_dead_codes_only_and_onto_vectors_of_the_batch() -> None:
    learner = CodebookLearner(VectorQuantizer(8, 4), dead_below=0.5)
    learner.counts = torch.tensor([4.0, 0.01, 4.0, 4.0, 0.0, 4.0, 4.0, 4.0])
    before, vectors = learner.quantizer.codebook.clone(), noise(30, 4, seed=9)
    assert learner.restart_dead_(vectors) == 2
    after = learner.quantizer.codebook
    alive = [0, 2, 3, 5, 6, 7]
    assert torch.equal(after[alive], before[alive])
    assert (learner.counts[alive] == 4).all()
    for code in (1, 4):
        assert (after[code] == vectors).all(1).any()
    assert not torch.equal(after[1], after[4])  # enough vectors: none is taken twice
    assert learner.restart_dead_(vectors) == 0  # a restarted code gets its time
    torch.testing.assert_close(learner.sums[[1, 4]] / learner.counts[[1, 4], None], after[[1, 4]])


def test_a_restart_with_all_codes_alive_changes_nothing() -> None:
    learner = CodebookLearner(VectorQuantizer(8, 4))
    learner.start_(noise(100, 4))
    before, counts = learner.quantizer.codebook.clone(), learner.counts.clone()
    assert learner.restart_dead_(noise(30, 4, seed=1)) == 0
    assert torch.equal(learner.quantizer.codebook, before) and torch.equal(learner.counts, counts)


def test_more_dead_codes_than_vectors_are_restarted_too() -> None:
    learner = CodebookLearner(VectorQuantizer(8, 4), dead_below=0.5)
    learner.counts = torch.tensor([8.0, *[0.0] * 7])
    vectors = noise(2, 4)
    assert learner.restart_dead_(vectors) == 7
    assert all((code == vectors).all(1).any() for code in learner.quantizer.codebook[1:])


def test_the_learners_state_round_trips() -> None:
    learner, other = (CodebookLearner(VectorQuantizer(8, 4)) for _ in range(2))
    learner.update_(noise(20, 4), torch.arange(20) % 8)
    other.load_state_dict(learner.state_dict())
    assert torch.equal(other.counts, learner.counts) and torch.equal(other.sums, learner.sums)
