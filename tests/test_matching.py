"""Codes matched by what they are used for: the definitions on grids made by hand, and laws on random ones."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from explorer.base.job import Cancelled
from explorer.codebook.matching import (
    KINDS,
    Grids,
    Match,
    Matching,
    Overlap,
    Rules,
    compare,
    match,
    overlap,
    shuffled,
)
from tests.toys import Heard

ANY = Rules(fewest_cells=1)


def grids(*indices: np.ndarray, codes: int = 0, stride: int = 4) -> Grids:
    return Grids(codes or 1 + max(int(grid.max()) for grid in indices), stride, indices)


def matched(here: Grids, there: Grids, size: tuple[int, int] = (32, 32), rules: Rules = ANY) -> Matching:
    return match(overlap(here, there, [size] * len(here.indices)), rules)


def kinds(matching: Matching) -> dict[str, int]:
    return {kind: number for kind, number in matching.counts.items() if number}


def patches(seed: int, *, codes: int = 12, stride: int = 4, side: int = 64, images: int = 3) -> Grids:
    """Grids of rectangles of one code, as pictures have them."""
    random = np.random.default_rng(seed)
    cells = -(-side // stride)
    made = []
    for _ in range(images):
        grid = np.zeros((cells, cells), np.uint16)
        for _ in range(30):
            top, left = random.integers(0, cells, 2)
            tall, wide = random.integers(1, cells // 2, 2)
            grid[top : top + tall, left : left + wide] = random.integers(codes)
        made.append(grid)
    return Grids(codes, stride, tuple(made))


def alike(here: Grids, seed: int, *, stride: int) -> Grids:
    """What another model might make of the same images: some codes shared out, some put together, cells disturbed."""
    random = np.random.default_rng(1000 + seed)
    made = []
    for grid in here.indices:
        cells = np.arange(-(-len(grid) * here.stride // stride)) * stride // here.stride
        other = grid[np.ix_(cells, cells)].astype(int)
        other[other % 4 == 1] -= 1
        other[(other % 4 == 2) & (np.arange(len(other)) % 2 == 0)] += 20
        noise = random.random(other.shape) < 0.1
        made.append(np.where(noise, random.integers(0, 32, other.shape), other))
    return Grids(40, stride, tuple(made))


def pixelwise(here: Grids, there: Grids, sizes: list[tuple[int, int]]) -> np.ndarray:
    """What the codes share, counted pixel by pixel."""
    table = np.zeros((here.codes, there.codes), np.int64)
    for one, other, (height, width) in zip(here.indices, there.indices, sizes, strict=True):
        for row in range(height):
            for column in range(width):
                a = one[row // here.stride, column // here.stride]
                table[a, other[row // there.stride, column // there.stride]] += 1
    return table


# --- the overlap


@pytest.mark.parametrize(("one", "other"), [(4, 4), (4, 8), (8, 4), (6, 4), (7, 5), (16, 3), (1, 2)])
def test_the_overlap_is_that_of_the_pixels_for_any_two_strides(one: int, other: int) -> None:
    random = np.random.default_rng(0)
    sizes = [(24, 40), (17, 23), (16, 16)]  # the grids reach beyond the second
    here, there = (
        Grids(
            codes,
            stride,
            tuple(random.integers(0, codes, (-(-h // stride) + 1, -(-w // stride) + extra)) for h, w in sizes),
        )
        for codes, stride, extra in ((9, one, 0), (5, other, 2))
    )
    found = overlap(here, there, sizes)
    assert found.shared.toarray().tolist() == pixelwise(here, there, sizes).tolist()
    areas = [pixelwise(here, there, sizes).sum(axis) for axis in (1, 0)]
    assert [area.tolist() for area in found.areas] == [area.tolist() for area in areas]
    cells = sum(-(-h // one) * -(-w // one) for h, w in sizes)
    assert found.cells[0].sum() == cells  # and none of those beyond the picture


def test_many_images_are_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = patches(1), patches(2)
    whole = overlap(here, there, [(64, 64)] * 3)
    monkeypatch.setattr("explorer.codebook.matching.MOST_PIECES", 300)
    assert (overlap(here, there, [(64, 64)] * 3).shared != whole.shared).nnz == 0


def test_what_cannot_be_is_an_error() -> None:
    grid = np.zeros((4, 4), int)
    with pytest.raises(ValueError, match="does not cover"):
        overlap(grids(grid), grids(grid), [(17, 16)])
    for here, there in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="outside of the codebook"):
            overlap(grids(grid + here, codes=3), grids(grid + there, codes=3), [(16, 16)])


def test_it_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        overlap(patches(1), patches(2), [(64, 64)] * 3, progress=Heard(stop_at=1))
    for stop_at in (0, 3):
        with pytest.raises(Cancelled):
            compare(patches(1), patches(2), [(64, 64)] * 3, progress=(heard := Heard(stop_at=stop_at)))
        assert heard.steps[-1] == (stop_at, 21)
    compare(patches(1), patches(2), [(64, 64)] * 3, progress=(heard := Heard()))
    done = [step for step, _ in heard.steps]
    assert done == sorted(done) and set(done) == set(range(21))


# --- the definitions


def test_a_permuted_codebook_is_common_and_the_permutation_is_found() -> None:
    here = patches(0)
    permutation = np.random.default_rng(1).permutation(12)
    there = Grids(12, 4, tuple(permutation[grid] for grid in here.indices))
    found = matched(here, there, (64, 64))
    used = np.unique(np.concatenate([grid.ravel() for grid in here.indices]))
    assert kinds(found) == {"common": len(used)}
    assert {match.here[0]: match.there[0] for match in found.matches} == {a: permutation[a] for a in used}
    assert {match.agreement for match in found.matches} == {1.0}
    assert found.share("common") == (1.0, 1.0)


def test_a_code_of_which_there_are_two_halves_there_is_split_and_back_it_is_merged() -> None:
    here = grids(np.repeat([0, 1], 4)[None].repeat(8, 0))  # left and right
    there = here.indices[0].copy()
    there[4:, :4] = 2  # the left one, below
    found = matched(here, grids(there))
    assert kinds(found) == {"common": 1, "split": 1}
    (split,) = found.of("split")
    assert split == Match("split", (0,), (0, 2), 1.0, (32, 32))
    back = matched(grids(there), here)
    assert kinds(back) == {"common": 1, "merged": 1}
    assert back.of("merged") == [Match("merged", (0, 2), (0,), 1.0, (32, 32))]


@pytest.mark.parametrize(("rows", "kind"), [(4, "split"), (5, "split"), (6, "common"), (7, "common")])
def test_of_two_parts_of_which_one_is_most_of_it_that_one_is_its_counterpart(rows: int, kind: str) -> None:
    """5 of 8 is less than two thirds, 6 of 8 is more."""
    there = np.zeros((8, 8), int)
    there[rows:] = 1
    found = matched(grids(np.zeros((8, 8), int)), grids(there))
    assert kinds(found) == ({"split": 1} if kind == "split" else {"common": 1, "only there": 1})
    if kind == "common":
        (alone,) = found.of("only there")
        assert alone.there == (1,) and alone.here == (0,)  # the closest
        assert alone.agreement == pytest.approx((8 - rows) / 8)


def test_codes_that_lie_half_elsewhere_are_no_parts() -> None:
    here = grids(np.repeat([0, 1], 4)[None].repeat(8, 0))
    there = grids(np.repeat(np.arange(8), 1)[:, None].repeat(8, 1))  # rows, each half in either
    assert kinds(matched(here, there)) == {"only here": 2, "only there": 8}


def test_common_needs_a_third() -> None:
    """Squares of 16 cells that share 8 agree to 8 / 24; with 7 they do not."""
    for shared, common in ((8, 1), (7, 0)):
        here, there = np.zeros((2, 32), int), np.zeros((2, 32), int)
        here[0, :16] = 1
        there[0, 16 - shared : 32 - shared] = 1
        found = matched(grids(here), grids(there), (8, 128))
        pairs = {match.here + match.there: match.agreement for match in found.of("common")}
        assert pairs.get((1, 1)) == (pytest.approx(1 / 3) if common else None)


def test_grids_of_two_strides_that_draw_the_same_are_common() -> None:
    fine = patches(3, stride=4)
    coarse = Grids(12, 8, tuple(grid[::2, ::2] for grid in fine.indices))
    fine = Grids(12, 4, tuple(grid.repeat(2, 0).repeat(2, 1) for grid in coarse.indices))
    found = matched(coarse, fine, (64, 64))
    assert kinds(found) == {"common": len(found.matches)}
    assert all(match.cells[1] == 4 * match.cells[0] for match in found.matches)


def test_codes_of_few_cells_are_left_out_and_said_to_be() -> None:
    here = np.zeros((8, 8), int)
    here[0, :7] = 1  # 7 cells
    here[1, :8] = 2  # 8
    found = matched(grids(here), grids(here), rules=Rules())
    assert {match.here for match in found.matches} == {(0,), (2,)}
    assert found.with_few_cells == (1, 1)
    assert found.share("common") == (pytest.approx(57 / 64), pytest.approx(57 / 64))


def test_a_code_of_few_cells_counts_in_a_pair_with_one_of_enough_and_is_no_part() -> None:
    here, there = np.zeros((8, 8), int), np.zeros((8, 8), int)
    here[0] = 1  # 8 cells, of which 5 are one code there
    there[0, :5] = 1
    here[1] = 2  # 8 more, of which 4 are one code there and 4 another
    there[1, :4], there[1, 4:] = 2, 3
    here[2, :5] = there[2, :5] = 3  # 5 in both
    there[2, :5] = 4
    found = matched(grids(here), grids(there), rules=Rules())
    assert {match.here + match.there for match in found.of("common")} == {(0, 0), (1, 1), (2, 2)}
    assert kinds(found) == {"common": 3} and found.with_few_cells == (1, 2)
    assert kinds(matched(grids(here), grids(there), rules=ANY))["split"] == 1  # with fewer, the second one is


def test_a_code_in_two_groups_counts_in_the_better_one() -> None:
    """0 here lies in 0 and 1 there, and 0 there holds 0 and 1 here: a chain, of which one end is split, or merged."""
    here = np.array([[0] * 10 + [1] * 5])
    there = np.array([[1] * 4 + [0] * 11])
    found = matched(grids(here), grids(there), (4, 60))
    assert kinds(found) == {"merged": 1, "only there": 1}
    (merged,) = found.of("merged")
    assert merged.here == (0, 1) and merged.there == (0,) and merged.agreement == pytest.approx(11 / 15)


# --- laws


@pytest.mark.parametrize("strides", [(4, 4), (4, 8), (8, 4)])
def test_exchanging_the_models_exchanges_here_and_there_and_split_and_merged(strides: tuple[int, int]) -> None:
    back = {"split": "merged", "merged": "split", "only here": "only there", "only there": "only here"}
    met = dict.fromkeys(KINDS, 0)
    for seed in range(12):
        here = patches(seed, stride=strides[0])
        there = alike(here, seed, stride=strides[1])
        one, other = matched(here, there, (64, 64)), matched(there, here, (64, 64))
        mirrored = {(back.get(m.kind, m.kind), m.there, m.here, m.agreement, m.cells[::-1]) for m in other.matches}
        assert {(m.kind, m.here, m.there, m.agreement, m.cells) for m in one.matches} == mirrored
        assert (one.overlap.exchanged.shared != other.overlap.shared).nnz == 0
        met = {kind: met[kind] + number for kind, number in one.counts.items()}
    assert all(met.values())  # there was something to exchange


@pytest.mark.parametrize("seed", range(6))
def test_every_code_that_is_used_enough_is_called_one_thing(seed: int) -> None:
    here, there = patches(seed, codes=30), patches(seed + 100, codes=20, stride=8)
    found = matched(here, there, (64, 64), Rules(fewest_cells=3))
    for side, own in ((0, "is_of_here"), (1, "is_of_there")):
        codes = [code for m in found.matches if getattr(m, own) for code in (m.here, m.there)[side]]
        cells = found.overlap.cells[side]
        assert len(set(codes)) == len(codes) and cells[codes].all()
        assert set(np.flatnonzero(cells >= 3)) <= set(codes)
        assert found.with_few_cells[side] == np.count_nonzero(cells) - len(codes)
    assert [KINDS.index(m.kind) for m in found.matches] == sorted(KINDS.index(m.kind) for m in found.matches)


@pytest.mark.parametrize("seed", range(6))
def test_the_pairs_are_those_of_the_greatest_sum(seed: int) -> None:
    """Against scipy's dense assignment over all codes; nothing is split here."""
    random = np.random.default_rng(seed)
    table = random.integers(1, 5, (9, 7)) + 60 * (random.random((9, 7)) < 0.2)
    here, there = (codes.repeat(table.ravel())[None] for codes in np.indices(table.shape).reshape(2, -1))
    rules = Rules(enough=0.15, gain=np.inf, fewest_cells=1)
    found = matched(grids(here), grids(there), (4, 4 * int(table.sum())), rules)
    agreement = table / (table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table)
    agreement[agreement < rules.enough] = 0
    a, b = linear_sum_assignment(agreement, maximize=True)
    assert sum(m.agreement for m in found.of("common")) == pytest.approx(agreement[a, b].sum())
    best = np.sort(
        np.concatenate([(full := table / (table.sum(1)[:, None] + table.sum(0) - table)).max(1), full.max(0)])
    )
    assert np.sort(found.best) == pytest.approx(best)


