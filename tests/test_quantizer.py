"""The quantizer against slow NumPy, and the laws of nearest, lookup and the learning codebook."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.toys import toy_codebook
from vqvae import quantizer as quantizer_module
from vqvae.quantizer import CodebookLearner, VectorQuantizer, cells, nearest


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_nearest(vectors: Tensor, codebook: Tensor) -> np.ndarray:
    """All distances, one by one, in float64."""
    vectors64, codebook64 = vectors.double().numpy(), codebook.double().numpy()
    return np.array([np.argmin([np.sum((v - e) ** 2) for e in codebook64]) for v in vectors64])


@pytest.mark.parametrize(("codes", "dim"), [(1, 4), (2, 1), (8, 4), (37, 3), (64, 64)])
def test_nearest_is_the_code_at_the_smallest_distance(codes: int, dim: int) -> None:
    vectors, codebook = noise(200, dim, seed=1), noise(codes, dim, seed=2)
    indices = nearest(vectors, codebook)
    assert indices.dtype == torch.int64
    assert indices.tolist() == slow_nearest(vectors, codebook).tolist()


def test_nearest_minds_the_length_of_the_codes() -> None:
    codebook = torch.tensor([[10.0, 0.0], [1.0, 0.0]])  # the largest product is not the smallest distance
    assert nearest(torch.tensor([[2.0, 0.0]]), codebook).tolist() == [1]


def test_nearest_of_the_codebook_is_zero_to_k_minus_one() -> None:
    codebook = toy_codebook(500, 8)
    assert nearest(codebook, codebook).tolist() == list(range(500))


def test_ties_go_to_the_lowest_index() -> None:
    codebook = torch.tensor([[2.0, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    vectors = torch.tensor([[2.0, 0.0], [0.0, 0.0], [1.0, 5.0]])  # the last is as far from all four
    assert nearest(vectors, codebook).tolist() == [0, 1, 0]


@pytest.mark.parametrize("seed", range(8))
def test_a_code_that_is_there_twice_is_found_at_its_first_place(seed: int) -> None:
    codebook = noise(100 + 13 * seed, 5, seed=seed)
    codebook[-1 - seed] = codebook[seed]
    assert (nearest(codebook[seed].expand(50, -1) + 0.01 * noise(50, 5), codebook) == seed).all()


@pytest.mark.parametrize("scores", [1, 8, 9, 100])
def test_chunking_changes_nothing(monkeypatch: pytest.MonkeyPatch, scores: int) -> None:
    vectors, codebook = noise(101, 4, seed=1), noise(8, 4, seed=2)
    whole = nearest(vectors, codebook)
    sizes: list[int] = []
    real = np.argmax

    def argmax(part: np.ndarray, axis: int) -> np.ndarray:
        sizes.append(part.size)
        return real(part, axis=axis)

    monkeypatch.setattr(quantizer_module, "SCORES_PER_CHUNK", scores)
    monkeypatch.setattr(np, "argmax", argmax)
    assert torch.equal(nearest(vectors, codebook), whole)
    assert len(sizes) > 1 and max(sizes) <= max(scores, 8)  # at least one vector at a time


def test_a_batch_and_one_vector_at_a_time_agree() -> None:
    vectors, codebook = noise(60, 16, seed=3), noise(40, 16, seed=4)
    assert nearest(vectors, codebook).tolist() == [nearest(v[None], codebook).item() for v in vectors]


def test_no_vectors_have_no_nearest() -> None:
    assert nearest(torch.empty(0, 4), noise(8, 4)).tolist() == []


def test_distances_are_measured_in_float32_whatever_comes_in() -> None:
    vectors, codebook = noise(300, 8, seed=5).bfloat16(), noise(64, 8, seed=6)
    assert nearest(vectors, codebook).tolist() == slow_nearest(vectors, codebook).tolist()


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
