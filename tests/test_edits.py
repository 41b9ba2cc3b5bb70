"""Decoding after an edit, against the whole picture decoded; and what an edit feeds the decoder, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.editing.edits import (
    UNPAINTED,
    Edit,
    LiveDecoder,
    Painting,
    Rule,
    edited_cells,
    inputs_of,
    inputs_of_grids,
    unedited,
    unpainted,
)
from tests.toys import Mixing, StandIn, toy_images, toy_model
from vqvae.tokenizer import Encoding, Tokenizer, blend
from vqvae.window import Window, decode_window, patched, reached, redecode

ROWS, COLUMNS = 29, 31  # cells: enough that a crop is less than the grid
CLOSE = 1e-6  # a picture is in [0, 1]; convolutions of other sizes may add up in another order
CORNERS = [(0, 0), (0, COLUMNS - 1), (ROWS - 1, 0), (ROWS - 1, COLUMNS - 1)]
EDGES_MIDDLE = [(0, 15), (14, 0), (ROWS - 1, 7), (20, COLUMNS - 1), (14, 15), (1, 2)]
DEPTHS = [((4,), (0,)), ((4,), (2,)), ((4, 8), (1, 1)), ((4, 8), (2, 0)), ((4, 4, 8), (1, 0, 1))]
PERCENTS = range(-50, 151)


def inputs(rows: int = ROWS, columns: int = COLUMNS, *, batch: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Something for both inputs of a toy decoder, each [B, 4, h, w]."""
    quantized, embedding = torch.randn(2, batch, 4, rows, columns, generator=torch.Generator().manual_seed(seed))
    return quantized, embedding


def mask(cells: list[tuple[int, int]], rows: int = ROWS, columns: int = COLUMNS) -> Tensor:
    """[h, w] bool, true at the cells."""
    held = torch.zeros(rows, columns, dtype=torch.bool)
    for row, column in cells:
        held[row, column] = True
    return held


def encoded(model: Tokenizer, rows: int = 6, columns: int = 7) -> Encoding:
    with torch.inference_mode():
        return model.encode(toy_images(1, model.spec.stride * rows, model.spec.stride * columns))


def toy_edit(base: Encoding, rule: Rule = "follow", *, seed: int = 0) -> Edit:
    """A third of the cells edited, every cell with a blend of its own in [−0.5, 1.5]."""
    random = np.random.default_rng(seed)
    indices = base.grid[0].numpy().copy()
    edited = random.random(indices.shape) < 1 / 3
    indices[edited] = random.integers(0, 8, edited.sum())
    return Edit(indices, random.uniform(-0.5, 1.5, indices.shape).astype(np.float32), rule)


def decoded_whole(model: Tokenizer, base: Encoding, edit: Edit) -> Tensor:
    fed = inputs_of(model, base, edit)
    return model.decode(fed.quantized, fed.embedding)


def assert_same_picture(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=CLOSE)


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_window_around_cells_is_the_smallest_that_holds_them(seed: int) -> None:
    cells = torch.rand(6, 7, generator=torch.Generator().manual_seed(seed)) < 0.06
    window = Window.around(cells)
    if window is None:
        assert not cells.any()
        return
    assert window.of(cells).sum() == cells.sum()
    for edge in (window.of(cells)[0], window.of(cells)[-1], window.of(cells)[:, 0], window.of(cells)[:, -1]):
        assert edge.any()


def test_there_is_no_window_around_nothing() -> None:
    assert Window.around(mask([])) is None


def test_a_window_grows_on_all_sides_as_far_as_there_are_cells() -> None:
    window = Window(2, 3, 5, 5)
    assert window.cells == 6
    assert window.grown(0, rows=9, columns=9) == window
    assert window.grown(1, rows=9, columns=9) == Window(1, 2, 6, 6)
    assert window.grown(1, rows=9, columns=9).grown(2, rows=9, columns=9) == window.grown(3, rows=9, columns=9)
    assert window.grown(3, rows=7, columns=9) == Window(0, 0, 7, 8)
    assert window.grown(99, rows=7, columns=9) == Window(0, 0, 7, 9)


