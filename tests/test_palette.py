"""Lists of codes to paint with, each against a plain count, distance or decode of the whole picture."""

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from explorer.base.cell import Cell
from explorer.editing import palette
from explorer.editing.edits import Rule, inputs_of, unedited
from explorer.editing.palette import (
    alternatives,
    alternatives_of_map,
    by_colour,
    by_patch,
    codes_of_picture,
    nearest,
    plausible,
    search,
    top_candidates,
)
from explorer.index.read import Index
from tests.test_probes import CELLS, CODES, COLUMNS, ROWS, F, encoded, tokenizer, toy_edit, with_code
from tests.test_usage import make_index, toy_grids
from tests.toys import StandIn, assert_one_sentence, toy_codebook, toy_model, toy_pixels
from vqvae.errors import BadInput
from vqvae.images import to_image, to_pixels
from vqvae.search import Codebook
from vqvae.tokenizer import Sizes, Tokenizer

__all__ = ["tokenizer"]  # a fixture


# --- by picture, by code, by number -----------------------------------------------------------------------------------


def test_codes_of_a_picture_by_falling_count() -> None:
    found = codes_of_picture(np.array([[7, 3, 7], [2, 7, 2], [3, 9, 0]]))
    assert [(one.code, one.value) for one in found] == [(7, 3), (2, 2), (3, 2), (0, 1), (9, 1)]
    assert found[0].meaning == "3 cells of this picture"
    assert found[-1].meaning == "1 cell of this picture"


def test_nearest_codes_by_all_distances() -> None:
    codebook = toy_codebook(8, 4)
    codes, rows = Codebook(codebook), codebook.numpy()
    for code in range(8):
        plain = sorted((math.dist(rows[code], rows[other]), other) for other in range(8) if other != code)
        found = nearest(codes, code, 5)
        assert [one.code for one in found] == [other for _, other in plain[:5]]
        assert [one.value for one in found] == pytest.approx([away for away, _ in plain[:5]], abs=1e-6)
    assert found[0].meaning == f"{found[0].value:.2f} from code 7"
    assert nearest(Codebook(codebook[:1]), 0) == []


@pytest.mark.parametrize("code", [-1, 8])
def test_nearest_to_a_code_that_is_not_there(code: int) -> None:
    with pytest.raises(BadInput) as refusal:
        nearest(Codebook(toy_codebook(8, 4)), code)
    assert "from 0 to 7" in assert_one_sentence(refusal)


@pytest.mark.parametrize("codes", [1, 10, 11, 45, 450, 1100])
@pytest.mark.parametrize("number", [0, 1, 4, 9, 44, 199])
def test_a_number_finds_itself_and_all_that_begin_so(number: int, codes: int) -> None:
    if number < codes:
        plain = [number, *(code for code in range(codes) if code != number and str(code).startswith(str(number)))]
        if number == 0:
            plain = [0]
        assert search(f" {number}", codes) == palette.Found(tuple(plain), "")
        assert search(f"#{number}", codes) == palette.Found(tuple(plain), "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("417", (417,)),
        ("0417", (417,)),
        ("#417", (417,)),
        (" #417\n", (417,)),
        ("#40-#43", (40, 41, 42, 43)),
        ("#43 – 41", (43, 42, 41)),
        ("40-#42", (40, 41, 42)),
        ("#12, 90 #7-#8", (12, 90, 7, 8)),
        ("40-44", (40, 41, 42, 43, 44)),
        ("40 – 42", (40, 41, 42)),
        ("7-7", (7,)),
        ("44-41", (44, 43, 42, 41)),
        ("12 90 7", (12, 90, 7)),
        ("12,90;7\n", (12, 90, 7)),
        ("12 90 12", (12, 90)),
        ("90 7-9 8", (90, 7, 8, 9)),
        ("0 - 1 1023", (0, 1, 1023)),
    ],
)
def test_searches_and_what_they_find(text: str, found: tuple[int, ...]) -> None:
    assert search(text, 1024) == palette.Found(found, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "sky",
        "4.5",
        "-5",
        "40-",
        "40-60-80",
        "#",
        "##417",
        "417#",
        "# 417",
        "#40-",
        "#-#",
        "#1024",
        "#ff8800",
        "#<script>",
        "12 x 7",
        "1024",
        "7 1024",
        "0-1024",
        "1024-0",
        "9" * 300,
        "1 " * 500,
        "٤",
        "²",
    ],
)
def test_a_search_that_names_no_codes_says_why(text: str) -> None:
    found = search(text, 1024)
    assert found.codes == ()
    assert_one_sentence(found.note)