def test_a_codebook_of_262144_codes_takes_no_longer_than_what_is_used_of_it() -> None:
    random = np.random.default_rng(0)
    here = grids(random.integers(0, 1 << 18, (32, 32)), codes=1 << 18)
    found = matched(here, here, (128, 128))
    assert kinds(found) == {"common": len(np.unique(here.indices[0]))}


# --- chance


def test_what_has_nothing_to_do_with_each_other_agrees_as_chance_says_and_what_is_alike_does_better() -> None:
    one, other, sizes = patches(0, images=12), patches(50, images=12), [(64, 64)] * 12
    alien, own = compare(one, other, sizes, rules=ANY), compare(one, one, sizes, rules=ANY)
    assert np.median(alien.matching.best) <= alien.chance.most
    assert kinds(own.matching) == {"common": 12} and own.chance.counts["common"] < 3
    assert own.chance.usual < own.chance.most < 1
    again = compare(one, other, sizes, rules=ANY)
    assert again.chance == alien.chance  # seeded
    assert compare(one, other, sizes, rules=ANY, seed=1).chance != alien.chance


def test_where_chance_gives_much_more_is_asked() -> None:
    """Of two pictures of one code each there is nothing to tell: grids at random agree as well."""
    flat = grids(np.zeros((8, 8), int), np.zeros((8, 8), int))
    found = compare(flat, flat, [(32, 32)] * 2)
    assert found.chance.most == found.matching.rules.enough == 1.0 and found.raised
    assert found.chance.counts["common"] == 1.0