@pytest.mark.parametrize("cell", [*CORNERS, *EDGES_MIDDLE])
@pytest.mark.parametrize("side", [1, 2, 5, 18, ROWS, 99])
def test_a_window_is_widened_to_a_side_around_what_it_held(cell: tuple[int, int], side: int) -> None:
    row, column = cell
    window = Window(row, column, min(ROWS, row + 2), min(COLUMNS, column + 3))
    wide = window.at_least(side, rows=ROWS, columns=COLUMNS)
    assert 0 <= wide.top <= window.top and window.bottom <= wide.bottom <= ROWS
    assert 0 <= wide.left <= window.left and window.right <= wide.right <= COLUMNS
    assert wide.bottom - wide.top == max(window.bottom - window.top, min(side, ROWS))
    assert wide.right - wide.left == max(window.right - window.left, min(side, COLUMNS))


def test_a_window_of_a_grid_is_a_view_of_its_cells_at_any_scale() -> None:
    window, grid = Window(1, 2, 3, 6), torch.arange(2 * 12 * 21).reshape(2, 12, 21)
    assert torch.equal(window.of(grid, scale=3), grid[:, 3:9, 6:18])
    window.of(grid)[:] = -1
    assert (grid == -1).sum() == 2 * window.cells == 2 * grid[0, 1:3, 2:6].numel()


