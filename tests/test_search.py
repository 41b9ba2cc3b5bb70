"""Nearest codes, runners-up and neighbours of every metric, against slow NumPy in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.toys import Heard, slow_nearest, toy_codebook
from vqvae import search
from vqvae.search import Codebook, nearest
from vqvae.tokenizer import Metric

METRICS: tuple[Metric, ...] = ("euclidean", "cosine", "dot", "implicit")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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

    monkeypatch.setattr(search, "SCORES_PER_CHUNK", scores)
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


def slow_ranks(vectors: Tensor, codebook: Tensor, metric: Metric) -> np.ndarray:
    """The codes from best to worst for each vector, by the metric's own definition: int64 [N, K]."""
    v, e = vectors.double().numpy(), codebook.double().numpy()
    if metric == "dot":
        worth = -v @ e.T
    elif metric == "cosine":
        worth = -(v / np.linalg.norm(v, axis=1, keepdims=True)) @ (e / np.linalg.norm(e, axis=1, keepdims=True)).T
    else:
        worth = ((v[:, None] - e[None]) ** 2).sum(2)
    return np.argsort(worth, axis=1, kind="stable")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 4, 33])
def test_each_metric_is_what_its_name_says(metric: Metric, dim: int) -> None:
    if (metric, dim) == ("cosine", 1):
        pytest.skip("in one dimension every angle is 0 or 180 degrees")
    vectors, codebook = noise(150, dim, seed=1), noise(40, dim, seed=2) * torch.linspace(0.2, 3, 40)[:, None]
    codes, ranks = Codebook(codebook, metric), slow_ranks(vectors, codebook, metric)
    own = codes.nearest(vectors)
    assert own.tolist() == ranks[:, 0].tolist()
    assert codes.runners_up(vectors, own).indices.tolist() == ranks[:, 1].tolist()
    assert codes.nearest_several(vectors, 5).indices.tolist() == ranks[:, :5].tolist()


def test_the_metrics_differ() -> None:
    vectors, codebook = noise(100, 4, seed=1), noise(40, 4, seed=2) * torch.linspace(0.2, 3, 40)[:, None]
    found = {tuple(Codebook(codebook, metric).nearest(vectors).tolist()) for metric in METRICS}
    assert len(found) == 3  # implicit is measured as Euclidean is


@pytest.mark.parametrize("metric", METRICS)
def test_a_runner_up_is_never_closer_than_the_own_code(metric: Metric) -> None:
    vectors, codebook = noise(200, 6, seed=3), noise(30, 6, seed=4)
    codes = Codebook(codebook, metric)
    own = codes.nearest(vectors)
    other = codes.runners_up(vectors, own)
    assert (other.indices != own).all()
    assert (other.distances >= codes.distances(vectors, own) - 1e-5).all()
    assert torch.equal(codes.distances(vectors, other.indices), other.distances)


@pytest.mark.parametrize("metric", METRICS)
def test_distances_from_and_to_are_those_of_single_pairs(metric: Metric) -> None:
    codes, vectors = Codebook(noise(20, 5, seed=1), metric), noise(7, 5, seed=2)
    for number, vector in enumerate(vectors):
        pairs = codes.distances(vector.expand(20, -1), torch.arange(20))
        torch.testing.assert_close(torch.from_numpy(codes.distances_from(vector)), pairs)
        torch.testing.assert_close(codes.distances_to(vectors, 3)[number], pairs[3])


def test_runners_up_against_all_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SCORES_PER_CHUNK", 40)  # four vectors a chunk
    vectors, codebook = noise(23, 5), noise(10, 5, seed=1)
    distances = torch.cdist(vectors.double(), codebook.double())
    nearest, second = distances.argsort(1)[:, :2].T
    found = Codebook(codebook).runners_up(vectors, nearest)
    assert torch.equal(found.indices, second)
    torch.testing.assert_close(found.distances.double(), distances.gather(1, second[:, None])[:, 0])


def test_an_only_code_has_no_runner_up() -> None:
    found = Codebook(noise(1, 4)).runners_up(noise(3, 4, seed=1), torch.zeros(3, dtype=torch.int64))
    assert found.indices.tolist() == [0, 0, 0] and found.distances.tolist() == [float("inf")] * 3


