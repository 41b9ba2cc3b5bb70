"""Selections, in Chromium, against plain definitions in Python."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.canvas_scripts import evaluator

Points = list[list[float]]


@pytest.fixture(scope="module")
def tools(browser: Browser) -> Iterator[Callable[..., Any]]:
    with evaluator(browser) as evaluate:
        yield evaluate


def random_places(random: np.random.Generator, rows: int, columns: int) -> list[int]:
    """In reading order; sometimes none, sometimes all."""
    return np.flatnonzero(random.random(rows * columns) < random.choice([0, 0.2, 0.6, 1])).tolist()


def random_grids(seed: int, *, count: int = 60) -> list[tuple[list[int], int, int]]:
    random = np.random.default_rng(seed)
    shapes = [random.integers(1, 8, 2).tolist() for _ in range(count)]
    return [(random_places(random, rows, columns), rows, columns) for rows, columns in shapes]


def as_mask(places: list[int], rows: int, columns: int) -> np.ndarray:
    return np.isin(np.arange(rows * columns), places).reshape(rows, columns)


# --- how selections are made ----------------------------------------------------------------------------------------


def test_shift_adds_and_alt_takes_away(tools) -> None:
    keys = [{"altKey": alt, "shiftKey": shift} for alt in (False, True) for shift in (False, True)]
    assert tools("(keys) => keys.map(selectionMode)", keys) == ["replace", "add", "subtract", "subtract"]


def test_selections_are_combined_as_sets(tools) -> None:
    random = np.random.default_rng(0)
    cases = []
    for _ in range(60):
        one, other = (random_places(random, 5, 5) for _ in range(2))
        random.shuffle(other)
        cases.append((one, other + other[:2]))
    modes = ["replace", "add", "subtract"]
    combine = "([cases, modes]) => cases.map((case_) => modes.map((mode) => combineSelections(...case_, mode)))"
    for (one, other), combined in zip(cases, tools(combine, [cases, modes]), strict=True):
        a, b = set(one), set(other)
        assert combined == [sorted(b), sorted(a | b), sorted(a - b)]


def inside(y: Fraction, x: Fraction, points: Points) -> bool:
    """Even-odd: how often a ray straight up from (y, x) crosses the polygon."""
    crossings = 0
    for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True):
        if (x0 <= x) != (x1 <= x):
            at = Fraction(y0) + (x - Fraction(x0)) / (Fraction(x1) - Fraction(x0)) * (Fraction(y1) - Fraction(y0))
            crossings += at < y
    return crossings % 2 == 1


def test_a_lasso_takes_the_cells_whose_middle_is_inside(tools) -> None:
    random = np.random.default_rng(1)
    lassos = [(random.uniform(-3, 12, (random.integers(0, 12), 2)).tolist(), 9, 8) for _ in range(80)]
    found = tools("(lassos) => lassos.map((lasso) => lassoPlaces(...lasso))", lassos)
    half = Fraction(1, 2)
    for (points, rows, columns), places in zip(lassos, found, strict=True):
        cells = [(row, column) for row in range(rows) for column in range(columns)]
        expected = [r * columns + c for r, c in cells if inside(r + half, c + half, points)]
        assert places == expected
    assert sum(map(len, found)) > 800


def test_lassos_that_meet_in_the_middle_of_cells_share_none(tools) -> None:
    """A fan of triangles about one middle, with corners in others: each cell is in one of them."""
    ring = [[1.5, 1.5], [1.5, 4.5], [1.5, 7.5], [4.5, 7.5], [7.5, 7.5], [7.5, 4.5], [7.5, 1.5], [4.5, 1.5]]
    fan = [[[4.5, 4.5], one, other] for one, other in zip(ring, ring[1:] + ring[:1], strict=True)]
    *parts, whole = tools("(lassos) => lassos.map((points) => lassoPlaces(points, 9, 9))", [*fan, ring])
    assert sorted(place for part in parts for place in part) == whole
    assert len(whole) == 36 and len(fan) == 8


def test_the_wand_takes_cells_of_one_code(tools) -> None:
    random = np.random.default_rng(2)
    cases = []
    for _ in range(60):
        rows, columns = random.integers(1, 9, 2).tolist()
        cases.append((random.integers(0, 3, (rows, columns)), int(random.integers(rows * columns))))
    answers = tools(
        """(cases) => cases.map(([indices, place]) => {
          const state = freshState(indices.flat(), indices.length, indices[0].length);
          return [wandPlaces(state, place, true), wandPlaces(state, place, false)];
        })""",
        [[indices.tolist(), place] for indices, place in cases],
    )
    for (indices, place), (joined, everywhere) in zip(cases, answers, strict=True):
        alike = indices == indices.flat[place]
        assert everywhere == np.flatnonzero(alike).tolist()
        grown = as_mask([place], *indices.shape)
        for _ in range(indices.size):  # one more ring of neighbours each time
            padded = np.pad(grown, 1)
            beside = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
            grown = alike & (grown | beside)
        assert joined == np.flatnonzero(grown).tolist()


# --- how they move --------------------------------------------------------------------------------------------------


def test_the_box_of_places_is_the_smallest_that_holds_them(tools) -> None:
    grids = random_grids(3)
    boxes = tools("(grids) => grids.map(([places, , columns]) => boundingBox(places, columns))", grids)
    for (places, rows, columns), box in zip(grids, boxes, strict=True):
        ys, xs = np.nonzero(as_mask(places, rows, columns))
        expected = (
            {"top": ys.min(), "left": xs.min(), "bottom": ys.max() + 1, "right": xs.max() + 1} if places else None
        )
        assert box == expected
    assert None in boxes


def test_a_selection_that_is_moved_loses_what_leaves_the_grid(tools) -> None:
    random = np.random.default_rng(4)
    moves = [(places, *random.integers(-4, 5, 2).tolist(), rows, columns) for places, rows, columns in random_grids(4)]
    found = tools("(moves) => moves.map((move) => movePlaces(...move))", moves)
    for (places, down, right, rows, columns), moved in zip(moves, found, strict=True):
        wide = np.zeros((rows + 10, columns + 10), bool)
        wide[5 + down : 5 + down + rows, 5 + right : 5 + right + columns] = as_mask(places, rows, columns)
        assert moved == np.flatnonzero(wide[5 : 5 + rows, 5 : 5 + columns]).tolist()


def test_a_selection_goes_where_its_cells_go(tools) -> None:
    """What `flip` and `rotate` paint with a code of its own is the selection that flipPlaces and rotatePlaces give."""
    grids = [grid for grid in random_grids(5, count=90) if grid[0]]
    answers = tools(
        """(grids) => grids.map(([places, rows, columns]) => {
          const base = new Uint32Array(rows * columns);
          const marked = applyOperation(freshState(base, rows, columns), { tool: "paint", places, code: 1 }, { base });
          const left = (operation) =>
            changedPlaces(applyOperation(marked, { from: places, code: 0, ...operation }), base);
          const flips = ["horizontal", "vertical"].map((axis) =>
            [left({ tool: "flip", axis }), flipPlaces(places, axis, columns)]);
          const turns = [1, 2, 3].map((quarters) =>
            [left({ tool: "rotate", quarters }), rotatePlaces(places, quarters, rows, columns)]);
          return [...flips, ...turns];
        })""",
        grids,
    )
    for (places, rows, columns), pairs in zip(grids, answers, strict=True):
        assert all(cells == selection for cells, selection in pairs)
        mask = as_mask(places, rows, columns)
        (top, left), (bottom, right) = (pick(np.argwhere(mask), axis=0) for pick in (np.min, np.max))
        mirrored = mask.copy()
        mirrored[top : bottom + 1, left : right + 1] = mask[top : bottom + 1, left : right + 1][:, ::-1]
        assert pairs[0][1] == np.flatnonzero(mirrored).tolist()
    assert (
        tools("() => [flipPlaces([], 'vertical', 4), rotatePlaces([], 1, 3, 4), movePlaces([], 1, 1, 3, 4)]")
        == [[]] * 3
    )


def test_a_selection_turned_four_times_within_the_grid_is_the_same(tools) -> None:
    random = np.random.default_rng(6)
    shapes = [random_places(random, *random.integers(1, 6, 2).tolist()) for _ in range(50)]
    middles = [sorted({(place // 5 + 8) * 21 + place % 5 + 8 for place in places}) for places in shapes]
    turned = tools(
        """(selections) => selections.map((places) =>
          [1, 2, 3, 4].reduce((turned) => [...turned, rotatePlaces(turned.at(-1), 1, 21, 21)], [places]))""",
        middles,
    )
    for places, (_, once, twice, _, again) in zip(middles, turned, strict=True):
        assert again == places
        assert len(once) == len(twice) == len(places)


# --- how they are drawn ---------------------------------------------------------------------------------------------


def test_the_line_around_a_selection_parts_it_from_the_rest(tools) -> None:
    grids = random_grids(7)
    outlines = tools("(grids) => grids.map(([places, , columns]) => outlineEdges(places, columns))", grids)
    for (places, rows, columns), edges in zip(grids, outlines, strict=True):
        padded = np.pad(as_mask(places, rows, columns), 1)
        ys, xs = np.nonzero(padded[:-1] != padded[1:])  # above and below differ
        expected = {(int(y), int(x) - 1, int(y), int(x)) for y, x in zip(ys, xs, strict=True)}
        ys, xs = np.nonzero(padded[:, :-1] != padded[:, 1:])
        expected |= {(int(y) - 1, int(x), int(y), int(x)) for y, x in zip(ys, xs, strict=True)}
        units = []
        for top, left, bottom, right in edges:
            assert (top == bottom) != (left == right)
            units += [(top, x, top, x + 1) for x in range(left, right)] if top == bottom else []
            units += [(y, left, y + 1, left) for y in range(top, bottom)] if left == right else []
        assert len(units) == len(set(units)) and set(units) == expected
        ends = {(bottom, right, top == bottom) for top, left, bottom, right in edges}
        starts = {(top, left, top == bottom) for top, left, bottom, right in edges}
        assert not ends & starts  # no two in a row that could be one
    square = tools("() => outlineEdges([0, 1, 3, 4], 3)")
    assert sorted(square) == [[0, 0, 0, 2], [0, 0, 2, 0], [0, 2, 2, 2], [2, 0, 2, 2]]