@pytest.mark.parametrize("by", [1, 2, 3])
@pytest.mark.parametrize("window", [Window(0, 0, 9, 8), Window(1, 2, 3, 6), Window(5, 3, 6, 4), Window(4, 0, 8, 8)])
def test_a_window_on_a_finer_grid_holds_the_same_cells_and_on_a_coarser_one_all_that_it_touches(
    window: Window, by: int
) -> None:
    grid = torch.arange(9 * 8).reshape(9, 8)
    finer = grid.repeat_interleave(by, 0).repeat_interleave(by, 1)
    assert torch.equal(window.scaled(by).of(finer), window.of(finer, scale=by))
    rows, columns = torch.meshgrid(torch.arange(9) // by, torch.arange(8) // by, indexing="ij")
    coarse = torch.zeros(9, 8, dtype=torch.bool)
    coarse[window.of(rows), window.of(columns)] = True
    assert window.coarsened(by) == Window.around(coarse)
    assert window.scaled(by).coarsened(by) == window
    assert (window.rows, window.columns) == window.of(grid).shape


@pytest.mark.parametrize("reach", ["its own", None])
def test_where_a_change_reaches_little_there_is_a_window_of_it(reach: str | None) -> None:
    tokenizer = StandIn(toy_model(), reach=2 if reach else None)
    window = reached(tokenizer, mask([(14, 15), (15, 18)]))
    assert window == (Window(12, 13, 18, 21) if reach else None)
    assert reached(tokenizer, mask([(0, 0), (ROWS - 1, COLUMNS - 1)])) is None


def test_a_patched_picture_is_another_one_in_a_window_alone() -> None:
    picture, pixels = torch.rand(1, 3, 12, 20), torch.rand(1, 3, 4, 8)
    kept = picture.clone()
    after = patched(picture, pixels, Window(1, 2, 2, 4), scale=4)
    assert torch.equal(after[..., 4:8, 8:16], pixels) and torch.equal(picture, kept)
    after[..., 4:8, 8:16] = picture[..., 4:8, 8:16]
    assert torch.equal(after, kept)


def test_a_window_in_a_window_holds_the_same_cells() -> None:
    grid = torch.arange(9 * 8).reshape(9, 8)
    outer, inner = Window(1, 2, 8, 8), Window(3, 4, 6, 5)
    assert torch.equal(inner.relative_to(outer).of(outer.of(grid)), inner.of(grid))
    assert inner.relative_to(outer).cells == inner.cells


# --- how far a cell reaches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize(("channels", "blocks"), [*DEPTHS, ((4, 8), (0, 0)), ((4, 4, 8), (0, 3, 0))])
def test_pixels_of_a_cell_depend_on_all_cells_within_the_reach_and_on_none_beyond(
    channels: tuple[int, ...], blocks: tuple[int, ...], decoder_inputs: str
) -> None:
    model = toy_model(channels=channels, blocks=blocks, decoder_inputs=decoder_inputs)
    for parameter in model.decoder.parameters():
        parameter.abs_()  # with nothing below zero no relu hides a path
    reach, middle = model.spec.reach, 12
    assert reach is not None and 0 < reach < middle
    quantized, embedding = inputs(2 * middle + 1, 2 * middle + 1)
    quantized, embedding = quantized.abs(), embedding.abs() + 4
    fed = [part.requires_grad_() for part in (quantized, embedding)]
    cell = Window(middle, middle, middle + 1, middle + 1)
    cell.of(model.decoder(*fed), scale=model.spec.stride).sum().backward()
    expected = torch.zeros(2 * middle + 1, 2 * middle + 1, dtype=torch.bool)
    cell.grown(reach, rows=2 * middle + 1, columns=2 * middle + 1).of(expected)[:] = True
    for part in fed if decoder_inputs == "both" else fed[1:]:
        assert part.grad is not None
        assert torch.equal((part.grad != 0).any(1)[0], expected)


# --- a part of the grid decoded again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize(("channels", "blocks"), DEPTHS)
@pytest.mark.parametrize("cell", [*CORNERS, *EDGES_MIDDLE])
def test_a_window_decodes_to_its_pixels_of_the_whole_picture(
    cell: tuple[int, int], channels: tuple[int, ...], blocks: tuple[int, ...], decoder_inputs: str
) -> None:
    model = StandIn(toy_model(channels=channels, blocks=blocks, decoder_inputs=decoder_inputs))
    quantized, embedding = inputs(batch=2)
    window = Window(*cell, min(ROWS, cell[0] + 2), min(COLUMNS, cell[1] + 3))
    found = decode_window(model, quantized, embedding, window)
    assert model.decoded[0] < ROWS * COLUMNS
    assert_same_picture(found, window.of(model.decode(quantized, embedding), scale=model.spec.stride))


@pytest.mark.parametrize("reach", [None, 99])
def test_where_a_cell_reaches_everywhere_a_window_is_cut_from_the_whole_picture(reach: int | None) -> None:
    model = StandIn(toy_model(), reach=reach)
    quantized, embedding = inputs(7, 9)
    window = Window(2, 0, 5, 4)
    found = decode_window(model, quantized, embedding, window)
    assert model.decoded == [7 * 9]
    assert_same_picture(found, model.decode(quantized, embedding)[..., 8:20, 0:16])


SEVERAL = {
    **{f"one at {cell}": [cell] for cell in [*CORNERS, *EDGES_MIDDLE]},
    "two near a corner": [(0, 1), (2, 0)],
    "three apart": [(10, 3), (12, 8), (15, 5)],
    "all corners": CORNERS,
    "all": [(row, column) for row in range(ROWS) for column in range(COLUMNS)],
}


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize(("channels", "blocks"), DEPTHS)
@pytest.mark.parametrize("cells", SEVERAL.values(), ids=SEVERAL)
def test_after_a_change_the_picture_is_the_whole_decoded(
    cells: list[tuple[int, int]], channels: tuple[int, ...], blocks: tuple[int, ...], decoder_inputs: str
) -> None:
    model = toy_model(channels=channels, blocks=blocks, decoder_inputs=decoder_inputs)
    (quantized, embedding), others = inputs(), inputs(seed=1)
    before = model.decode(quantized, embedding)
    kept = before.clone()
    changed = mask(cells)
    quantized, embedding = (
        part.where(~changed, other) for part, other in zip((quantized, embedding), others, strict=True)
    )
    after = redecode(model, quantized, embedding, before=before, changed=changed)
    assert_same_picture(after, model.decode(quantized, embedding))
    assert not torch.allclose(after, before, atol=1e-3)
    assert torch.equal(before, kept)  # it may be on someone's screen


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 40), (3, 2), (5, 6), (18, 19), (40, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_after_a_change_in_a_grid_of_any_shape_the_picture_is_the_whole_decoded(
    rows: int, columns: int, decoder_inputs: str, seed: int
) -> None:
    model = toy_model(blocks=(1, 4), decoder_inputs=decoder_inputs)  # which reaches further than most of the grids
    (quantized, embedding), others = inputs(rows, columns), inputs(rows, columns, seed=1)
    before = model.decode(quantized, embedding)
    random = np.random.default_rng(seed)
    changed = mask([(int(random.integers(rows)), int(random.integers(columns)))], rows, columns)
    quantized, embedding = quantized.where(~changed, others[0]), embedding.where(~changed, others[1])
    after = redecode(model, quantized, embedding, before=before, changed=changed)
    assert_same_picture(after, model.decode(quantized, embedding))


def test_only_what_a_change_can_reach_is_decoded_again() -> None:
    model = StandIn(toy_model())
    (quantized, embedding), others = inputs(), inputs(seed=1)
    before = model.decode(quantized, embedding)
    changed = mask([(14, 15)])
    model.decoded.clear()
    after = redecode(model, quantized.where(~changed, others[0]), embedding, before=before, changed=changed)
    assert len(model.decoded) == 1 and 9**2 <= model.decoded[0] < ROWS * COLUMNS / 2
    beyond = torch.ones_like(after, dtype=torch.bool)
    Window(14 - 2, 15 - 2, 14 + 3, 15 + 3).of(beyond, scale=4)[:] = False
    assert torch.equal(after[beyond], before[beyond])


def test_where_nothing_says_how_far_a_cell_reaches_all_is_decoded_again() -> None:
    model = StandIn(toy_model(), reach=None)
    (quantized, embedding), others = inputs(), inputs(seed=1)
    before = model.decode(quantized, embedding)
    changed = mask([(3, 4)])
    quantized = quantized.where(~changed, others[0])
    after = redecode(model, quantized, embedding, before=before, changed=changed)
    assert model.decoded == [ROWS * COLUMNS] * 2
    assert torch.equal(after, model.decode(quantized, embedding))


@pytest.mark.parametrize("reach", [None, 2])
def test_where_nothing_changed_the_picture_is_the_one_before(reach: int | None) -> None:
    model = StandIn(toy_model(), reach=reach)
    quantized, embedding = inputs(5, 6)
    before = torch.rand(1, 3, 20, 24)
    assert redecode(model, quantized, embedding, before=before, changed=mask([], 5, 6)) is before
    assert model.decoded == []


# --- what an edit feeds the decoder -----------------------------------------------------------------------------------


def looked_up(codebook: Tensor, indices: np.ndarray, *, around: int = 0) -> np.ndarray:
    """[K, D], [h, w] -> float64 [D, h, w], each cell the mean of the codes so far around it."""
    codes = codebook.double().numpy()[indices]
    found = np.empty((codes.shape[2], *indices.shape))
    for row, column in np.ndindex(indices.shape):
        near = codes[max(0, row - around) : row + around + 1, max(0, column - around) : column + around + 1]
        found[:, row, column] = near.mean((0, 1))
    return found


def fed_cell_by_cell(codebook: Tensor, base: Encoding, edit: Edit, *, around: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The definition: both inputs [D, h, w] as float64, one cell after the other."""
    indices, z = base.grid[0].numpy(), base.embedding[0].double().numpy()
    before, quantized = (looked_up(codebook, grid, around=around) for grid in (indices, edit.indices))
    embedding = np.empty_like(z)
    for row, column in np.ndindex(edit.indices.shape):
        said, old, new = z[:, row, column], before[:, row, column], quantized[:, row, column]
        if edit.indices[row, column] != indices[row, column]:
            said = {"follow": new, "carry": new + (said - old), "keep": said}[edit.rule]
        embedding[:, row, column] = new + edit.weight[row, column] * (said - new)
    return quantized, embedding


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("weight", [None, -0.5, 0.0, 0.3, 1.0, 1.5])
def test_an_edit_is_fed_as_its_rule_and_blend_say(weight: float | None, rule: Rule, decoder_inputs: str) -> None:
    model = toy_model(decoder_inputs=decoder_inputs)
    base = encoded(model)
    edit = toy_edit(base, rule) if weight is None else toy_edit(base, rule).with_weight(weight)
    assert 0 < edited_cells(base, edit).sum() < edit.indices.size
    fed = inputs_of(model, base, edit)
    for found, expected in zip(
        (fed.quantized, fed.embedding), fed_cell_by_cell(model.codebook, base, edit), strict=True
    ):
        np.testing.assert_allclose(found[0].double().numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
def test_where_a_lookup_mixes_neighbours_the_grid_is_looked_up_whole(weight: float | None, rule: Rule) -> None:
    model = toy_model()
    tokenizer = Mixing(model)
    base = encoded(tokenizer)
    edit = toy_edit(base, rule) if weight is None else toy_edit(base, rule).with_weight(weight)
    wanted = fed_cell_by_cell(model.codebook, base, edit, around=1)
    found = inputs_of(tokenizer, base, edit)
    for part, expected in zip((found.quantized, found.embedding), wanted, strict=True):
        np.testing.assert_allclose(part[0].double().numpy(), expected, rtol=0, atol=1e-5)
    unchanged = edit.indices == base.grid[0].numpy()
    assert (found.quantized != base.quantized)[0].any(0).numpy()[unchanged].any()  # next to an edited cell


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("stand_in", [StandIn, Mixing])
def test_several_grids_are_fed_as_each_by_itself(stand_in: type[StandIn], rule: Rule) -> None:
    tokenizer = stand_in(toy_model())
    base = encoded(tokenizer)
    edits = [replace(toy_edit(base, rule, seed=seed), weight=toy_edit(base).weight) for seed in range(3)]
    grids = torch.from_numpy(np.stack([edit.indices for edit in edits]))
    found = inputs_of_grids(tokenizer, base, grids, edits[0])
    for number, edit in enumerate(edits):
        alone = inputs_of(tokenizer, base, edit)
        assert torch.equal(found.quantized[number], alone.quantized[0])
        assert torch.equal(found.embedding[number], alone.embedding[0])


def test_the_rules_differ_only_in_edited_cells_and_there_all_do() -> None:
    model = toy_model()
    base = encoded(model)
    edited = edited_cells(base, toy_edit(base))
    follow, carry, keep = (
        inputs_of(model, base, toy_edit(base, rule).with_weight(0.5)).embedding[0]
        for rule in ("follow", "carry", "keep")
    )
    for one, other in ((follow, carry), (follow, keep), (carry, keep)):
        np.testing.assert_array_equal((one != other).any(0).numpy(), edited)


@pytest.mark.parametrize("rule", get_args(Rule))
def test_the_ends_of_the_blend_are_exact(rule: Rule) -> None:
    model = toy_model()
    base = encoded(model)
    edit = toy_edit(base, rule)
    alone = inputs_of(model, base, edit.with_weight(0))
    assert torch.equal(alone.embedding, alone.quantized)
    whole = inputs_of(model, base, replace(edit, rule="keep").with_weight(1))
    assert torch.equal(whole.embedding, base.embedding)


@pytest.mark.parametrize("rule", get_args(Rule))
@pytest.mark.parametrize("weight", [0.0, 0.37, 1.0])
def test_without_an_edit_the_decoder_is_fed_the_reconstruction(weight: float, rule: Rule) -> None:
    model = toy_model()
    base = encoded(model)
    edit = unedited(base, weight=weight, rule=rule)
    fed = inputs_of(model, base, edit)
    assert not edited_cells(base, edit).any()
    assert torch.equal(fed.quantized, base.quantized)
    assert torch.equal(fed.embedding, blend(base, weight))


# --- one edit after another -------------------------------------------------------------------------------------------


def next_edit(edit: Edit, random: np.random.Generator) -> Edit:
    """A person's next step: a stroke, a blend painted, all blends, another rule, or nothing."""
    indices, weight = edit.indices.copy(), edit.weight.copy()
    row, column = random.integers(indices.shape)
    stroke = np.s_[row : row + random.integers(1, 4), column : column + random.integers(1, 4)]
    match random.integers(7):
        case 0 | 1 | 2:
            indices[stroke] = random.integers(8)
        case 3:
            weight[stroke] = random.uniform(-0.5, 1.5)
        case 4:
            weight[:] = random.uniform(-0.5, 1.5)
        case 5:
            return replace(edit, rule=random.choice(get_args(Rule)))
    return replace(edit, indices=indices, weight=weight)


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize("reach", ["its own", None])
def test_edits_in_a_row_decode_like_each_by_itself(reach: str | None, decoder_inputs: str) -> None:
    model = toy_model(decoder_inputs=decoder_inputs)
    base = encoded(model, 24, 25)
    tokenizer = StandIn(model, reach=reach and model.spec.reach)
    live, edit, random = LiveDecoder(tokenizer, base), unedited(base, weight=0.5), np.random.default_rng(0)
    shown = []
    for _ in range(40):
        found, expected = live.decode(edit), decoded_whole(model, base, edit)
        assert_same_picture(found, expected)
        shown.append((found, expected))
        edit = next_edit(edit, random)
    for found, expected in shown:  # a later edit writes into no earlier picture
        assert_same_picture(found, expected)
    in_part = [cells for cells in tokenizer.decoded if cells < 24 * 25]
    assert bool(in_part) == (reach is not None)


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize("rule", get_args(Rule))
def test_where_a_lookup_mixes_neighbours_an_edit_decodes_like_the_whole(rule: Rule, decoder_inputs: str) -> None:
    model = toy_model(decoder_inputs=decoder_inputs)
    tokenizer = Mixing(model)
    base = encoded(tokenizer, 24, 25)
    live, random = LiveDecoder(tokenizer, base), np.random.default_rng(1)
    edit = unedited(base, weight=0.5, rule=rule)
    for _ in range(20):
        fed = fed_cell_by_cell(model.codebook, base, edit, around=1)
        whole = model.decode(*(torch.from_numpy(part).float()[None] for part in fed))
        shown = live.decode(edit)
        assert_same_picture(shown, decoded_whole(tokenizer, base, edit))
        torch.testing.assert_close(shown, whole, rtol=0, atol=1e-5)
        indices = edit.indices.copy()
        indices[tuple(random.integers(indices.shape))] = random.integers(8)
        edit = replace(edit, indices=indices)
    assert [cells for cells in tokenizer.decoded if cells < 24 * 25]


def test_an_edit_that_is_shown_already_is_not_decoded() -> None:
    model = StandIn(toy_model())
    base = encoded(toy_model())
    live, edit = LiveDecoder(model, base), toy_edit(base, "follow")
    first = live.decode(edit)
    assert live.decode(replace(edit, indices=edit.indices.copy(), weight=edit.weight.copy())) is first
    assert len(model.decoded) == 1
    assert live.decode(replace(edit, rule="keep")) is not first


def test_what_follows_its_code_has_no_residual_to_blend() -> None:
    model = toy_model()
    base = encoded(model)
    live, edit = LiveDecoder(model, base), toy_edit(base, "follow")
    first = live.decode(edit)
    weight = np.where(edited_cells(base, edit), np.float32(0.9), edit.weight)
    assert torch.equal(live.decode(replace(edit, weight=weight)), first)


def test_a_change_of_the_code_alone_is_seen() -> None:
    model = toy_model()
    base = encoded(model)
    live, kept = LiveDecoder(model, base), unedited(base, weight=1.0, rule="keep")
    before = live.decode(kept)
    edit = replace(kept, indices=(kept.indices + 1) % 8)
    assert torch.equal(inputs_of(model, base, edit).embedding, inputs_of(model, base, kept).embedding)
    assert_same_picture(live.decode(edit), decoded_whole(model, base, edit))
    assert not torch.allclose(live.decode(edit), before, atol=1e-3)


def test_undoing_an_edit_brings_the_picture_back() -> None:
    model = toy_model()
    base = encoded(model)
    live = LiveDecoder(model, base)
    before = live.decode(unedited(base, weight=1.0))
    assert not torch.allclose(live.decode(toy_edit(base, "carry")), before, atol=1e-3)
    assert_same_picture(live.decode(unedited(base, weight=1.0)), before)


# --- drafts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 1.0, 0.29, 1 / 3, -0.5])
@pytest.mark.parametrize("rule", get_args(Rule))
def test_an_edit_of_whole_percents_comes_back_from_its_draft(rule: Rule, level: float) -> None:
    weight = np.array([*(percent / 100 for percent in PERCENTS), level], np.float32).reshape(-1, 2)
    edit = Edit(np.arange(weight.size).reshape(weight.shape), weight, rule)
    again = Painting.of(edit, level=level).edit(level=level, rule=rule)
    np.testing.assert_array_equal(again.indices, edit.indices)
    np.testing.assert_array_equal(again.weight, edit.weight)
    assert (again.rule, again.weight.dtype) == (rule, np.float32)


def test_a_draft_keeps_blends_to_half_a_percent() -> None:
    weight = np.random.default_rng(0).uniform(-0.5, 1.5, (9, 8)).astype(np.float32)
    again = Painting.of(Edit(np.zeros((9, 8), np.int64), weight), level=2).edit(level=2, rule="keep")
    assert 0.003 < np.abs(again.weight - weight).max() <= 0.005 + 1e-6


def test_the_level_moves_below_painted_cells() -> None:
    weight = np.array([[0.5, 0.25], [-0.5, 0.5]], np.float32)
    draft = Painting.of(Edit(np.zeros((2, 2), np.int64), weight), level=0.5)
    np.testing.assert_array_equal(draft.painted, [[UNPAINTED, 25], [-50, UNPAINTED]])
    moved = draft.edit(level=1.25, rule="carry")
    np.testing.assert_array_equal(moved.weight, np.array([[1.25, 0.25], [-0.5, 1.25]], np.float32))


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_a_fresh_draft_is_no_edit(level: float) -> None:
    base = encoded(toy_model())
    edit, nothing = unpainted(base).edit(level=level, rule="carry"), unedited(base, weight=level, rule="carry")
    np.testing.assert_array_equal(edit.indices, nothing.indices)
    np.testing.assert_array_equal(edit.weight, nothing.weight)
    assert edit.rule == nothing.rule


@pytest.mark.parametrize("inputs", ["both", "quantized"])
def test_a_preview_is_nearly_the_decode_and_leaves_no_trace(inputs):
    model = toy_model(decoder_inputs=inputs)
    base = model.encode(toy_images(1, 40, 56))
    live = LiveDecoder(model, base)
    first, second = unedited(base, weight=1.0), unedited(base, weight=0.4)
    exact = live.decode(first)
    preview = live.preview(second)
    assert preview.dtype == torch.float32
    assert (preview - LiveDecoder(model, base).decode(second)).abs().max() < 0.05
    assert torch.equal(live.decode(first), exact)
    torch.testing.assert_close(live.decode(second), LiveDecoder(model, base).decode(second), atol=1e-6, rtol=0)