@pytest.mark.parametrize("text", ["0-9999", "0-200 5000-5100", "1", "9999-0"])
def test_a_search_lists_no_more_than_can_be_looked_at(text: str) -> None:
    found = search(text, 10_000)
    assert len(found.codes) == len(set(found.codes)) == palette.MOST_FOUND
    assert "first 256" in assert_one_sentence(found.note)


def test_a_search_is_cut_only_where_there_is_more() -> None:
    assert search("1-256", 1024) == palette.Found(tuple(range(1, 257)), "")
    assert search("0-200 200-0", 1024) == palette.Found(tuple(range(201)), "")
    assert search("9999-0", 10_000).codes[:2] == (9999, 9998)
    assert search("1", 10_000).codes[:12] == (1, *range(10, 20), 100)


def test_codes_near_a_place_on_the_map() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (30, 2)).astype(np.float32)
    place = (0.2, -0.4)
    plain = sorted((math.dist(point, place), code) for code, point in enumerate(points))
    found = alternatives_of_map(points, place, 6)
    assert [one.code for one in found] == [code for _, code in plain[:6]]
    assert [one.value for one in found] == pytest.approx([away for away, _ in plain[:6]], abs=1e-6)
    assert alternatives_of_map(points, tuple(points[17].tolist()), 1)[0].code == 17
    assert len(alternatives_of_map(points, place, 99)) == 30


@pytest.mark.parametrize("place", [(math.nan, 0), (0, math.inf)])
def test_a_place_that_is_none(place: tuple[float, float]) -> None:
    with pytest.raises(BadInput) as refusal:
        alternatives_of_map(np.zeros((3, 2)), place)
    assert_one_sentence(refusal)


# --- by look ----------------------------------------------------------------------------------------------------------


