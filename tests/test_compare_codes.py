"""What a comparison says of codebooks, from records made by hand."""

import numpy as np
import pytest

from explorer.base.tables import as_csv
from explorer.compare.codes import COLUMNS, counted, first_grid, match, on_both, rows, which_level
from explorer.compare.records import Compared, Comparison, Row, Seen, Settings
from tests.toy_tokenizers import row_of_tokens, two_levels
from tests.toys import assert_one_sentence, toy_model
from vqvae.errors import BadInput
from vqvae.tokenizer import Level, Sizes, Spec


def spec(*levels: tuple[int, int | None]) -> Spec:
    made = tuple(Level(f"level {number}", codes, 4, "euclidean", f) for number, (codes, f) in enumerate(levels))
    return Spec("made", made, None, 1, Sizes(8))


def seen(*indices: np.ndarray) -> Seen:
    return Seen(30.0, None, 1.0, 1.0, 1.0, None, tuple(one.astype(np.uint16) for one in indices))


def comparison(specs: list[Spec], *rows: tuple[Seen | str, ...]) -> Comparison:
    models = tuple(Compared(f"model {n}", f"{n:064}", one, None, "cpu") for n, one in enumerate(specs))
    made = tuple(Row(f"{n}.png", f"{n:064}", (32, 32), row) for n, row in enumerate(rows))
    return Comparison(models, "made", "0" * 64, Settings(), made, (), len(made))


QUARTERS = np.kron(np.arange(4).reshape(2, 2), np.ones((4, 4), int))  # 8 × 8 cells of 4 pixels
HALVES = np.repeat([0, 1], 2)[None].repeat(4, 0)  # 4 × 4 cells of 8 pixels


def test_counts_are_those_of_the_images_that_the_model_could_do() -> None:
    made = comparison([spec((5, 4)), spec((2, 8))], (seen(QUARTERS), seen(HALVES)), (seen(QUARTERS), "It failed."))
    one, other = (counted(made, model) for model in (0, 1))
    assert one.counts.tolist() == [32, 32, 32, 32, 0] and (one.images, one.cells) == (2, 128)
    assert other.counts.tolist() == [8, 8] and (other.images, other.cells) == (1, 16)


def test_two_models_are_matched_on_the_images_that_both_could_do() -> None:
    made = comparison([spec((5, 4)), spec((2, 8))], ("It failed.", seen(HALVES)), (seen(QUARTERS), seen(HALVES)))
    both = on_both(made, 0, 1)
    assert [row.name for row in both.rows] == ["1.png"] and both.sizes == [(32, 32)]
    assert (both.here.stride, both.there.stride, both.here.codes) == (4, 8, 5)
    found = match(made, 0, 1).matching
    assert found.overlap.images == 1
    assert found.overlap.shared.toarray().tolist() == [[256, 0], [0, 256], [256, 0], [0, 256], [0, 0]]
    assert {(one.kind, one.here, one.there) for one in found.matches} == {
        ("merged", (0, 2), (0,)),
        ("merged", (1, 3), (1,)),
    }


def test_the_first_level_with_a_place_is_taken_and_said() -> None:
    several = spec((8, None), (6, 8), (4, 4))
    assert first_grid(several) == 1
    made = comparison([several, spec((4, 4))], (seen(np.zeros((1, 9)), HALVES, QUARTERS), seen(QUARTERS)))
    assert counted(made, 0).counts.tolist() == [8, 8, 0, 0, 0, 0]
    assert on_both(made, 0, 1).here.stride == 8
    assert "level 1" in assert_one_sentence(which_level("mine", several))
    assert which_level("mine", spec((4, 4))) == ""
    assert first_grid(two_levels().spec) == 0 and which_level("toy", toy_model().spec) == ""


def test_rows_of_tokens_cannot_be_matched_and_that_is_a_sentence() -> None:
    tokens = row_of_tokens().spec
    assert first_grid(tokens) is None
    made = comparison([tokens, spec((4, 4))], (seen(np.zeros((1, 16))), seen(QUARTERS)))
    assert counted(made, 0).cells == 16  # how often each is used is known all the same
    with pytest.raises(BadInput) as refusal:
        match(made, 0, 1)
    assert assert_one_sentence(refusal) == assert_one_sentence(which_level("model 0", tokens))


def test_where_no_image_was_done_by_both_it_is_said() -> None:
    made = comparison([spec((5, 4)), spec((2, 8))], ("It failed.", seen(HALVES)), (seen(QUARTERS), "It failed."))
    with pytest.raises(BadInput, match="no image that model 0 and model 1 both") as refusal:
        on_both(made, 0, 1)
    assert_one_sentence(refusal)
    broken = comparison([spec((5, 4)), spec((2, 8))], (seen(QUARTERS[:4]), seen(HALVES)))
    with pytest.raises(BadInput, match="does not cover") as refusal:
        match(broken, 0, 1)
    assert_one_sentence(refusal)


def test_the_seed_is_that_of_the_comparison() -> None:
    random = np.random.default_rng(0)
    rows = [(seen(random.integers(0, 3, (8, 8))), seen(random.integers(0, 3, (8, 8)))) for _ in range(6)]
    made = comparison([spec((3, 4)), spec((3, 4))], *rows)
    assert match(made, 0, 1).chance == match(made, 0, 1).chance


def test_a_matching_is_a_table() -> None:
    made = comparison([spec((5, 4)), spec((2, 8))], (seen(QUARTERS), seen(HALVES)))
    text = as_csv(COLUMNS, rows(match(made, 0, 1).matching))
    assert text.splitlines() == [
        "kind,codes_1,codes_2,overlap,cells_1,cells_2",
        "merged,0 2,0,1.0,32,8",
        "merged,1 3,1,1.0,32,8",
    ]
