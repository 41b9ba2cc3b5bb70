"""What can be asked about an edit, each against a slow plain computation with whole pictures decoded."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.base.cell import Cell
from explorer.editing import probes
from explorer.editing.edits import Edit, Rule, inputs_of, unedited
from explorer.editing.probes import cycle_check, decode_each, difference, edit_figures, influence, margins
from tests.toys import Mixing, StandIn, assert_one_sentence, toy_images, toy_model
from vqvae.errors import BadInput
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, Tokenizer
from vqvae.window import Window

F, CODES, ROWS, COLUMNS = 4, 8, 10, 11
CELLS: list[Cell] = [(0, 0), (0, 5), (ROWS - 1, COLUMNS - 1), (ROWS - 1, 3), (4, 0), (5, 5), (8, 9)]


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "both": toy_model,
    "quantized": lambda: toy_model(decoder_inputs="quantized"),
    "no limit": lambda: StandIn(toy_model(), reach=None),
    "mixing": lambda: Mixing(toy_model()),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]()


def encoded(tokenizer: Tokenizer, rows: int = ROWS, columns: int = COLUMNS) -> Encoding:
    with torch.inference_mode():
        return tokenizer.encode(toy_images(1, F * rows, F * columns))


def toy_edit(base: Encoding, rule: Rule = "follow", *, codes: int = CODES) -> Edit:
    """A third of the cells edited, every cell with a blend of its own."""
    random = np.random.default_rng(3)
    indices = base.grid[0].numpy().copy()
    edited = random.random(indices.shape) < 1 / 3
    indices[edited] = random.integers(0, codes, edited.sum())
    return Edit(indices, random.random(indices.shape, np.float32), rule)


def decoded_whole(tokenizer: Tokenizer, base: Encoding, edit: Edit) -> Tensor:
    fed = inputs_of(tokenizer, base, edit)
    with torch.inference_mode():
        return tokenizer.decode(fed.quantized, fed.embedding)


def with_code(edit: Edit, cell: Cell, code: int) -> Edit:
    indices = edit.indices.copy()
    indices[cell] = code
    return replace(edit, indices=indices)


# --- other codes in one cell ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("cell", CELLS)
def test_each_code_in_a_cell_gives_the_pixels_of_the_whole_picture_decoded(
    tokenizer: Tokenizer, cell: Cell, rule: Rule
) -> None:
    base = encoded(tokenizer)
    edit = toy_edit(base, rule)
    codes = np.array([3, *range(CODES)])  # among them the encoder's own and the one that stands there
    around = decode_each(tokenizer, base, edit, cell, codes, around=1)
    top, bottom = max(0, cell[0] - 1) * F, min(ROWS, cell[0] + 2) * F
    left, right = max(0, cell[1] - 1) * F, min(COLUMNS, cell[1] + 2) * F
    for code, pixels in zip(codes, around, strict=True):
        whole = decoded_whole(tokenizer, base, with_code(edit, cell, int(code)))[0]
        torch.testing.assert_close(pixels, whole[:, top:bottom, left:right], atol=1e-6, rtol=0)


def test_many_codes_are_decoded_in_parts(monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer) -> None:
    base = encoded(tokenizer)
    edit, codes = toy_edit(base), np.arange(CODES)
    at_once = decode_each(tokenizer, base, edit, (4, 4), codes, around=1)
    monkeypatch.setattr(probes, "CELLS_PER_BATCH", 3 * ROWS * COLUMNS)
    in_parts = decode_each(tokenizer, base, edit, (4, 4), codes, around=1)
    torch.testing.assert_close(in_parts, at_once, atol=1e-6, rtol=0)


def test_no_more_is_decoded_at_once_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = StandIn(toy_model())
    base = encoded(model)
    monkeypatch.setattr(probes, "CELLS_PER_BATCH", 3 * ROWS * COLUMNS)
    decode_each(model, base, unedited(base), (4, 4), np.arange(CODES), around=1)
    assert model.looked_up == [3 * ROWS * COLUMNS, 3 * ROWS * COLUMNS, 2 * ROWS * COLUMNS]  # grids are looked up whole
    assert model.decoded == [3 * 7 * 7, 3 * 7 * 7, 2 * 7 * 7]


def test_no_code_at_all_is_no_picture() -> None:
    model = toy_model()
    base = encoded(model)
    none = decode_each(model, base, unedited(base), (4, 4), np.empty(0, np.int64), around=1)
    assert none.shape == (0, 3, 3 * F, 3 * F)


@pytest.mark.parametrize("cell", [(-1, 0), (0, -1), (ROWS, 0), (0, COLUMNS)])
def test_a_cell_outside_the_grid_is_refused_with_the_limits_of_the_grid(cell: Cell) -> None:
    model = toy_model()
    base = encoded(model)
    with pytest.raises(BadInput) as refusal:
        decode_each(model, base, unedited(base), cell, np.array([1]), around=1)
    said = assert_one_sentence(refusal)
    assert said == f"There is no cell {cell}; the grid has 10 rows, 0 to 9, and 11 columns, 0 to 10."
    with pytest.raises(BadInput):
        influence(model, base, unedited(base), cell)


def test_the_limits_of_a_grid_of_one_row() -> None:
    assert probes.size_of_grid(1, 1024) == "1 row, 0, and 1,024 columns, 0 to 1,023"


@pytest.mark.parametrize("code", [-1, CODES])
def test_a_code_that_is_not_there_is_refused(code: int) -> None:
    model = toy_model()
    base = encoded(model)
    with pytest.raises(BadInput) as refusal:
        decode_each(model, base, unedited(base), (0, 0), np.array([1, code]), around=1)
    assert f"no code {code}; codes run from 0 to 7" in assert_one_sentence(refusal)


# --- influence --------------------------------------------------------------------------------------------------------


def plain_change(tokenizer: Tokenizer, base: Encoding, edit: Edit, cell: Cell, tried: np.ndarray) -> np.ndarray:
    """The mean absolute change of each pixel of the whole picture, in levels: float64 [h·f, w·f]."""
    before = decoded_whole(tokenizer, base, edit)
    total = np.zeros((ROWS * F, COLUMNS * F))
    for code in tried.tolist():
        after = decoded_whole(tokenizer, base, with_code(edit, cell, code))
        total += (after - before).abs().double().numpy()[0].mean(0)
    return 255 * total / len(tried)


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("cell", CELLS)
def test_influence_is_the_mean_change_and_nothing_changes_outside_its_window(
    tokenizer: Tokenizer, cell: Cell, rule: Rule
) -> None:
    base = encoded(tokenizer)
    edit = toy_edit(base, rule)
    found = influence(tokenizer, base, edit, cell, tries=4)
    plain = plain_change(tokenizer, base, edit, cell, found.tried)
    inside = np.zeros((ROWS * F, COLUMNS * F), bool)
    window = found.window
    inside[window.top * F : window.bottom * F, window.left * F : window.right * F] = True
    assert plain[inside].max() > 0
    assert not plain[~inside].any()
    assert found.change.dtype == np.float32
    np.testing.assert_allclose(found.change.ravel(), plain[inside], atol=1e-4)
    assert found.most == pytest.approx(plain.max(), abs=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_the_window_is_what_the_cell_reaches(cell: Cell) -> None:
    model = toy_model()
    assert model.spec.reach == 2
    base = encoded(model)
    found = influence(model, base, unedited(base), cell, tries=2)
    row, column = cell
    assert found.window == Window(max(0, row - 2), max(0, column - 2), min(ROWS, row + 3), min(COLUMNS, column + 3))
    assert found.reach_pixels == 2 * F
    everywhere = influence(StandIn(model, reach=None), base, unedited(base), cell, tries=2)
    assert everywhere.window == Window(0, 0, ROWS, COLUMNS)
    assert everywhere.reach_pixels is None


@pytest.mark.parametrize("cell", CELLS)
def test_the_radius_and_the_outermost_pixel_by_looking_at_each_pixel(cell: Cell) -> None:
    model = toy_model()
    base = encoded(model)
    found = influence(model, base, unedited(base), cell, tries=3)
    middle_y, middle_x = cell[0] * F + F / 2, cell[1] * F + F / 2
    pixels = [
        (math.dist((found.window.top * F + y + 0.5, found.window.left * F + x + 0.5), (middle_y, middle_x)), change)
        for (y, x), change in np.ndenumerate(found.change.astype(np.float64))
    ]
    total = sum(change for _, change in pixels)
    distances = sorted({away for away, _ in pixels})
    enough = [r for r in distances if sum(change for away, change in pixels if away <= r) >= 0.9 * total * (1 - 1e-9)]
    assert found.radius == pytest.approx(enough[0])
    assert found.outermost == pytest.approx(max(away for away, change in pixels if change >= 1))
    assert 0 < found.radius < found.outermost


def test_other_codes_are_tried_each_once_and_the_same_again() -> None:
    model = toy_model()
    base = encoded(model)
    edit = toy_edit(base)
    cell = (4, 4)
    first, again = (influence(model, base, edit, cell, tries=5, seed=1).tried for _ in range(2))
    assert first.tolist() == again.tolist()
    assert len(set(first.tolist())) == 5
    assert len({tuple(influence(model, base, edit, cell, tries=5, seed=seed).tried) for seed in range(9)}) > 1
    every = influence(model, base, edit, cell, tries=100).tried
    assert sorted(every.tolist()) == sorted(set(range(CODES)) - {int(edit.indices[cell])})


def test_codes_are_tried_by_their_usage() -> None:
    model = toy_model()
    base = encoded(model)
    edit = with_code(unedited(base), (4, 4), 2)
    used = influence(model, base, edit, (4, 4), counts=np.array([5, 0, 90, 0, 0, 1, 0, 0])).tried
    assert sorted(used.tolist()) == [0, 5]
    draws = [
        int(
            influence(model, base, edit, (4, 4), counts=np.array([9, 0, 90, 0, 0, 1, 0, 0]), tries=1, seed=seed).tried[
                0
            ]
        )
        for seed in range(40)
    ]
    assert draws.count(0) > 25
    only_itself = influence(model, base, edit, (4, 4), counts=np.array([0, 0, 90, 0, 0, 0, 0, 0]), tries=3).tried
    assert len(only_itself) == 3
    assert 2 not in only_itself


def test_an_only_code_has_no_influence_to_measure() -> None:
    model = toy_model(codes=1)
    base = encoded(model)
    found = influence(model, base, unedited(base), (4, 4))
    assert len(found.tried) == 0
    assert not found.change.any()
    assert (found.radius, found.outermost) == (0, 0)
    assert "no other code" in assert_one_sentence(found.sentence)


def test_a_decoder_that_ignores_the_code_is_told() -> None:
    model = toy_model(decoder_inputs="quantized")
    base = encoded(model)
    keeps = unedited(base, weight=1, rule="keep")  # its one input is then the embedding, whatever the code
    found = influence(model, base, keeps, (4, 4), tries=4)
    assert not found.change.any()
    assert (found.radius, found.outermost) == (0, 0)
    assert "ignores" in assert_one_sentence(found.sentence)
    assert influence(model, base, replace(keeps, rule="follow"), (4, 4), tries=4).change.any()


def test_what_is_said_of_the_influence() -> None:
    window, tried = Window(0, 0, 1, 1), np.array([1, 2])
    found = probes.Influence(window, np.ones((4, 4), np.float32), tried, 9.4, 23.6, 40)
    said = assert_one_sentence(found.sentence)
    for part in ("2 other codes", "within 9 px", "is 24 px away", "further than 40 px"):
        assert part in said
    faint = replace(found, outermost=0.0, reach_pixels=None, tried=np.array([1]))
    said = assert_one_sentence(faint.sentence)
    for part in ("1 other code in", "no pixel changes by as much as one level", "pixels anywhere"):
        assert part in said


@pytest.mark.parametrize(
    ("most", "full", "high"), [(0, 1, "1 level"), (0.4, 1, "1 level"), (12.34, 12.34, "12.3 levels")]
)
def test_the_scale_of_the_influence_makes_nothing_of_what_cannot_be_seen(most: float, full: float, high: str) -> None:
    change = np.zeros((4, 4), np.float32)
    change[1, 2] = most
    found = probes.Influence(Window(0, 0, 1, 1), change, np.array([1]), 0.0, 0.0, None)
    assert found.most == pytest.approx(most)
    assert found.full == pytest.approx(full)
    assert found.scale == probes.Scale("0", high)


# --- the cycle --------------------------------------------------------------------------------------------------------


def saved(tokenizer: Tokenizer, base: Encoding, edit: Edit, height: int, width: int) -> np.ndarray:
    """What a person would save: 8 bits, cropped."""
    decoded = decoded_whole(tokenizer, base, edit)[0, :, :height, :width]
    return np.floor(255 * decoded.movedim(0, -1).double().numpy() + 0.5).astype(np.uint8)


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("short", [0, 3])  # pixels that the picture lacks for whole cells
def test_the_cycle_cell_by_cell(tokenizer: Tokenizer, rule: Rule, short: int) -> None:
    height, width = ROWS * F - short, COLUMNS * F - short
    images = toy_images(1, height, width)
    with torch.inference_mode():
        base = tokenizer.encode(images)
    edit = toy_edit(base, rule)
    pixels = saved(tokenizer, base, edit, height, width)
    plain = saved(tokenizer, base, unedited(base, weight=0.5, rule=rule), height, width)
    half = width // 2  # toy models reconstruct so badly that all cells drift: half of the picture comes back as it is
    plain[:, :half] = np.rint(255 * images[0, :, :, :half].movedim(0, -1).numpy())
    found = cycle_check(tokenizer, base, edit, pixels, plain)
    again, baseline = (
        tokenizer.encode(torch.from_numpy(picture / np.float32(255)).movedim(-1, 0)[None]).grid[0]
        for picture in (pixels, plain)
    )
    for row in range(ROWS):
        for column in range(COLUMNS):
            cell = row, column
            was, now, put = int(base.grid[0, row, column]), int(again[row, column]), int(edit.indices[cell])
            drifts_anyway = int(baseline[row, column]) != was
            assert found.indices[cell] == now
            assert found.edited[cell] == (put != was)
            assert found.returned[cell] == (put != was and now == put)
            assert found.drifted[cell] == (put == was and now != was and not drifts_anyway)
            assert found.drifted_anyway[cell] == (put == was and now != was and drifts_anyway)
            kinds = [found.returned[cell], put != was and now != put, found.drifted[cell], found.drifted_anyway[cell]]
            assert found.marks[cell] == (kinds.index(True) + 1 if any(kinds) else 0)
    for mask in (found.edited, found.drifted, found.drifted_anyway):
        assert mask.any()


def test_what_an_edit_is_blamed_for_is_nothing_where_nothing_is_edited(tokenizer: Tokenizer) -> None:
    base = encoded(tokenizer)
    plain = saved(tokenizer, base, unedited(base), ROWS * F, COLUMNS * F)
    found = cycle_check(tokenizer, base, unedited(base), plain, plain)
    assert not found.drifted.any() and not found.edited.any()
    changed = sum(
        int(now) != int(was) for now, was in zip(found.indices.ravel(), base.grid.flatten().tolist(), strict=True)
    )
    assert found.drifted_anyway.sum() == changed > 0
    assert f"{changed} of 110 cells" in assert_one_sentence(found.sentence)


class GreyLevels:
    """Codes are grey levels and a cell is painted with its own: every edit comes back."""

    spec = Spec("grey levels", (Level("grid", CODES, 1, "euclidean", F),), reach=0, inputs=1, sizes=Sizes(F))
    codebook = torch.linspace(0, 1, CODES)[:, None]

    def encode(self, images: Tensor) -> Encoding:
        embedding = images[:, :1, F // 2 :: F, F // 2 :: F]
        indices = (embedding[:, 0] * (CODES - 1)).round().long()
        return Encoding((indices,), embedding, self.lookup((indices,)))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        return self.codebook[indices[0]].movedim(-1, 1)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codebook[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return quantized.repeat_interleave(F, 2).repeat_interleave(F, 3).expand(-1, 3, -1, -1)


def test_every_edit_comes_back_where_decoding_loses_nothing() -> None:
    tokenizer = GreyLevels()
    base = encoded(tokenizer)
    edit = toy_edit(base)
    pictures = (saved(tokenizer, base, shown, ROWS * F, COLUMNS * F) for shown in (edit, unedited(base)))
    found = cycle_check(tokenizer, base, edit, *pictures)
    assert found.edited.any()
    assert (found.returned == found.edited).all()
    assert not found.drifted.any() and not found.drifted_anyway.any()
    outmost = influence(tokenizer, base, edit, (4, 4))
    assert outmost.change.shape == (F, F)  # reach 0: the cell alone
    assert outmost.change.min() > 0


class FineGrey(GreyLevels):
    """More levels than 8 bits can tell apart: whoever encodes the float picture finds codes that no file keeps."""

    spec = Spec("fine grey", (Level("grid", 1021, 1, "euclidean", F),), reach=0, inputs=1, sizes=Sizes(F))
    codebook = torch.linspace(0, 1, 1021)[:, None]

    def encode(self, images: Tensor) -> Encoding:
        embedding = images[:, :1, F // 2 :: F, F // 2 :: F]
        indices = (embedding[:, 0] * 1020).round().long()
        return Encoding((indices,), embedding, self.lookup((indices,)))


def test_only_what_8_bits_keep_comes_back() -> None:
    tokenizer = FineGrey()
    base = tokenizer.encode(torch.zeros(1, 3, F, 8 * F))
    edit = replace(unedited(base), indices=np.array([[0, 4, 5, 6, 7, 8, 9, 400]]))  # a level of 255 is 4 of these
    found = cycle_check(
        tokenizer, base, edit, *(saved(tokenizer, base, each, F, 8 * F) for each in (edit, unedited(base)))
    )
    assert found.returned.tolist() == [[False, True, False, False, False, True, False, True]]
    assert tokenizer.encode(decoded_whole(tokenizer, base, edit)).grid[0].tolist() == edit.indices.tolist()


def test_what_is_said_of_the_cycle() -> None:
    none = np.zeros((1, 5), bool)
    edited = np.array([[True, True, False, False, False]])
    returned, drifted = np.array([[True, *[False] * 4]]), np.array([[False, False, True, False, False]])
    anyway = np.array([[False, False, False, True, True]])
    found = probes.CycleCheck(np.zeros((1, 5), np.int64), edited, returned, drifted, anyway)
    assert assert_one_sentence(found.sentence) == (
        "Saved and encoded again, 1 of 2 edited cells came back as the code put in; of the 3 not edited, "
        "1 changed code because of the edit, and 2 change it without the edit, too."
    )
    assert found.marks.tolist() == [[1, 2, 3, 4, 4]]
    assert [probes.CYCLE_CHIPS[mark - 1].kind for mark in found.marks[0]] == [
        "returned",
        "lost",
        "drifted",
        "drifted anyway",
        "drifted anyway",
    ]
    untouched = replace(found, edited=none, returned=none, drifted=none)
    assert assert_one_sentence(untouched.sentence) == (
        "No cell is edited; saved and encoded again, 2 of 5 cells change code anyway."
    )
    painted = assert_one_sentence(replace(untouched, drifted=drifted).sentence)
    assert "1 more because of the blend" in painted
    every = assert_one_sentence(replace(found, edited=~none, drifted=none, drifted_anyway=none).sentence)
    assert "1 of 5 edited cells" in every and "not edited" not in every


def test_a_picture_of_another_size_is_not_taken_for_the_edited_one() -> None:
    model = toy_model()
    base = encoded(model)
    plain = saved(model, base, unedited(base), ROWS * F, COLUMNS * F)
    for pictures in ((plain[F:], plain), (plain, plain[:, F:])):
        with pytest.raises(ValueError, match="and the edit"):
            cycle_check(model, base, unedited(base), *pictures)


# --- margins ----------------------------------------------------------------------------------------------------------


def test_margins_by_all_distances_and_the_projection_onto_the_line_between_two_codes() -> None:
    model = toy_model()
    base = encoded(model)
    found = margins(Codebook.of(model), base)
    codebook = model.codebook.double().numpy()
    for row in range(ROWS):
        for column in range(COLUMNS):
            cell = row, column
            vector = base.embedding[0, :, row, column].double().numpy()
            own = int(base.grid[0, row, column])
            distances = np.linalg.norm(codebook - vector, axis=1)
            others = [code for code in range(CODES) if code != own]
            second = min(others, key=lambda code: distances[code])
            assert found.runner_up[cell] == second
            assert found.distance[cell] == pytest.approx(distances[own], abs=1e-5)
            assert found.runner_up_distance[cell] == pytest.approx(distances[second], abs=1e-5)
            assert found.gap[cell] == pytest.approx(distances[second] - distances[own], abs=1e-5)
            line = codebook[second] - codebook[own]
            along = (vector - codebook[own]) @ line / (line @ line)
            assert found.fragility[cell] == pytest.approx(np.clip(2 * along, 0, 1), abs=1e-4)
    assert found.gap.min() >= 0
    assert 0 < np.median(found.fragility) < 1


def of_vectors(model: VQVAE, vectors: Tensor) -> Encoding:
    """A grid of one row with given embeddings, [N, D]."""
    embedding = vectors.T[None, :, None]
    indices = model.quantizer.nearest(embedding)
    return Encoding((indices,), embedding, model.lookup((indices,)))


def test_an_embedding_on_its_code_is_not_fragile_and_one_on_the_border_is() -> None:
    model = toy_model()
    codebook = Codebook.of(model)
    on_codes = margins(codebook, of_vectors(model, model.codebook))
    assert on_codes.distance.max() == pytest.approx(0, abs=1e-6)
    assert on_codes.fragility.max() == pytest.approx(0, abs=1e-5)
    nearest = on_codes.runner_up[0]
    halfway = margins(codebook, of_vectors(model, (model.codebook + model.codebook[nearest]) / 2))
    assert halfway.fragility.min() == pytest.approx(1, abs=1e-5)
    assert halfway.gap.max() == pytest.approx(0, abs=1e-5)


def test_an_only_code_has_no_runner_up_and_equal_codes_are_a_tie() -> None:
    alone = toy_model(codes=1)
    found = margins(Codebook.of(alone), encoded(alone))
    assert not found.runner_up.any()
    assert np.isinf(found.gap).all()
    assert not found.fragility.any()
    assert [figure.value for figure in found.figures] == ["0% of cells", "–"]
    twins = toy_model(codes=2)
    twins.codebook[1] = twins.codebook[0]
    tied = margins(Codebook.of(twins), encoded(twins))
    assert (tied.runner_up == 1).all()
    assert (tied.fragility == 1).all()
    assert not tied.gap.any()


def test_a_tie_that_rounding_decided_is_a_tie() -> None:
    model = toy_model()
    base = of_vectors(model, model.codebook)
    codebook = Codebook.of(model)
    second = margins(codebook, base).runner_up[0]
    other = torch.from_numpy(second)[None, None]
    found = margins(codebook, replace(base, indices=(other,), quantized=model.lookup((other,))))
    assert not found.gap.any()  # the own code is even the farther one
    assert (found.fragility == 1).all()


def test_the_figures_of_the_margins() -> None:
    model = toy_model()
    found = margins(Codebook.of(model), encoded(model))
    close, median = found.figures
    expected = sum(value >= probes.CLOSE_CALL for value in found.fragility.ravel()) / found.fragility.size
    assert close.value == f"{expected:.0%} of cells"
    assert median.value == f"{statistics.median(found.gap.ravel().tolist()):.3f}"


# --- before and after -------------------------------------------------------------------------------------------------


def test_a_difference_by_hand() -> None:
    before = np.full((2, 4, 3), 100, np.uint8)
    after = before.copy()
    after[0, 1, 2] = 148
    after[1, 3] = (97, 100, 100)  # darker: bytes must not wrap
    found = difference(before, after)
    assert found.changed.tolist() == [[False, True, False, False], [False, False, False, True]]
    assert (found.pixels, found.share) == (2, 0.25)
    assert found.mean_change == pytest.approx((48 + 3) / 24)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 / ((48**2 + 3**2) / 24)), abs=1e-4)
    back = difference(after, before)
    assert (back.pixels, back.mean_change) == (found.pixels, found.mean_change)


def test_equal_pictures_have_no_difference() -> None:
    picture = np.zeros((3, 2, 3), np.uint8)
    found = difference(picture, picture)
    assert (found.pixels, found.share, found.mean_change, found.psnr) == (0, 0, 0, math.inf)
    assert [figure.value for figure in edit_figures(np.zeros((2, 2), bool), found)] == ["0 of 4", "0 (0.0%)", "∞ dB"]


def test_pictures_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="one size"):
        difference(np.zeros((3, 2, 3), np.uint8), np.zeros((3, 1, 3), np.uint8))


def test_the_figures_of_an_edit() -> None:
    before = np.full((10, 10, 3), 100, np.uint8)
    after = before.copy()
    after[:5, :5] = 151  # a fifth of 255 more
    edited = np.zeros((40, 40), bool)
    edited[:30] = True
    cells, pixels, psnr = edit_figures(edited, difference(before, after))
    assert cells.value == "1,200 of 1,600"
    assert pixels.value == "25 (25.0%)"
    assert "12.75 of 255 levels" in pixels.meaning
    assert psnr.value == "20.00 dB"  # mean square error (1 / 5)² / 4 = 1 / 100
    for figure in (cells, pixels, psnr):
        assert figure.meaning.endswith(".")
