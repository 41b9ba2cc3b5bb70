"""Code lengths of indices: proper at every step, decodable, and what they have to be where that is known."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from explorer.compare.coding import DISCOUNT, STRENGTH, CodeLengths, code_lengths

Grids = list[np.ndarray]


def drawn(codes: int, *shapes: tuple[int, int], seed: int = 0, sharp: float = 1.0) -> Grids:
    """Grids of indices, some of which come far more often than others, and often like their neighbours."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(codes, 0.5 / sharp))
    grids = []
    for shape in shapes:
        grid = random.choice(codes, size=shape, p=shares)
        copied = random.random(shape) < 0.4
        grid[:, 1:] = np.where(copied[:, 1:], grid[:, :-1], grid[:, 1:])
        grids.append(grid)
    return grids


def lengths(grids: Grids, codes: int) -> CodeLengths:
    return code_lengths([(grid,) for grid in grids], [codes])


# --- the definition, one cell after the other ------------------------------------------------------------------------


class Slow:
    """The model of the cells, written down a second time: whole distributions, one cell after the other."""

    def __init__(self, codes: int, *, by_neighbours: bool) -> None:
        self.codes, self.by_neighbours = codes, by_neighbours
        self.counts: dict[Hashable, Counter] = defaultdict(Counter)
        self.likely = {"plain": 1.0, "order0": 1.0, "mixed": 1.0, "near": 1.0}  # of all cells so far

    def counted(self, context: Hashable, below: np.ndarray) -> np.ndarray:
        found = self.counts[context]
        kept = np.array([max(found[code] - DISCOUNT, 0) for code in range(self.codes)])
        return (kept + (STRENGTH + DISCOUNT * len(found)) * below) / (found.total() + STRENGTH)

    def steps(self, left: int | None, upper: int | None) -> dict[str, np.ndarray]:
        plain = np.full(self.codes, 1 / self.codes)
        order0 = self.counted("all", plain)
        mixed = self.mean("plain", "order0", plain, order0)
        near = [self.counted((side, at), mixed) for side, at in (("l", left), ("u", upper)) if at is not None]
        nearer = sum(near) / len(near) if near else mixed
        if len(near) == 2:
            nearer = self.counted((left, upper), nearer)
        return {"plain": plain, "order0": order0, "mixed": mixed, "near": nearer}

    def mean(self, one: str, other: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        a, b = self.likely[one], self.likely[other]
        return (a * first + b * second) / (a + b)

    def predict(self, left: int | None, upper: int | None) -> np.ndarray:
        steps = self.steps(left, upper)
        if not self.by_neighbours:
            return steps["mixed"]
        return self.mean("mixed", "near", steps["mixed"], steps["near"])

    def learn(self, code: int, left: int | None, upper: int | None) -> None:
        for name, step in self.steps(left, upper).items():
            self.likely[name] *= step[code]
        contexts: list[Hashable] = ["all", ("l", left), ("u", upper), (left, upper)]
        for context in contexts:
            self.counts[context][code] += 1


def places(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    return ((row, column) for row in range(shape[0]) for column in range(shape[1]))


def around(grid: np.ndarray, row: int, column: int) -> tuple[int | None, int | None]:
    return (int(grid[row, column - 1]) if column else None, int(grid[row - 1, column]) if row else None)


@pytest.mark.parametrize("by_neighbours", [False, True])
@pytest.mark.parametrize(
    ("codes", "shapes"),
    [(1, [(2, 3)]), (2, [(4, 5)]), (5, [(3, 4), (1, 6), (5, 1), (1, 1)]), (40, [(6, 6), (6, 6)]), (7, [(1, 30)])],
)
def test_the_length_is_what_the_probabilities_say_one_cell_after_the_other(
    codes: int, shapes: list[tuple[int, int]], by_neighbours: bool
) -> None:
    grids = drawn(codes, *shapes)
    model, expected = Slow(codes, by_neighbours=by_neighbours), []
    for grid in grids:
        expected.append(0.0)
        for row, column in places(grid.shape):
            predicted = model.predict(*around(grid, row, column))
            assert predicted.sum() == pytest.approx(1) and (predicted > 0).all()
            expected[-1] -= math.log2(predicted[grid[row, column]])
            model.learn(int(grid[row, column]), *around(grid, row, column))
    found = lengths(grids, codes)
    np.testing.assert_allclose(found.conditioned if by_neighbours else found.order0, expected, atol=1e-9)
    np.testing.assert_allclose(found.fixed, [grid.size * math.log2(codes) for grid in grids])


@pytest.mark.parametrize("by_neighbours", [False, True])
def test_a_decoder_reads_it_back_in_so_many_bits(by_neighbours: bool) -> None:
    """An arithmetic coder in whole fractions: the decoder has the bits, K and the sizes, and nothing else."""
    codes, shapes = 6, [(4, 5), (3, 3)]
    grids = drawn(codes, *shapes, sharp=4)

    def shares(model: Slow, left: int | None, upper: int | None) -> list[Fraction]:
        exact = [Fraction(float(share)) for share in model.predict(left, upper)]
        return [share / sum(exact) for share in exact]

    low, width, model = Fraction(0), Fraction(1), Slow(codes, by_neighbours=by_neighbours)
    for grid in grids:
        for row, column in places(grid.shape):
            code, near = int(grid[row, column]), around(grid, row, column)
            split = shares(model, *near)
            low, width = low + width * sum(split[:code], Fraction(0)), width * split[code]
            model.learn(code, *near)
    bits = math.ceil(-math.log2(width)) + 1
    sent = math.ceil(low * 2**bits)  # so many bits, and that number is all that is sent
    found = lengths(grids, codes)
    assert bits <= (found.conditioned if by_neighbours else found.order0).sum() + 2

    value, low, width, model = (
        Fraction(sent, 2**bits),
        Fraction(0),
        Fraction(1),
        Slow(codes, by_neighbours=by_neighbours),
    )
    for grid, shape in zip(grids, shapes, strict=True):
        read = np.zeros(shape, int)
        for row, column in places(shape):
            near, code = around(read, row, column), 0
            split = shares(model, *near)
            while low + width * split[code] <= value:
                low, code = low + width * split[code], code + 1
            width *= split[code]
            read[row, column] = code
            model.learn(code, *near)
        np.testing.assert_array_equal(read, grid)


# --- laws -------------------------------------------------------------------------------------------------------------


def test_only_what_was_decoded_before_is_used() -> None:
    grids = drawn(30, (8, 9), (8, 9), (5, 4))
    changed = [*grids[:2], np.zeros_like(grids[2])]
    for one, other in zip(
        (lengths(grids, 30).order0, lengths(grids, 30).conditioned),
        (lengths(changed, 30).order0, lengths(changed, 30).conditioned),
        strict=True,
    ):
        np.testing.assert_array_equal(one[:2], other[:2])
        assert one[2] != other[2]


@pytest.mark.parametrize("codes", [2, 16, 1024, 262_144])
def test_what_is_random_costs_log2_k_and_at_most_two_bits_more(codes: int) -> None:
    random = np.random.default_rng(1)
    grids = [random.integers(0, codes, (32, 32)) for _ in range(20)]
    found = lengths(grids, codes)
    fixed = found.fixed.sum()
    assert fixed == 20 * 1024 * math.log2(codes)
    assert fixed - 0.005 * fixed / math.log2(codes) < found.order0.sum() <= fixed + 1
    assert fixed - 0.005 * fixed / math.log2(codes) < found.conditioned.sum() <= fixed + 2


def test_a_stream_is_never_much_longer_than_a_plainer_one() -> None:
    for seed in range(20):
        found = lengths(drawn(50, (6, 7), (9, 3), seed=seed, sharp=seed + 1), 50)
        assert found.order0.sum() <= found.fixed.sum() + 1 + 1e-9
        assert found.conditioned.sum() <= found.order0.sum() + 1 + 1e-9


def test_one_index_everywhere_costs_next_to_nothing() -> None:
    found = lengths([np.full((64, 64), 777)], 1024)
    assert found.fixed[0] == 40_960
    assert found.order0[0] < 40 and found.conditioned[0] < 40  # 10 bits for which it is, and a few more to be sure


def test_indices_that_follow_from_their_neighbour_cost_little_by_it_alone() -> None:
    random = np.random.default_rng(2)
    following = random.permutation(64)
    grids = []
    for _ in range(12):
        grid = np.empty((16, 16), int)
        grid[:, 0] = random.integers(0, 64, 16)
        for column in range(1, 16):
            grid[:, column] = following[grid[:, column - 1]]
        grids.append(grid)
    for shapes in (grids, [grid.reshape(16, 1, 16)[row] for grid in grids for row in range(16)]):  # and rows of tokens
        found = lengths(shapes, 64)
        late = slice(2 * len(shapes) // 3, None)
        assert found.order0[late].sum() > 0.95 * found.fixed[late].sum()
        assert found.conditioned[late].sum() < 0.35 * found.fixed[late].sum()
    turned = lengths([grid.T for grid in grids], 64)
    assert turned.conditioned[8:].sum() < 0.35 * turned.fixed[8:].sum()


def test_what_is_learned_of_one_image_serves_the_next() -> None:
    (grid,) = drawn(200, (12, 12))
    twice = lengths([grid, grid], 200)
    alone = lengths([grid], 200)
    assert twice.conditioned[0] == alone.conditioned[0]
    assert twice.conditioned[1] < 0.6 * alone.conditioned[0]


def test_levels_are_streams_of_their_own() -> None:
    tops, bottoms = drawn(9, (4, 4), (4, 5), seed=3), drawn(20, (8, 8), (8, 10), seed=4)
    both = code_lengths(list(zip(tops, bottoms, strict=True)), [9, 20])
    one, other = lengths(tops, 9), lengths(bottoms, 20)
    for name in ("fixed", "order0", "conditioned"):
        np.testing.assert_allclose(getattr(both, name), getattr(one, name) + getattr(other, name))


def test_small_types_and_empty_sets_are_fine() -> None:
    (grid,) = drawn(200, (12, 12))
    np.testing.assert_array_equal(
        lengths([grid.astype(np.uint8)], 200).conditioned, lengths([grid.astype(np.int64)], 200).conditioned
    )
    assert lengths([], 8).fixed.shape == (0,)
    with pytest.raises(ValueError, match=r"0…7"):
        lengths([np.array([[8]])], 8)
    with pytest.raises(ValueError, match="2 levels"):
        code_lengths([(grid,)], [200, 200])


def test_a_hundred_large_grids_of_a_huge_codebook_take_a_second_or_two() -> None:
    random = np.random.default_rng(0)
    grids = [random.integers(0, 262_144, (64, 64)) for _ in range(100)]
    started = time.thread_time()
    lengths(grids, 262_144)
    assert time.thread_time() - started < 6