def test_codes_by_colour_in_the_order_of_lab_distances() -> None:
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (200, 4, 4, 3)).astype(np.uint8)
    tiles[100:] = random.integers(0, 256, (100, 1, 1, 3))  # flat ones, of strong colours
    for colour in [(0, 0, 0), (255, 255, 255), (200, 30, 30), (3, 10, 7), (10, 90, 250)]:
        own = rgb2lab(np.array(colour) / 255)
        plain = [math.dist(rgb2lab(tile.astype(np.float64).mean((0, 1)) / 255), own) for tile in tiles]
        found = by_colour(tiles, colour, 30)
        assert [one.value for one in found] == pytest.approx(sorted(plain)[:30], abs=0.02)
        assert [plain[one.code] for one in found] == pytest.approx([one.value for one in found], abs=0.02)
        assert found[0].meaning == f"ΔE {found[0].value:.1f} from the colour"
    flat = tuple(tiles[150, 0, 0].tolist())
    assert by_colour(tiles, flat)[0].code == 150
    assert by_colour(tiles, flat)[0].meaning == "ΔE 0.0 from the colour"
    greys = np.arange(0, 256, 51, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    assert [one.value for one in by_colour(greys, (0, 0, 0), 99)][-1] == pytest.approx(100)


def test_colours_of_some_codes_are_named_by_their_numbers() -> None:
    tiles = np.array([[0, 0, 0], [250, 0, 0], [255, 0, 0]], np.uint8)[:, None, None]
    found = by_colour(tiles, (255, 0, 0), 2, codes=np.array([40, 7, 90]))
    assert [one.code for one in found] == [90, 7]
    assert by_colour(tiles[:0], (255, 0, 0)) == []
    twins = by_colour(tiles[[1, 1, 0]], (250, 0, 0))
    assert [one.code for one in twins] == [0, 1, 2]


@pytest.mark.parametrize("colour", [(0, 0), (0, 0, 256), (-1, 0, 0), (0, 0, 0, 0), (math.nan, 0, 0)])
def test_a_colour_that_is_none(colour: Any) -> None:
    with pytest.raises(BadInput) as refusal:
        by_colour(np.zeros((3, 4, 4, 3), np.uint8), colour)
    assert_one_sentence(refusal)


def mirrored(tile: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Tiles side by side, each the mirror image of its neighbours; the one in the middle as it is."""
    line = [tile if column % 2 == columns // 2 % 2 else tile[:, ::-1] for column in range(columns)]
    middle = np.concatenate(line, 1)
    return np.concatenate([middle if row % 2 == rows // 2 % 2 else middle[::-1] for row in range(rows)])


@pytest.mark.parametrize("only", [None, (4 * F, 7 * F)])
def test_codes_by_a_patch_of_one_cell_are_the_encoders_ranking(only: tuple[int, int] | None) -> None:
    model = toy_model()
    tokenizer = StandIn(model, sizes=Sizes(F, only))
    rows, columns = (4, 7) if only else (5, 5)
    for seed in range(5):
        patch = toy_pixels(F, F, seed=seed)
        picture = torch.from_numpy(mirrored(patch, rows, columns) / np.float32(255)).movedim(-1, 0)[None]
        base = model.encode(picture)
        plain = top_candidates(Codebook.of(model), base, (rows // 2, columns // 2), 5)
        found = by_patch(tokenizer, Codebook.of(model), patch, 5)
        assert [one.code for one in found] == [one.code for one in plain]
        assert [one.value for one in found] == pytest.approx([one.value for one in plain], abs=1e-5)
        assert found[0].code == base.grid[0, rows // 2, columns // 2]
        assert found[0].meaning == f"{found[0].value:.2f} from the patch"


@pytest.mark.parametrize("side", [1, 2, 5, 64, 256])
def test_a_patch_of_any_size_is_scaled_to_a_cell(side: int) -> None:
    model = toy_model()
    codebook = Codebook.of(model)
    flat = np.full((side, side, 3), (200, 90, 30), np.uint8)
    expected = by_patch(model, codebook, flat[:1, :1].repeat(F, 0).repeat(F, 1), CODES)
    assert by_patch(model, codebook, flat, CODES) == expected
    tile = toy_pixels(F, F)
    larger = tile.repeat(16, 0).repeat(16, 1)
    scaled = np.asarray(to_image(larger).resize((F, F), 1))  # Lanczos, as all pictures are
    assert by_patch(model, codebook, larger, CODES) == by_patch(model, codebook, scaled, CODES)
    black = np.zeros((16 * F, 40, 3), np.uint8)
    middle = by_patch(model, codebook, np.concatenate([black, larger, black], 1), CODES)
    ends = by_patch(model, codebook, np.concatenate([larger, black], 1), CODES)
    assert distances_by_code(middle) == pytest.approx(
        distances_by_code(by_patch(model, codebook, larger, CODES)), abs=0.02
    )
    assert distances_by_code(ends) != pytest.approx(distances_by_code(middle), abs=0.02)


def distances_by_code(found: list[palette.Suggestion]) -> dict[int, float]:
    return {one.code: one.value for one in found}


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (257, 4, 3), (4, 257, 3), (4, 4)])
def test_a_patch_that_is_none(shape: tuple[int, ...]) -> None:
    model = toy_model()
    with pytest.raises(BadInput) as refusal:
        by_patch(model, Codebook.of(model), np.zeros(shape, np.uint8))
    assert "1 to 256 pixels" in assert_one_sentence(refusal)


# --- by cell ----------------------------------------------------------------------------------------------------------


def test_top_candidates_are_the_encoders_ranking() -> None:
    model = toy_model()
    base, codebook = encoded(model), Codebook.of(model)
    for cell in CELLS:
        vector = base.embedding[0, :, cell[0], cell[1]].tolist()
        plain = sorted((math.dist(vector, row), code) for code, row in enumerate(model.codebook.tolist()))
        found = top_candidates(codebook, base, cell, 5)
        assert [one.code for one in found] == [code for _, code in plain[:5]]
        assert [one.value for one in found] == pytest.approx([away for away, _ in plain[:5]], abs=1e-6)
        assert found[0].code == base.grid[0, cell[0], cell[1]]
    with pytest.raises(BadInput):
        top_candidates(codebook, base, (0, COLUMNS))


@pytest.fixture
def grids() -> list[np.ndarray]:
    return toy_grids(images=20)


@pytest.fixture
def index(grids: list[np.ndarray], tmp_path: Path) -> Index:
    return make_index(tmp_path, grids, codes=12)


def plain_scores(grids: list[np.ndarray], picture: np.ndarray, cell: Cell, alpha: float) -> dict[int, float]:
    """The formula, code by code, each count over all cells of all grids."""
    all_cells = [int(code) for grid in grids for code in grid.ravel()]
    share = {code: all_cells.count(code) / len(all_cells) for code in set(all_cells)}
    scores = {}
    for code in share:
        score = math.log(share[code])
        for step in ((0, -1), (0, 1), (-1, 0), (1, 0)):
            row, column = cell[0] + step[0], cell[1] + step[1]
            if not (0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]):
                continue
            pairs = [
                int(grid[r, c])
                for grid in grids
                for r in range(grid.shape[0])
                for c in range(grid.shape[1])
                if 0 <= r + step[0] < grid.shape[0]
                and 0 <= c + step[1] < grid.shape[1]
                and grid[r + step[0], c + step[1]] == picture[row, column]
            ]
            given = (pairs.count(code) + alpha * share[code]) / (len(pairs) + alpha)
            score += math.log(given / share[code])
        scores[code] = score
    return scores


@pytest.mark.parametrize("cell", [(0, 0), (0, 2), (1, 1), (2, 3), (3, 0), (3, 4)])
def test_plausible_codes_by_the_formula(grids: list[np.ndarray], index: Index, cell: Cell) -> None:
    picture = np.random.default_rng(7).integers(0, 12, (4, 5))  # with the code that the set never uses
    scores = plain_scores(grids, picture, cell, palette.PRIOR_CELLS)
    total = sum(map(math.exp, scores.values()))
    ranked = sorted(scores, key=lambda code: -scores[code])
    found = plausible(index, picture, cell)
    assert [one.code for one in found] == ranked
    assert [one.value for one in found] == pytest.approx([math.exp(scores[code]) / total for code in ranked])
    assert sum(one.value for one in found) == pytest.approx(1)
    assert plausible(index, picture, cell, 3) == found[:3]
    assert found[0].meaning.startswith(f"{found[0].value:.1%} likely")


def test_a_picture_of_the_set_can_be_left_out_of_the_counts(grids: list[np.ndarray], index: Index) -> None:
    image = next(number for number, grid in enumerate(grids) if min(grid.shape) >= 3)
    rest = grids[:image] + grids[image + 1 :]
    scores = plain_scores(rest, grids[image], (1, 1), palette.PRIOR_CELLS)
    total = sum(map(math.exp, scores.values()))
    found = plausible(index, grids[image], (1, 1), without=image)
    assert [one.code for one in found] == sorted(scores, key=lambda code: -scores[code])
    assert [one.value for one in found] == pytest.approx([math.exp(scores[one.code]) / total for one in found])


def test_of_a_set_of_one_picture_nothing_is_left(tmp_path: Path) -> None:
    grid = np.array([[0, 1], [1, 0]])
    assert plausible(make_index(tmp_path, [grid], codes=2), grid, (0, 0), without=0) == []


def test_the_code_of_the_cell_itself_does_not_matter(index: Index) -> None:
    picture = np.random.default_rng(7).integers(0, 11, (4, 5))
    other = picture.copy()
    other[1, 1] = (picture[1, 1] + 1) % 11
    assert plausible(index, picture, (1, 1)) == plausible(index, other, (1, 1))


def test_a_cell_without_neighbours_gets_codes_by_usage(index: Index) -> None:
    found = plausible(index, np.zeros((1, 1), np.int64), (0, 0))
    assert {one.code: one.value for one in found} == pytest.approx(
        {code: count / index.cells for code, count in enumerate(index.counts.tolist()) if count}
    )


def test_what_always_follows_is_most_plausible(tmp_path: Path) -> None:
    stripes = np.tile(np.array([0, 1, 2]), (400, 10))  # 1 is right of 0 and left of 2, always
    index = make_index(tmp_path, [stripes], codes=4)
    found = plausible(index, np.array([[3, 3, 3], [0, 3, 2], [3, 3, 3]]), (1, 1))
    assert found[0].code == 1
    assert found[0].value > 0.9
    assert found[-1].meaning == "under 0.1% likely, by its neighbours"
    assert [one.code for one in plausible(index, np.array([[2, 3, 1]]), (0, 1), 1)] == [0]


def test_a_grid_of_another_codebook_and_a_cell_outside_are_refused(index: Index) -> None:
    for picture, cell in ((np.array([[0, 12]]), (0, 0)), (np.array([[0, -1]]), (0, 0)), (np.array([[0]]), (1, 0))):
        with pytest.raises(BadInput) as refusal:
            plausible(index, picture, cell)
        assert_one_sentence(refusal)


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("cell", CELLS)
def test_alternatives_are_cut_from_whole_pictures(tokenizer: Tokenizer, cell: Cell, rule: Rule) -> None:
    base = encoded(tokenizer)
    edit = toy_edit(base, rule)
    candidates = np.array([5, 1, 0, 7, 1])
    found = alternatives(tokenizer, base, edit, cell, candidates)
    assert found.codes.tolist() == candidates.tolist()
    assert found.pixels.shape == (5, 5 * F, 5 * F, 3)
    for code, pixels in zip(candidates.tolist(), found.pixels, strict=True):
        fed = inputs_of(tokenizer, base, with_code(edit, cell, code))
        with torch.inference_mode():
            whole = 255 * tokenizer.decode(fed.quantized, fed.embedding)[0].movedim(0, -1).double().numpy()
        around = np.pad(whole, ((2 * F, 2 * F), (2 * F, 2 * F), (0, 0)), mode="edge")
        top, left = cell[0] * F, cell[1] * F
        exact = around[top : top + 5 * F, left : left + 5 * F]
        assert np.abs(pixels - exact).max() <= 0.5 + 1e-3  # rounded: of ties, either side
    assert len(np.unique(found.pixels, axis=0)) == 4


def test_alternatives_in_a_grid_smaller_than_what_is_shown() -> None:
    model = toy_model()
    base = encoded(model, 1, 2)
    found = alternatives(model, base, unedited(base), (0, 1), np.arange(CODES))
    assert found.pixels.shape == (CODES, 5 * F, 5 * F, 3)
    own = int(base.grid[0, 0, 1])
    whole = to_pixels(model.decode(base.quantized))[0]
    assert (found.pixels[own, 2 * F : 3 * F, F : 3 * F] == whole).all()
    assert (found.pixels[:, :, -1] == found.pixels[:, :, 3 * F - 1]).all()


def test_no_candidates_are_no_alternatives() -> None:
    model = toy_model()
    base = encoded(model)
    assert alternatives(model, base, unedited(base), (4, 4), np.empty(0, np.int64)).pixels.shape == (0, 20, 20, 3)


def test_alternatives_that_are_not_there_are_refused() -> None:
    model = toy_model()
    base = encoded(model)
    for cell, code in (((ROWS, 0), 0), ((0, 0), CODES)):
        with pytest.raises(BadInput) as refusal:
            alternatives(model, base, unedited(base), cell, np.array([code]))
        assert_one_sentence(refusal)