def sorted_distances(vectors: Tensor, codebook: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Of each vector all codes, nearest first, and how far they are: [N, K] each, in float64."""
    distances = np.linalg.norm(vectors.double().numpy()[:, None] - codebook.double().numpy()[None], axis=2)
    return np.argsort(distances, axis=1, kind="stable"), np.sort(distances, axis=1)


@pytest.mark.parametrize(("codes", "dim", "count"), [(1, 3, 1), (9, 1, 9), (60, 8, 15), (300, 4, 2)])
def test_the_nearest_several_are_those_of_all_distances_sorted(codes: int, dim: int, count: int) -> None:
    vectors, codebook = noise(70, dim, seed=1) + 100, noise(codes, dim, seed=2) + 100  # far from 0: digits get lost
    order, distances = sorted_distances(vectors, codebook)
    found = Codebook(codebook).nearest_several(vectors, count)
    assert found.indices.dtype == torch.int64 and found.distances.dtype == torch.float32
    np.testing.assert_array_equal(found.indices, order[:, :count])
    np.testing.assert_allclose(found.distances, distances[:, :count], rtol=1e-5)


def test_there_are_no_more_nearest_than_codes() -> None:
    found = Codebook(noise(3, 4)).nearest_several(noise(5, 4, seed=1), 7)
    assert found.indices.shape == found.distances.shape == (5, 3)


def test_neighbours_are_exact_where_the_matrix_product_is_not() -> None:
    codebook = noise(200, 3)
    codebook[::2] += 300  # two clouds, so far apart that the product is off by more than neighbours differ
    order, _ = sorted_distances(codebook, codebook)
    codes = Codebook(codebook)
    for found in (codes.nearest_several(codebook, 3), codes.neighbours(torch.arange(200), 3)):
        np.testing.assert_array_equal(found.indices, order[:, :3])


def test_each_code_is_its_own_nearest_at_distance_zero() -> None:
    codebook = noise(500, 6) + 1000
    found = Codebook(codebook).nearest_several(codebook, 3)
    assert found.indices[:, 0].tolist() == list(range(500))
    assert (found.distances[:, 0] == 0).all() and (found.distances[:, 1] > 0).all()


def test_of_several_ties_go_to_the_lower_index_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = Codebook(torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]))
    vectors = torch.cat([torch.zeros(1, 2), noise(50, 2)])
    whole = codes.nearest_several(vectors, 4)
    heard = Heard()
    assert whole.indices[0].tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(search, "SCORES_PER_CHUNK", 24)
    parts = codes.nearest_several(vectors, 4, progress=heard)
    assert torch.equal(parts.indices, whole.indices)
    assert torch.equal(parts.distances, whole.distances)
    assert heard.steps == [(min(3 * chunk, 51), 51) for chunk in range(1, 18)]


@pytest.mark.parametrize("metric", METRICS)
def test_a_code_is_its_own_first_neighbour(metric: Metric) -> None:
    codes = Codebook(noise(50, 8), metric)
    found = codes.neighbours(torch.arange(50), 4)
    assert found.indices[:, 0].tolist() == list(range(50)) and (found.distances[:, 0] == 0).all()
    assert (found.distances.diff(dim=1) >= 0).all()


def test_vectors_that_are_equal_to_a_code_are_at_distance_zero() -> None:
    codebook = noise(20, 16) + 1000
    assert (Codebook(codebook).nearest_several(codebook, 3).distances[:, 0] == 0).all()


def test_the_array_is_the_codebook_itself_and_is_not_written_to() -> None:
    codebook = noise(8, 4)
    array = Codebook(codebook).array
    assert array.ctypes.data == codebook.numpy().ctypes.data
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("scores", "rows"), [(60, 4), (17, 3), (1, 1)])
def test_a_codebook_in_blocks_gives_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, metric: Metric, scores: int, rows: int
) -> None:
    codebook = noise(50, 4, seed=2)
    codebook[31] = codebook[7]  # in another block: the lower of the two is taken
    codes, vectors = Codebook(codebook, metric), torch.cat([noise(23, 4, seed=1), codebook[[31]]])
    own = codes.nearest(vectors)
    others = codes.runners_up(vectors, own)
    assert own[-1] == 7 or metric == "dot"
    monkeypatch.setattr(search, "SCORES_PER_CHUNK", scores)
    monkeypatch.setattr(search, "LEAST_ROWS", rows)
    assert torch.equal(codes.nearest(vectors), own)
    assert torch.equal(codes.runners_up(vectors, own).indices, others.indices)
