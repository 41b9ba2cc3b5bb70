"""Figures of usage, each against a plain count over the grids."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.codebook import geometry
from explorer.index import usage
from explorer.index.build import write_index
from explorer.index.cells import CellStream, ImageCells
from explorer.index.format import About
from explorer.index.read import Index, open_index
from tests.toys import toy_codebook
from vqvae.search import Codebook


def make_index(folder: Path, grids: list[np.ndarray], *, codes: int, names: tuple[str, ...] = ()) -> Index:
    """An index of given grids of codes; distances at random."""
    random = np.random.default_rng(0)
    path = folder / "index"
    about = About("c", "i", "toys", "/toys", "", 64, codes)

    def cells_from(first: int) -> CellStream:
        for grid in grids[first:]:
            yield ImageCells(grid, random.random(grid.shape), random.random(grid.shape), size=(8, 8))

    write_index(cells_from, names or tuple(f"{n}.png" for n in range(len(grids))), about, path=path)
    return open_index(path, checkpoint="c", identity="i", codes=codes)


def toy_grids(images: int = 9, codes: int = 12) -> list[np.ndarray]:
    """Slopes of codes, so that neighbours are not by chance; no cell has the last code."""
    random = np.random.default_rng(1)
    shapes = random.integers(1, 9, (images, 2))
    slopes = (np.add.outer(np.arange(rows), 2 * np.arange(columns)) for rows, columns in shapes)
    return [(slope + random.integers(0, 3, slope.shape)) % (codes - 1) for slope in slopes]


def at_least(hits: int, of: int, share: float) -> float:
    """The probability of so many hits or more, term by term."""
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(hits, of + 1))


@pytest.fixture
def grids() -> list[np.ndarray]:
    return toy_grids()


@pytest.fixture
def index(grids: list[np.ndarray], tmp_path: Path) -> Index:
    return make_index(tmp_path, grids, codes=12)


def test_the_summary_by_hand() -> None:
    counts = np.array([4, 2, 2, 0])
    summary = usage.summarise(counts, images=3)
    assert (summary.images, summary.cells, summary.codes, summary.active, summary.unused) == (3, 8, 4, 3, 1)
    assert summary.entropy == pytest.approx(1.5)
    assert summary.perplexity == pytest.approx(2**1.5)
    assert summary.top_share == summary.largest_share == 0.5


def test_the_top_share_is_of_one_percent_of_the_codes() -> None:
    counts = np.arange(300)
    assert usage.top_share(counts) == pytest.approx((299 + 298 + 297) / counts.sum())
    assert usage.top_share(counts, 1.0) == 1
    assert usage.top_share(np.ones(5)) == 0.2


@pytest.mark.parametrize(
    ("counts", "perplexity", "share"), [([0, 0], 0, 0), ([7], 1, 1), ([3, 3], 2, 0.5), ([5, 0], 1, 1)]
)
def test_summaries_of_very_little(counts: list[int], perplexity: float, share: float) -> None:
    summary = usage.summarise(np.array(counts), images=1)
    assert summary.perplexity == pytest.approx(perplexity)
    assert summary.entropy == pytest.approx(math.log2(perplexity) if perplexity else 0)
    assert summary.top_share == share


def test_distinct_codes_by_number_of_images(tmp_path: Path) -> None:
    grids = [grid + 4 * number for number, grid in enumerate(toy_grids())]
    index = make_index(tmp_path, grids, codes=60)
    seen: set[int] = set()
    wanted = []
    for grid in grids:
        seen |= set(grid.ravel().tolist())
        wanted.append(len(seen))
    assert usage.distinct_curve(index).tolist() == wanted
    assert len(set(wanted)) > 5


def test_figures_of_each_image(index: Index, grids: list[np.ndarray]) -> None:
    for number, grid in enumerate(grids):
        counts = [int((grid == code).sum()) for code in range(12)]
        assert usage.counts_of_image(index, number).tolist() == counts
        assert usage.distinct_by_image(index)[number] == np.count_nonzero(counts)
        shares = [count / grid.size for count in counts if count]
        assert usage.perplexity_by_image(index)[number] == pytest.approx(math.prod(s**-s for s in shares))


@pytest.mark.parametrize("at_once", [1, 30, 1 << 20])
def test_counts_by_label(
    grids: list[np.ndarray], at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "_CELLS_AT_ONCE", at_once)
    names = (
        "a.png",
        "cats/1.png",
        "cats/2.png",
        "dogs/1.png",
        "cats/3.png",
        "dogs/big/1.png",
        "b.png",
        "c.png",
        "d.png",
    )
    index = make_index(tmp_path, grids, codes=12, names=names)
    counts = usage.counts_by_label(index)
    assert list(counts) == ["", "cats", "dogs", "dogs/big"]
    for label, members in {"": [0, 6, 7, 8], "cats": [1, 2, 4], "dogs": [3], "dogs/big": [5]}.items():
        wanted = [sum(int((grids[member] == code).sum()) for member in members) for code in range(12)]
        assert counts[label].tolist() == wanted
    assert np.array_equal(sum(counts.values()), index.counts)
    monkeypatch.setattr(usage, "MOST_LABEL_COUNTS", 3 * 12)
    fewer = usage.counts_by_label(index)
    assert list(fewer) == ["", "cats", usage.OTHER_LABELS]
    assert np.array_equal(fewer["cats"], counts["cats"])
    assert np.array_equal(fewer[usage.OTHER_LABELS], counts["dogs"] + counts["dogs/big"])


def test_the_position_map_by_sampling_points(index: Index, grids: list[np.ndarray]) -> None:
    """Points of a fine raster over each image, weighted by its cells: which bin, and is the cell there of the code?"""
    fine = 840  # divided by every side of a grid and by the bins
    for code in (0, 5, 10):
        wanted = np.zeros((3, 3))
        for grid in grids:
            rows, columns = (np.arange(fine) * side // fine for side in grid.shape)
            hits = grid[np.ix_(rows, columns)] == code
            wanted += hits.reshape(3, fine // 3, 3, fine // 3).mean((1, 3)) * grid.size
        assert usage.position_map(index, code, bins=3) == pytest.approx(wanted * 1 / index.counts[code])


def test_a_code_that_sits_anywhere_alike_is_at_chance(tmp_path: Path) -> None:
    index = make_index(tmp_path, [np.zeros((5, 7), int), np.zeros((16, 3), int), np.zeros((1, 1), int)], codes=2)
    assert usage.position_map(index, 0) == pytest.approx(np.ones((8, 8)))
    assert usage.position_map(index, 1).tolist() == np.zeros((8, 8)).tolist()


def test_a_code_in_one_corner(tmp_path: Path) -> None:
    grid = np.zeros((4, 4), int)
    grid[0, 3] = 1
    index = make_index(tmp_path, [grid], codes=2)
    wanted = np.zeros((4, 4))
    wanted[0, 3] = 16
    assert usage.position_map(index, 1, bins=4) == pytest.approx(wanted)


def test_neighbours_against_a_plain_count(index: Index, grids: list[np.ndarray]) -> None:
    steps = {"left": (0, -1), "right": (0, 1), "above": (-1, 0), "below": (1, 0)}
    pairs_seen = 0
    for code in range(12):
        found = usage.neighbours(index, code, most=100)
        assert list(found) == list(steps)
        for direction, (down, right) in steps.items():
            beside: list[int] = []
            for grid in grids:
                for row, column in np.argwhere(grid == code):
                    if 0 <= row + down < grid.shape[0] and 0 <= column + right < grid.shape[1]:
                        beside.append(int(grid[row + down, column + right]))
            wanted = {other: beside.count(other) for other in set(beside) if beside.count(other) >= 3}
            entries = found[direction]  # type: ignore[index]
            assert {entry.code: entry.count for entry in entries} == wanted
            for entry in entries:
                expected = len(beside) * index.counts[entry.code] / index.cells
                assert entry.lift == pytest.approx(entry.count / expected)
                assert entry.of == len(beside)
                chance = index.counts[entry.code] / index.cells
                tail = at_least(entry.count, entry.of, entry.low * chance)
                assert tail == pytest.approx(0.025 / 12, rel=1e-6)  # of 12 codes
                assert entry.low <= entry.lift <= entry.high
            assert [entry.low for entry in entries] == sorted((entry.low for entry in entries), reverse=True)
            pairs_seen += len(entries)
            assert usage.neighbours(index, code, most=1)[direction] == entries[:1]  # type: ignore[index]
    assert pairs_seen > 20


def test_of_codes_in_no_order_none_stands_beside_another_more_often_than_chance(tmp_path: Path) -> None:
    """With 200 codes at random, some rare pair is always seen three times where chance would give a fraction of one."""
    codes = 200
    random = np.random.default_rng(5)
    shares = 1 / np.arange(1, codes + 1)
    grid = random.choice(codes, size=(60, 60), p=shares / shares.sum())
    index = make_index(tmp_path, [grid], codes=codes)
    entries = [entry for code in range(40) for found in usage.neighbours(index, code).values() for entry in found]
    assert max(entry.lift for entry in entries) > 10
    assert sum(entry.low > 1 for entry in entries) <= 3  # 160 families at 2.5 %: four are expected at most


def test_places_take_as_many_bins_as_their_cells_fill(tmp_path: Path) -> None:
    grid = np.zeros((40, 40), int)
    grid.flat[: 31 + 32 + 200] = np.repeat([1, 2, 3], [31, 32, 200])
    index = make_index(tmp_path, [grid], codes=5)
    assert [usage.bins_for(cells) for cells in (0, 1, 31, 32, 71, 72, 511, 512, 10**6)] == [0, 0, 0, 2, 2, 3, 7, 8, 8]
    assert usage.places(index, 1) is None and usage.places(index, 4) is None  # 31 cells, and none
    for code, bins in ((2, 2), (3, 5), (0, 8)):
        found = usage.places(index, code)
        assert found is not None and found.cells == index.counts[code]
        assert found.times == pytest.approx(usage.position_map(index, code, bins=bins))
        assert ((found.low <= found.times) & (found.times <= found.high)).all()
    top = usage.places(index, 2)
    assert top is not None and top.times[0].sum() == pytest.approx(4)  # all 32 lie in the first row of cells
    by_chance = 32 / 4
    assert top.low[1] == pytest.approx(0) and top.high[1] == pytest.approx(-math.log(0.025) / by_chance)


def test_neighbours_of_many_cells_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(tmp_path, [np.zeros((30, 30), int)], codes=1)
    monkeypatch.setattr(usage, "MOST_SAMPLED", 100)
    found = usage.neighbours(index, 0)
    for entries in found.values():
        assert [entry.code for entry in entries] == [0]
        assert 80 <= entries[0].count <= 100
        assert entries[0].lift == 1


@pytest.mark.parametrize("codes", [1, 2])
def test_one_image_of_one_cell(codes: int, tmp_path: Path) -> None:
    index = make_index(tmp_path, [np.zeros((1, 1), int)], codes=codes)
    assert usage.distinct_curve(index).tolist() == [1]
    assert usage.distinct_by_image(index).tolist() == [1]
    assert usage.perplexity_by_image(index).tolist() == [1]
    assert {label: counts.sum() for label, counts in usage.counts_by_label(index).items()} == {"": 1}
    assert usage.position_map(index, 0) == pytest.approx(np.ones((8, 8)))
    for code in range(codes):
        assert usage.neighbours(index, code) == {"left": [], "right": [], "above": [], "below": []}


# --- codes among codes ------------------------------------------------------------------------------------------------


def test_nearest_codes_against_all_pairs() -> None:
    codes = Codebook(toy_codebook(20, 5) * torch.linspace(0.5, 2, 20)[:, None])
    codebook = codes.vectors.double().numpy()
    others = geometry.nearest_others(codes)
    for code in range(20):
        distances = {
            other: float(np.linalg.norm(codebook[code] - codebook[other])) for other in range(20) if other != code
        }
        wanted = sorted(distances, key=distances.__getitem__)
        found = geometry.nearest_codes(codes, code, 4)
        assert [near.code for near in found] == wanted[:4]
        assert [near.value for near in found] == pytest.approx([distances[other] for other in wanted[:4]])
        assert others.codes[code] == wanted[0]
        assert others.distances[code] == pytest.approx(distances[wanted[0]], rel=1e-5)
        cosines = {
            other: float(
                codebook[code] @ codebook[other] / np.linalg.norm(codebook[code]) / np.linalg.norm(codebook[other])
            )
            for other in distances
        }
        by_cosine = sorted(cosines, key=cosines.__getitem__, reverse=True)
        found = geometry.nearest_codes(codes, code, 4, measure="cosine")
        assert [near.code for near in found] == by_cosine[:4]
        assert [near.value for near in found] == pytest.approx([cosines[other] for other in by_cosine[:4]])


def test_what_all_codes_have_in_common_costs_no_digits() -> None:
    codebook = (toy_codebook(60, 3).double().numpy() + 2000).astype(np.float32)
    distances = np.linalg.norm(codebook[:, None].astype(float) - codebook.astype(float), axis=2)
    np.fill_diagonal(distances, np.inf)
    others = geometry.nearest_others(Codebook(torch.from_numpy(codebook)))
    assert np.array_equal(others.codes, distances.argmin(1))
    assert others.distances == pytest.approx(distances.min(1), rel=1e-3)


def test_the_nearest_others_of_some_codes_are_those_that_all_of_them_have() -> None:
    codes = Codebook(toy_codebook(60, 4))
    whole = geometry.nearest_others(codes)
    some = np.random.default_rng(0).permutation(60)[:17]
    table = geometry.nearest_table(codes, some)
    assert np.array_equal(table["code"], whole.codes[some])
    assert table["distance"] == pytest.approx(whole.distances[some], rel=1e-5)


@pytest.mark.parametrize("measure", ["distance", "cosine"])
def test_of_many_codes_that_are_equally_near_the_lowest_numbers_come_first(measure) -> None:
    codes = Codebook(toy_codebook(6, 3).repeat(20, 1))  # 120 codes, twenty of each
    for code in (0, 7, 119):
        values = codes.distances_between(code) if measure == "distance" else -codes.cosines(code)
        wanted = [other for other in sorted(range(120), key=lambda other: (values[other], other)) if other != code]
        found = geometry.nearest_codes(codes, code, 8, measure=measure)
        assert [near.code for near in found] == wanted[:8]


def test_near_duplicates_are_found_and_nothing_else() -> None:
    codebook = toy_codebook(20, 5)
    assert geometry.near_duplicates(Codebook(codebook)) == []
    codebook[17] = codebook[4]
    codebook[2] = codebook[9] + 1e-3
    pairs = geometry.near_duplicates(Codebook(codebook))
    assert [(pair.code, pair.other) for pair in pairs] == [(4, 17), (2, 9)]
    assert [pair.distance for pair in pairs] == pytest.approx([0, 1e-3 * 5**0.5], rel=1e-2)
    assert geometry.near_duplicates(Codebook(codebook), fraction=1e-5)[-1].other == 17


@pytest.mark.parametrize("codes", [1, 2, 6])
def test_codebooks_of_equal_codes(codes: int) -> None:
    codebook = Codebook(torch.ones(codes, 3))
    pairs = geometry.near_duplicates(codebook)
    assert {code for pair in pairs for code in (pair.code, pair.other)} == (set(range(codes)) if codes > 1 else set())
    for measure, value in (("distance", 0), ("cosine", 1)):
        found = geometry.nearest_codes(codebook, 0, measure=measure)  # type: ignore[arg-type]
        assert [near.code for near in found] == list(range(1, codes))
        assert [near.value for near in found] == pytest.approx([value] * (codes - 1))
    others = geometry.nearest_others(codebook)
    assert np.isinf(others.distances[0]) == (codes == 1)


def test_the_zero_code_has_no_direction() -> None:
    codebook = Codebook(torch.tensor([[0.0, 0], [1, 0], [0, 2]]))
    assert [near.value for near in geometry.nearest_codes(codebook, 0, measure="cosine")] == [0, 0]
    assert [near.value for near in geometry.nearest_codes(codebook, 0)] == [1, 2]


def test_two_codes_are_no_duplicates() -> None:
    assert geometry.near_duplicates(Codebook(torch.tensor([[0.0, 0], [1, 0]]))) == []