def test_grids_at_random_are_those_of_other_images_in_the_shape_of_their_own() -> None:
    sizes = [(32, 16), (16, 32), (20, 20)]
    own = Grids(3, 4, tuple(np.full((-(-h // 4), -(-w // 4)), number) for number, (h, w) in enumerate(sizes)))
    for seed in range(5):
        drawn = shuffled(own, sizes, np.random.default_rng(seed))
        assert [grid.shape for grid in drawn.indices] == [grid.shape for grid in own.indices]
        partners = [int(grid[0, 0]) for grid in drawn.indices]
        assert sorted(partners) == [0, 1, 2] and all(a != b for a, b in enumerate(partners))


def test_the_grid_of_a_single_picture_is_shifted_around() -> None:
    own = grids(np.arange(64).reshape(8, 8))
    for seed in range(5):
        (drawn,) = shuffled(own, [(32, 32)], np.random.default_rng(seed)).indices
        row, column = np.argwhere(drawn == 0)[0]
        assert (drawn == np.roll(own.indices[0], (row, column), (0, 1))).all()
        assert 2 <= row <= 6 and 2 <= column <= 6


def test_nothing_to_match_is_no_error() -> None:
    one = overlap(grids(np.zeros((1, 1), int)), grids(np.zeros((1, 1), int)), [(4, 4)])
    empty = Overlap(one.shared, (np.zeros(1, int), np.zeros(1, int)), 1)
    assert match(empty).matches == () and len(match(empty).best) == 0
    few = compare(grids(np.zeros((1, 1), int)), grids(np.zeros((1, 1), int)), [(4, 4)])
    assert few.matching.matches == () and few.chance.most == 0
    assert few.matching.with_few_cells == (1, 1)


def test_what_a_kind_means_names_the_models_and_the_thresholds() -> None:
    for kind in KINDS:
        said = Rules().meaning(kind, here="1 photos", there="2 mine")
        assert "{" not in said and said.endswith(".")
    assert "0.33" in Rules().meaning("common", here="", there="")


def test_what_lies_where_a_code_does() -> None:
    here = grids(np.array([[0, 0, 0, 0, 1, 1, 1, 1]]))
    there = grids(np.array([[2, 2, 2, 1, 1, 1, 0, 0]]))
    found = matched(here, there, (4, 32))
    assert found.beside("here", 0, 9) == [(2, 0.75), (1, 0.25)]
    assert found.beside("here", 1, 1) == [(0, 0.5)]
    assert found.beside("there", 1, 9) == [(1, pytest.approx(2 / 3)), (0, pytest.approx(1 / 3))]
    for one in found.matches:
        assert not one.is_of_here or all(found.match_of("here", code) is one for code in one.here)
        assert not one.is_of_there or all(found.match_of("there", code) is one for code in one.there)
    assert matched(here, there, (4, 32), Rules()).match_of("here", 0) is None
