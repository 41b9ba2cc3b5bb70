"""Neighbourhoods: the lift against counted pairs, the laws that it keeps, verdicts on grids whose order is known."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import Tensor

from explorer.base.job import Cancelled
from explorer.base.open_model import open_folder
from explorer.base.verdict import Grade
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture
from explorer.images.samples import SAMPLES
from explorer.inputs import neighbours
from explorer.inputs.neighbours import AROUND, FILE, Neighbourhoods
from tests.conftest import CHECKPOINTS
from tests.toys import Heard, assert_one_sentence, toy_codebook, toy_images, toy_model
from vqvae.errors import BadInput
from vqvae.search import Codebook

CHECKPOINT = "a" * 64
K = 8
CODES = Codebook(toy_codebook(K, 4))


def waves(count: int, *, seed: int = 0, rows: int = 10, columns: int = 12) -> list[np.ndarray]:
    """Grids in which the codes count up along the diagonals: each cell follows from any of its neighbours, but for one
    cell in two hundred, which has any code."""
    random = np.random.default_rng(seed)
    places = np.add.outer(np.arange(rows), np.arange(columns))
    grids = [(places + random.integers(K)) % K for _ in range(count)]
    return [np.where(random.random(grid.shape) < 0.005, random.integers(K, size=grid.shape), grid) for grid in grids]


@pytest.fixture(scope="module")
def learned() -> Neighbourhoods:
    return neighbours.learn(waves(64), CODES)


def shuffled(grid: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(grid.ravel()).reshape(grid.shape)


# --- the lift ---------------------------------------------------------------------------------------------------------


def test_around_a_cell_are_its_neighbours_in_order_and_beyond_the_grid_what_is_outside() -> None:
    grid = torch.arange(12).view(3, 4)
    found = neighbours.neighbours_of(grid, outside=99)
    for row in range(3):
        for column in range(4):
            for place, (down, across) in enumerate(AROUND):
                inside = 0 <= row + down < 3 and 0 <= column + across < 4
                wanted = grid[row + down, column + across].item() if inside else 99
                assert found[row * 4 + column, place] == wanted
    assert len(set(AROUND)) == 8 and (0, 0) not in AROUND


def test_the_lift_is_what_counting_pairs_gives() -> None:
    """Grids of two cells, left and right, of a joint distribution that is known."""
    random = np.random.default_rng(0)
    joint = np.array([[8, 1, 1], [1, 4, 3], [2, 1, 9]], float)
    joint /= joint.sum()
    drawn = random.choice(9, 20_000, p=joint.ravel())
    grids = [np.array([[pair // 3, pair % 3]]) for pair in drawn]
    found = neighbours.learn(grids, Codebook(toy_codebook(3, 4)))
    anywhere = (joint.sum(0) + joint.sum(1)) / 2
    np.testing.assert_allclose(found.log_usage.exp(), anywhere, atol=0.01)
    for left in range(3):
        for right in range(3):
            lifts = found.log_lifts(torch.tensor([[left, right]]))[0]
            of_left = joint[left, right] / joint[:, right].sum() / anywhere[left]
            of_right = joint[left, right] / joint[left].sum() / anywhere[right]
            assert lifts.tolist() == pytest.approx(np.log([of_left, of_right]).tolist(), abs=0.25)


def around_of(grid: np.ndarray) -> Tensor:
    return neighbours.neighbours_of(torch.from_numpy(grid), outside=K)


def each_code_amid(learned: Neighbourhoods, around: Tensor) -> Tensor:
    """The log of the lift of every code amid the same neighbours: [N, 8] -> [N, K]."""
    lifts = [learned.log_lifts_amid(around, torch.full((len(around),), code)) for code in range(len(learned.codebook))]
    return torch.stack(lifts, 1)


def test_whatever_the_neighbours_the_shares_of_all_codes_add_up(learned: Neighbourhoods) -> None:
    lifts = each_code_amid(learned, around_of(shuffled(waves(1)[0])))
    torch.testing.assert_close((lifts + learned.log_usage).logsumexp(1), torch.zeros(len(lifts)), atol=1e-4, rtol=0)


def test_the_code_that_follows_from_the_neighbours_is_lifted_most(learned: Neighbourhoods) -> None:
    grid = np.add.outer(np.arange(10), np.arange(12)) % K
    best = each_code_amid(learned, around_of(grid)).argmax(1)
    assert (best == torch.from_numpy(grid).flatten()).float().mean() > 0.98


def test_what_was_never_counted_is_read_off_codes_that_are_alike() -> None:
    twins = CODES.vectors + 0.05 * torch.randn(CODES.vectors.shape, generator=torch.Generator().manual_seed(1))
    found = neighbours.learn(waves(64), Codebook(torch.cat([CODES.vectors, twins])))
    grid = torch.from_numpy(waves(1, seed=9)[0])
    amid = neighbours.neighbours_of(grid, outside=2 * K)
    best = each_code_amid(found, amid)[:, K:].argmax(1)  # of the twins, none of which was ever seen
    assert (best == grid.flatten()).float().mean() > 0.95
    assert (found.log_lifts(grid + K) > 0).float().mean() > 0.95  # amid each other


def test_a_sum_over_a_draw_of_the_codes_stands_for_the_whole(
    learned: Neighbourhoods, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = torch.from_numpy(waves(1, seed=5)[0])
    exact = learned.log_lifts(grid)
    many = Codebook(CODES.vectors.repeat(700, 1))  # 5,600 codes, each one of the eight
    usage = (learned.log_usage - np.log(700)).repeat(700)
    large = Neighbourhoods(learned.weights, usage, many, learned.odd, 1, 1)
    found = large.log_lifts_amid(neighbours.neighbours_of(grid, outside=len(many)), grid.flatten()).view(grid.shape)
    assert len(large._candidates[0]) == neighbours.CANDIDATES < len(many)
    torch.testing.assert_close(found, exact, atol=0.15, rtol=0)


def test_it_is_learned_from_a_draw_of_the_codes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CANDIDATES", 6)
    found = neighbours.learn(waves(64), CODES)
    assert len(found._candidates[0]) == 6
    monkeypatch.setattr(neighbours, "CANDIDATES", 4096)
    exact = Neighbourhoods(found.weights, found.log_usage, CODES, found.odd, 1, 1)
    best = each_code_amid(exact, around_of(np.add.outer(np.arange(10), np.arange(12)) % K)).argmax(1)
    assert (best.view(10, 12) == torch.from_numpy(np.add.outer(np.arange(10), np.arange(12)) % K)).float().mean() > 0.9


# --- learning ---------------------------------------------------------------------------------------------------------


def test_one_photo_in_eight_is_held_out_and_the_limit_is_theirs() -> None:
    grids = waves(17)
    for place in (0, 8, 16):
        grids[place] = shuffled(grids[place])
    found = neighbours.learn(grids, CODES)
    assert (found.images, found.held_out) == (14, 3)
    lifts = np.concatenate([found.log_lifts(torch.from_numpy(grids[place])).ravel() for place in (0, 8, 16)])
    assert found.odd == pytest.approx(np.quantile(lifts, 0.01), abs=1e-5)
    assert found.odd < neighbours.learn(waves(17), CODES).odd == -np.log(4)  # what is in order is not odd


def test_the_same_seed_learns_the_same() -> None:
    one, two, three = (neighbours.learn(waves(4), CODES, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert one.odd == two.odd
    assert not torch.equal(one.weights["key"], three.weights["key"])


def test_a_single_photo_is_refused_and_the_work_can_be_stopped() -> None:
    with pytest.raises(BadInput) as refusal:
        neighbours.learn(waves(1), CODES)
    assert_one_sentence(refusal)
    heard = Heard()
    neighbours.learn(waves(4), CODES, progress=heard)
    total = heard.steps[-1][1]
    assert heard.steps == [(step, total) for step in range(1, total + 1)]
    with pytest.raises(Cancelled):
        neighbours.learn(waves(4), CODES, progress=Heard(stop_at=2))


@pytest.mark.parametrize(("most", "kept"), [(10, [0, 1, 2, 3, 4]), (3, [0, 2, 4]), (2, [0, 3]), (1, [0])])
def test_of_very_many_photos_some_are_kept_evenly(most: int, kept: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST_IMAGES", most)
    model = toy_model()
    encodings = [model.encode(toy_images(1, 16, 20, seed=seed)) for seed in range(5)]
    assert [place for place in range(5) if place % neighbours.one_in(5) == 0] == kept
    for encoding in encodings:
        assert np.array_equal(neighbours.grid_of(encoding, Codebook.of(model)), encoding.grid[0])


# --- kept beside the model --------------------------------------------------------------------------------------------


def test_saving_and_loading_is_nothing(learned: Neighbourhoods, tmp_path: Path) -> None:
    neighbours.save(tmp_path, learned, checkpoint=CHECKPOINT)
    found = neighbours.load(tmp_path, CODES, checkpoint=CHECKPOINT)
    assert found is not None
    grid = torch.from_numpy(shuffled(waves(1)[0]))
    assert torch.equal(found.log_lifts(grid), learned.log_lifts(grid))
    assert (found.odd, found.images, found.held_out) == (learned.odd, learned.images, learned.held_out)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).stat().st_size < 200_000


def test_without_a_file_or_of_another_model_it_is_none(learned: Neighbourhoods, tmp_path: Path) -> None:
    assert neighbours.load(tmp_path, CODES, checkpoint=CHECKPOINT) is None
    neighbours.save(tmp_path, learned, checkpoint=CHECKPOINT)
    assert neighbours.load(tmp_path, CODES, checkpoint="b" * 64) is None
    assert neighbours.load(tmp_path, Codebook(toy_codebook(9, 4)), checkpoint=CHECKPOINT) is None
    assert neighbours.load(tmp_path, Codebook(toy_codebook(8, 5)), checkpoint=CHECKPOINT) is None
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    assert neighbours.load(tmp_path, CODES, checkpoint=CHECKPOINT) is None


def test_cut_off_anywhere_it_is_none(learned: Neighbourhoods, tmp_path: Path) -> None:
    neighbours.save(tmp_path, learned, checkpoint=CHECKPOINT)
    whole = (tmp_path / FILE).read_bytes()
    for length in (*range(0, len(whole), 4999), len(whole) - 1):
        (tmp_path / FILE).write_bytes(whole[:length])
        assert neighbours.load(tmp_path, CODES, checkpoint=CHECKPOINT) is None
    (tmp_path / FILE).write_bytes(whole + b"\0")
    assert neighbours.load(tmp_path, CODES, checkpoint=CHECKPOINT) is None


@pytest.mark.parametrize(
    ("tensors", "about"),
    [
        ({"key": None}, {}),
        ({"key": np.zeros((64, 128), np.float32)}, {}),
        ({"key": np.zeros((64, 127), np.float16)}, {}),
        ({"key": np.full((64, 128), np.nan, np.float16)}, {}),
        ({"log_usage": np.full(8, -np.inf, np.float16)}, {}),
        ({"another": np.zeros(3, np.float16)}, {}),
        ({}, {"odd": "much"}),
        ({}, {"odd": "nan"}),
        ({}, {"odd": "0.5"}),
        ({}, {"odd": ""}),
        ({}, {"images": "-1"}),
        ({}, {"held_out": "some"}),
        ({}, {"checkpoint": ""}),
    ],
)
def test_what_makes_no_sense_is_none(
    learned: Neighbourhoods, tensors: dict[str, Any], about: dict[str, str], tmp_path: Path
) -> None:
    neighbours.save(tmp_path, learned, checkpoint=CHECKPOINT)
    sound = safetensors.numpy.load((tmp_path / FILE).read_bytes())
    usual = {"checkpoint": CHECKPOINT, "odd": "-2.5", "images": "3", "held_out": "1"}
    (tmp_path / FILE).write_bytes(safetensors.numpy.save(sound, usual))
    assert neighbours.load(tmp_path, CODES, checkpoint=CHECKPOINT) is not None
    changed = {name: part for name, part in (sound | tensors).items() if part is not None}
    (tmp_path / FILE).write_bytes(safetensors.numpy.save(changed, usual | about))
    assert neighbours.load(tmp_path, CODES, checkpoint=CHECKPOINT) is None


# --- verdicts on what is known ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_new_grids_of_the_same_kind_are_good_and_shuffled_or_random_ones_poor(
    learned: Neighbourhoods, seed: int
) -> None:
    (grid,) = waves(1, seed=100 + seed)
    random = np.random.default_rng(seed).integers(K, size=grid.shape)
    for codes, grade in ((grid, "good"), (shuffled(grid, seed), "poor"), (random, "poor")):
        found = neighbours.measure(codes, learned)
        assert found.verdict.grade == grade
        assert found.rare == (found.log_lifts < 0).mean()
        assert np.array_equal(found.odd, found.log_lifts < learned.odd)
        assert_one_sentence(found.verdict.sentence)


def test_one_edited_cell_is_odd_with_a_code_that_does_not_belong_and_not_with_its_own(learned: Neighbourhoods) -> None:
    places = np.add.outer(np.arange(10), np.arange(12)) % K
    wrong = 0
    for row in range(1, 9):
        for shift in (2, 4, 6):
            grid, edited = places.copy(), np.zeros(places.shape, bool)
            edited[row, row] = True
            assert neighbours.measure(grid, learned, edited=edited).verdict.grade == "good"
            grid[row, row] = (grid[row, row] + shift) % K
            assert neighbours.measure(grid, learned).verdict.grade == "good"  # lost among all the others
            found = neighbours.measure(grid, learned, edited=edited)
            wrong += found.odd[row, row]
            assert (found.verdict.grade == "poor") == found.odd[row, row]
            if found.odd[row, row]:
                assert "1 of 1 edited cell has a code" in found.verdict.sentence
    assert wrong >= 22  # of 24


def test_a_grid_of_one_code_has_no_order_to_lose() -> None:
    flat = [np.full((6, 6), code % K) for code in range(64)]
    found = neighbours.measure(np.full((5, 7), 3), neighbours.learn(flat, CODES))
    assert (found.verdict.grade, found.rare, found.rare_shuffled) == ("good", 0, 0)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 9), (2, 2), (3, 2)])
def test_few_cells_are_judged_as_well(learned: Neighbourhoods, shape: tuple[int, int]) -> None:
    grid = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % K
    found = neighbours.measure(grid, learned, edited=np.ones(shape, bool))
    assert found.log_lifts.shape == found.odd.shape == shape
    assert np.isfinite(found.log_lifts).all()
    assert found.verdict.grade == "good"


def test_one_cell_and_one_code_cannot_be_told() -> None:
    alone = Neighbourhoods({}, torch.zeros(1), Codebook(torch.ones(1, 4)), -2.0, 1, 1)
    for found, why in (
        (neighbours.measure(np.zeros((3, 4), np.int64), alone), "a single code"),
        (neighbours.measure(np.zeros((1, 1), np.int64), replace(alone, codebook=CODES)), "a single cell"),
    ):
        assert found.verdict.grade == "unsure"
        assert why in found.verdict.sentence
        assert not found.odd.any() and not found.log_lifts.any()
        assert not found.oddness(alone).any()
        assert_one_sentence(found.verdict.sentence)
    assert neighbours.learn([np.zeros((3, 4), np.int64)] * 3, Codebook(torch.ones(1, 4))).odd == -np.log(4)


@dataclass(frozen=True)
class Told:
    """Neighbourhoods that say what they are told to."""

    lifts: np.ndarray
    rare_shuffled: float
    odd: float = -2.0
    codebook: Codebook = CODES
    images: int = 7
    held_out: int = 1

    def log_lifts(self, indices: Tensor) -> Tensor:
        return torch.from_numpy(self.lifts).view(indices.shape)

    def shuffled_log_lifts(self, indices: Tensor) -> Tensor:
        return torch.where(torch.arange(1000) < 1000 * self.rare_shuffled, -1.0, 1.0)


def told(rare: int, rare_shuffled: float, *, odd: int = 0, edited: int = 0) -> neighbours.Neighbourhood:
    """A verdict on 100 cells, the first so many of them rare, odd, edited."""
    places = np.arange(100)
    lifts = np.where(places < odd, -3.0, np.where(places < rare, -1.0, 1.0)).astype(np.float32)
    mask = (places < edited).reshape(10, 10)
    return neighbours.measure(np.zeros((10, 10), np.int64), Told(lifts, rare_shuffled), edited=mask)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rare", "rare_shuffled", "grade"), [
    (0, 0.9, "good"), (30, 0.9, "good"), (31, 0.9, "fair"), (50, 0.9, "fair"), (51, 0.9, "poor"), (100, 1.0, "poor"),
    (25, 0.42, "good"), (25, 0.41, "fair"), (15, 0.2, "fair"), (16, 0.2, "poor"), (10, 0.11, "poor"),
    (10, 0.1, "good"), (31, 0.1, "fair"), (0, 0.0, "good"),
])  # fmt: skip
def test_the_grade_is_a_matter_of_how_many_are_rare_and_how_many_would_be(
    rare: int, rare_shuffled: float, grade: Grade
) -> None:
    found = told(rare, rare_shuffled)
    assert found.verdict.grade == grade
    assert found.rare == pytest.approx(rare / 100)
    assert f"{rare} of 100 cells" in found.verdict.sentence
    assert f"it would be {rare_shuffled:.0%}" in found.verdict.sentence
    assert found.verdict.sentence.startswith(neighbours.OPENINGS[grade])


@pytest.mark.parametrize(("odd", "edited", "grade"), [
    (0, 10, "good"), (1, 10, "good"), (2, 10, "fair"), (3, 10, "fair"), (4, 10, "poor"), (1, 1, "poor"),
    (20, 0, "good"),
])  # fmt: skip
def test_edited_cells_are_judged_by_themselves(odd: int, edited: int, grade: Grade) -> None:
    found = told(20, 0.9, odd=odd, edited=edited)
    assert found.verdict.grade == grade
    assert ("edited" in found.verdict.sentence) == (grade != "good")
    assert found.odd.sum() == odd


def test_oddness_runs_from_as_often_as_anywhere_to_odd() -> None:
    lifts = np.array([[1.0, 0.0, -1.0, -2.0, -9.0]], np.float32)
    found = neighbours.measure(np.zeros((1, 5), np.int64), Told(lifts, 0.5))  # type: ignore[arg-type]
    assert found.oddness(Told(lifts, 0.5)).tolist() == [[0, 0, 0.5, 1, 1]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lift", "words"),
    [
        (12, "12 times more often"),
        (3.5, "3.5 times more often"),
        (1 / 16, "16 times rarer"),
        (1, "1.0 times more often"),
    ],
)
def test_a_lift_in_words(lift: float, words: str) -> None:
    assert neighbours.in_times(float(np.log(lift))) == words


# --- what comes with the app ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", sorted(path.parent for path in CHECKPOINTS.glob(f"*/{FILE}")), ids=lambda f: f.name)
def test_what_comes_with_a_checkpoint_is_its_own_and_tells_a_photo_from_the_same_codes_shuffled(folder: Path) -> None:
    model = open_folder(folder)
    learned = neighbours.load(folder, model.codebook, checkpoint=model.fingerprint)
    assert learned is not None
    assert (folder / FILE).stat().st_size < 1 << 20
    for sample in SAMPLES[:2]:
        picture = open_picture(sample.read(), sample.file, working_size=256)
        grid = encode_picture(model.tokenizer, picture).encoding.grid[0].numpy()
        assert neighbours.measure(grid, learned).verdict.grade == "good"
        assert neighbours.measure(shuffled(grid), learned).verdict.grade == "poor"
