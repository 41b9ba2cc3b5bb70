"""What stands in an input's place: each replacement done another way, and what it costs."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.images.sets import open_set
from explorer.inputs import manifold
from explorer.inputs.reliance.ablations import (
    BEST_PSNR,
    CODES_MEAN,
    CODES_OF_ANOTHER,
    CODES_SHUFFLED,
    EMBEDDING_OFF,
    MEANINGS,
    SAME_CODE,
    SHUFFLED_ALONE,
    Ablation,
    Cost,
    Draw,
    Met,
    Subject,
    ablations,
    cost_of,
    drawn,
    means_of,
    quality_of,
    replace_input,
    tiled,
)
from tests.known_decoders import drawing, toy_scene
from tests.toys import assert_one_sentence, open_toy, toy_images, toy_model, toy_pixels, write_toy_photos
from vqvae.errors import BadInput
from vqvae.images import to_pixels, to_tensor
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding

TWO = ablations(inputs=2)


def encode(model: VQVAE, height: int = 20, width: int = 24, *, seed: int = 0) -> Encoding:
    with torch.inference_mode():
        return model.encode(toy_images(1, height, width, seed=seed))


def subject(model: VQVAE, **changes: object) -> Subject:
    """5 × 6 cells, the other image 2 × 8, means of both, two draws."""
    one, other = encode(model), encode(model, 8, 32, seed=1)
    settings: dict = {
        "encoding": one,
        "means": means_of([one, other]),
        "partners": (("other", other), ("one", one)),
        "seeds": (7, 8),
    }
    return Subject(**(settings | changes))


def cells_of(vectors: Tensor) -> np.ndarray:
    """[1, D, h, w] -> [h·w, D] in reading order."""
    return vectors[0].flatten(1).T.numpy()


def first_draw(one: Subject, ablation: Ablation) -> Draw:
    return one.draws(ablation)[0][1]


# --- replacing --------------------------------------------------------------------------------------------------------


def test_the_means_are_those_of_all_cells_together() -> None:
    model = toy_model()
    encodings = [encode(model), encode(model, 8, 32, seed=1), encode(model, 4, 4, seed=2)]
    found = means_of(iter(encodings))
    for name in ("quantized", "embedding"):
        every = np.concatenate([cells_of(getattr(one, name)) for one in encodings])
        np.testing.assert_allclose(getattr(found, name)[0, :, 0, 0], every.mean(0), atol=1e-6)


@pytest.mark.parametrize("ablation", TWO, ids=lambda one: one.label)
def test_an_ablation_replaces_what_it_says_and_leaves_the_other(ablation: Ablation) -> None:
    one = subject(toy_model())
    encoding, other = one.encoding, one.partners[0][1]
    replaced = one.replaced(ablation, first_draw(one, ablation))
    fed = replaced.fed
    if ablation.input == "quantized":
        assert torch.equal(fed.embedding, encoding.embedding)
        before, after, theirs, mean = encoding.quantized, fed.quantized, other.quantized, one.means.quantized
    elif ablation.input == "embedding":
        assert torch.equal(fed.quantized, encoding.quantized)
        before, after, theirs, mean = encoding.embedding, fed.embedding, other.embedding, one.means.embedding
    else:
        assert torch.equal(fed.quantized, fed.embedding)
        before, after = encoding.quantized, fed.quantized
    assert after.shape == before.shape
    assert not torch.equal(after, before)
    if ablation.way == "off":
        assert torch.equal(after, encoding.quantized)
    elif ablation.way == "mean":
        for cell in cells_of(after):
            np.testing.assert_allclose(cell, mean[0, :, 0, 0], atol=1e-6)
    elif ablation.way == "shuffle":
        assert sorted(cells_of(after).tolist()) == sorted(cells_of(before).tolist())
    elif ablation.way == "another":
        for row, column in itertools.product(range(5), range(6)):
            assert torch.equal(after[0, :, row, column], theirs[0, :, row % 2, column % 8])
    moved = [not np.array_equal(a, b) for a, b in zip(cells_of(before), cells_of(after), strict=True)]
    assert replaced.moved == pytest.approx(np.mean(moved))


def crowd(numbers: list[int], first: float = 0) -> Encoding:
    """One row of cells with these codes; each has an embedding of its own, numbered from the first."""
    grid = torch.tensor([[numbers]])
    embedding = torch.arange(first, first + len(numbers)).expand(1, 2, 1, -1)
    return Encoding((grid,), embedding, grid[:, None].expand(1, 2, 1, -1).float())


@pytest.mark.parametrize("pool", [[], [[1, 4, 4, 6, 6]], [[2] * 3, [0, 9, 6]]], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_the_same_code_brings_the_embedding_of_another_cell_with_that_code(pool: list[list[int]], seed: int) -> None:
    numbers = [0, 1, 1, 2, 0, 2, 2, 0, 6, 5, 2, 0]
    own, others = crowd(numbers), [crowd(them, 100.0 * place) for place, them in enumerate(pool, 1)]
    settings: dict = {"means": means_of([own]), "pool": others}
    replaced = replace_input(own, SAME_CODE, draw=Draw(seed, None), **settings)
    assert torch.equal(replaced.fed.quantized, own.quantized)
    given = [tuple(cell) for cell in cells_of(replaced.fed.embedding)]
    owners: dict[tuple, tuple[int, int, int]] = {}
    for image, one in enumerate((own, *others)):
        for place, vector in enumerate(cells_of(one.embedding)):
            owners[tuple(vector)] = (image, place, int(one.grid.flatten()[place]))
    assert len(owners) == len(numbers) + sum(map(len, pool))
    every = [code for one in (numbers, *pool) for code in one]
    for place, (code, vector) in enumerate(zip(numbers, given, strict=True)):
        image, where, theirs = owners[vector]
        assert theirs == code
        assert ((image, where) == (0, place)) == (every.count(code) == 1)
    assert len(set(given)) == len(given)  # they are passed round, none is given twice
    assert replaced.moved == pytest.approx(np.mean([every.count(code) > 1 for code in numbers]))


def test_the_same_seed_makes_the_same_picture_and_another_another() -> None:
    model = toy_model()
    one = subject(model)
    for ablation in TWO:
        pictures = []
        for seeds in ((7,), (7,), (8,)):
            again = replace(one, seeds=seeds, partners=one.partners[:1])
            fed = again.replaced(ablation, first_draw(again, ablation)).fed
            pictures.append(drawn(model, fed, size=(19, 22)))
        first, same, other = pictures
        assert first.shape == (19, 22, 3) and first.dtype == np.uint8
        np.testing.assert_array_equal(first, same)
        random = ablation.is_drawn and ablation.way != "another"
        assert (other != first).any() == random


def test_each_draw_is_another_one() -> None:
    one = subject(toy_model())
    for ablation in TWO:
        draws = one.draws(ablation)
        assert len(draws) == (2 if ablation.is_drawn else 1)
        if ablation.way == "another":
            assert [(name, draw.partner) for name, draw in draws] == list(one.partners)
        elif ablation.is_drawn:
            assert [draw.seed for _, draw in draws] == [7, 8]
            first, second = (one.replaced(ablation, draw).fed for _, draw in draws)
            assert not (
                torch.equal(first.quantized, second.quantized) and torch.equal(first.embedding, second.embedding)
            )


def test_nothing_replaced_is_the_reconstruction_and_the_embedding_off_the_codes_alone() -> None:
    model = toy_model()
    one = subject(model)
    encoding = one.encoding
    with torch.inference_mode():
        whole, alone = model.decode(encoding.quantized, encoding.embedding), model.decode(encoding.quantized)
    off = one.replaced(EMBEDDING_OFF, first_draw(one, EMBEDDING_OFF)).fed
    np.testing.assert_array_equal(drawn(model, one.whole(), size=(20, 24)), to_pixels(whole)[0])
    np.testing.assert_array_equal(drawn(model, off, size=(20, 24)), to_pixels(alone)[0])


def test_the_only_input_of_a_classic_decoder_is_its_codes() -> None:
    model = toy_model(decoder_inputs="quantized")
    one = subject(model, inputs=1)
    assert ablations(inputs=1) == (CODES_MEAN, CODES_SHUFFLED, CODES_OF_ANOTHER)
    for ablation in ablations(inputs=1):
        fed = one.replaced(ablation, first_draw(one, ablation)).fed
        assert torch.equal(fed.quantized, fed.embedding)
    assert torch.equal(one.whole().embedding, one.encoding.quantized)


def test_without_another_image_it_is_not_drawn() -> None:
    one = subject(toy_model(), partners=())
    for ablation in TWO:
        assert bool(one.draws(ablation)) == (ablation.way != "another")
    with pytest.raises(BadInput) as refusal:
        one.replaced(CODES_OF_ANOTHER, Draw(0, None))
    assert_one_sentence(refusal)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (2, 7), (5, 3), (7, 8)])
def test_another_grid_is_cropped_or_repeated(rows: int, columns: int) -> None:
    found = tiled(torch.arange(6.0).view(1, 1, 2, 3), rows, columns)
    assert found.shape == (1, 1, rows, columns)
    for row, column in itertools.product(range(rows), range(columns)):
        assert found[0, 0, row, column] == 3 * (row % 2) + column % 3


def test_every_ablation_says_what_it_is() -> None:
    assert set(TWO) == set(MEANINGS) >= set(ablations(inputs=1))
    assert len({one.label for one in TWO}) == len(TWO)
    ways = [{one.way for one in TWO if one.input == name} for name in ("quantized", "embedding")]
    assert ways[0] == {"mean", "shuffle", "another"}  # the same for both,
    assert ways[1] - ways[0] == {"off", "same code"}  # and what only the embedding has
    for one in TWO:
        assert one.meaning.endswith(".")


# --- costs ------------------------------------------------------------------------------------------------------------


def cost(model: VQVAE, one: Subject, ablation: Ablation, original: np.ndarray, *, met: Met | None = None) -> Cost:
    whole = drawn(model, one.whole(), size=original.shape[:2])
    name, draw = one.draws(ablation)[0]
    quality = quality_of(original, whole)
    return cost_of(model, one, ablation, name, draw, original=original, whole=whole, quality=quality, met=met)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other) ** 2) / 255**2
    return -10 * math.log10(error)


@pytest.mark.parametrize("ablation", TWO, ids=lambda one: one.label)
def test_each_cost_is_that_of_the_picture_behind_it(ablation: Ablation) -> None:
    model, original = toy_model(), toy_pixels(20, 24)
    one = subject(model)
    found = cost(model, one, ablation, original)
    replaced = one.replaced(ablation, first_draw(one, ablation))
    picture, whole = (drawn(model, fed, size=(20, 24)) for fed in (replaced.fed, one.whole()))
    assert found.quality.psnr == pytest.approx(psnr(original, picture), abs=1e-3)
    assert found.drop == pytest.approx(psnr(original, whole) - psnr(original, picture), abs=2e-3)
    assert found.moved == replaced.moved
    assert found.seed == (7 if ablation.is_drawn else None)
    assert found.partner == ("other" if ablation.way == "another" else "")
    assert found.beyond is None
    if ablation == CODES_OF_ANOTHER:
        other = one.partners[0][1]
        theirs = Encoding((), tiled(other.embedding, 5, 6), tiled(other.quantized, 5, 6))
        their_picture = drawn(model, replace(one, encoding=theirs).whole(), size=(20, 24))
        assert found.to_embedding == pytest.approx(psnr(whole, picture), abs=1e-3)
        assert found.to_codes == pytest.approx(psnr(their_picture, picture), abs=1e-3)
    else:
        assert found.to_embedding is found.to_codes is None


def test_costs_are_signed() -> None:
    """Where the embedding only harms, switching it off brings the picture closer, and the cost says so."""
    original = toy_scene(3)
    costs = {}
    for kind in ("ignores the codes", "second path negated"):
        tokenizer = drawing(kind)
        encoding = tokenizer.encode(to_tensor(original))
        one = Subject(encoding, means_of([encoding]))
        whole = drawn(tokenizer, one.whole(), size=original.shape[:2])
        quality = quality_of(original, whole)
        costs[kind] = cost_of(
            tokenizer,
            one,
            EMBEDDING_OFF,
            "",
            first_draw(one, EMBEDDING_OFF),
            original=original,
            whole=whole,
            quality=quality,
        )
    assert costs["ignores the codes"].drop > 2
    assert costs["second path negated"].drop < -2


def test_equal_pictures_have_a_finite_quality() -> None:
    picture = toy_pixels(20, 24)
    assert quality_of(picture, picture).psnr == BEST_PSNR == 60


def test_how_far_from_training_is_the_meters_share(tmp_path: Path) -> None:
    model = toy_model()
    photos = open_set(write_toy_photos(tmp_path / "photos"))
    fed = manifold.measure_fed(open_toy(model), photos, blends=lambda number, _: torch.zeros(number), working_size=64)
    reference = fed.reference
    met = Met(Codebook.of(model), reference)
    one = subject(model)
    for ablation in (CODES_MEAN, SAME_CODE, SHUFFLED_ALONE):
        fed = one.replaced(ablation, first_draw(one, ablation)).fed
        found = cost(model, one, ablation, toy_pixels(20, 24), met=met)
        assert found.beyond == manifold.measure(fed, met.codebook, reference).share
