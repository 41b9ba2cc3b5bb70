"""The reliance test: each ablation done another way, the verdict on models whose answer is known."""

import io
import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from explorer.base.job import Cancelled
from explorer.images.reconstruction import Quality
from explorer.images.sets import ImageSet, sample_set
from explorer.inputs import reliance
from explorer.inputs.reliance import Ablation, Effect, Reliance, Subject
from tests.conftest import CHECKPOINTS
from tests.known_decoders import known
from tests.toys import Heard, assert_one_sentence, toy_images, toy_model, toy_pixels
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import to_pixels, to_tensor
from vqvae.model import VQVAE
from vqvae.tokenizer import Encoding

ALL = tuple(Ablation(name, way) for name in reliance.INPUTS for way in reliance.WAYS)


def encode(model: VQVAE, height: int = 20, width: int = 24, *, seed: int = 0) -> Encoding:
    with torch.inference_mode():
        return model.encode(toy_images(1, height, width, seed=seed))


def subject(model: VQVAE, **changes: object) -> Subject:
    """5 × 6 cells, the other image 2 × 8, statistics of both."""
    one, other = encode(model), encode(model, 8, 32, seed=1)
    settings: dict = {"encoding": one, "statistics": reliance.statistics_of([one, other]), "partner": other}
    return Subject(**(settings | changes))


def cells_of(vectors: Tensor) -> np.ndarray:
    """[1, D, h, w] -> [h·w, D] in reading order."""
    return vectors[0].flatten(1).T.numpy()


# --- replacing --------------------------------------------------------------------------------------------------------


def test_the_statistics_are_those_of_all_cells_together() -> None:
    model = toy_model()
    encodings = [encode(model), encode(model, 8, 32, seed=1), encode(model, 4, 4, seed=2)]
    found = reliance.statistics_of(iter(encodings))
    codes = np.concatenate([cells_of(one.quantized) for one in encodings])
    residuals = np.concatenate([cells_of(one.embedding) - cells_of(one.quantized) for one in encodings])
    for moments, cells in ((found.quantized, codes), (found.residual, residuals)):
        np.testing.assert_allclose(moments.mean[:, 0, 0], cells.mean(0), atol=1e-6)
        np.testing.assert_allclose(moments.deviation[:, 0, 0], cells.std(0), atol=1e-6)


@pytest.mark.parametrize("ablation", ALL, ids=lambda one: f"{one.input}-{one.way}")
def test_an_ablation_replaces_one_input_and_leaves_the_other(ablation: Ablation) -> None:
    model = toy_model()
    one = subject(model)
    encoding, partner = one.encoding, one.partner
    assert partner is not None
    fed = one.feed(ablation)
    if ablation.input == "quantized":
        assert torch.equal(fed.embedding, encoding.embedding)
        before, after, other = encoding.quantized, fed.quantized, partner.quantized
        moments = one.statistics.quantized
    else:
        assert torch.equal(fed.quantized, encoding.quantized)
        before, other = encoding.embedding - encoding.quantized, partner.embedding - partner.quantized
        after, moments = fed.embedding - fed.quantized, one.statistics.residual
    assert after.shape == before.shape
    assert not torch.allclose(after, before, atol=1e-3)
    if ablation.way == "zero":
        assert not after.any()
    elif ablation.way == "mean":
        for cell in cells_of(after):
            np.testing.assert_allclose(cell, moments.mean[:, 0, 0], atol=1e-6)
    elif ablation.way == "shuffle":
        np.testing.assert_allclose(
            sorted(cells_of(after).tolist()), sorted(cells_of(before).tolist()), atol=1e-6, rtol=0
        )
    elif ablation.way == "another":
        for row, column in itertools.product(range(5), range(6)):
            wanted = other[0, :, row % 2, column % 8]
            torch.testing.assert_close(after[0, :, row, column], wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["quantized", "embedding"])
def test_the_noise_has_the_mean_and_the_variance_of_what_it_replaces(name: str) -> None:
    model = toy_model()
    large = encode(model, 400, 400)
    fed = replace(subject(model), encoding=large).feed(Ablation(name, "noise"))  # type: ignore[arg-type]
    statistics = subject(model).statistics
    noise, moments = (
        (fed.quantized, statistics.quantized)
        if name == "quantized"
        else (fed.embedding - fed.quantized, statistics.residual)
    )
    cells = cells_of(noise)
    np.testing.assert_allclose(cells.mean(0), moments.mean[:, 0, 0], atol=0.05)
    np.testing.assert_allclose(cells.std(0), moments.deviation[:, 0, 0], rtol=0.05)
    correlation = np.corrcoef(cells[:-1, 0], cells[1:, 0])[0, 1], np.corrcoef(cells[:, 0], cells[:, 1])[0, 1]
    assert np.abs(correlation).max() < 0.05  # neither over cells nor over the numbers of one


def test_the_same_seed_makes_the_same_picture_and_another_another() -> None:
    model = toy_model()
    one = subject(model)
    for way in ("noise", "shuffle"):
        ablation = Ablation("quantized", way)
        first, again = (reliance.picture_of(model, one, ablation, size=(19, 22)) for _ in range(2))
        assert first.shape == (19, 22, 3)
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(first, again)
        other = reliance.picture_of(model, replace(one, seed=1), ablation, size=(19, 22))
        assert (other != first).any()


def test_nothing_replaced_is_the_reconstruction_and_the_embedding_off_the_codes_alone() -> None:
    model = toy_model()
    one = subject(model)
    with torch.inference_mode():
        whole = model.decode(one.encoding.quantized, one.encoding.embedding)
        codes_alone = model.decode(one.encoding.quantized)
    for ablation, wanted in ((None, whole), (reliance.EMBEDDING_OFF, codes_alone)):
        np.testing.assert_array_equal(reliance.picture_of(model, one, ablation, size=(20, 24)), to_pixels(wanted)[0])


def test_the_only_input_of_a_classic_decoder_is_its_codes() -> None:
    model = toy_model(decoder_inputs="quantized")
    one = subject(model, inputs=1)
    assert [ablation.input for ablation in one.ablations] == ["quantized"] * 5
    for ablation in (None, *one.ablations):
        fed = one.feed(ablation)
        assert torch.equal(fed.quantized, fed.embedding)
    assert torch.equal(one.feed(None).quantized, one.encoding.quantized)


def test_without_another_image_there_is_no_such_ablation() -> None:
    one = subject(toy_model(), partner=None)
    assert [ablation.way for ablation in one.ablations] == ["zero", "mean", "noise", "shuffle"] * 2
    with pytest.raises(BadInput) as refusal:
        one.feed(Ablation("embedding", "another"))
    assert_one_sentence(refusal)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (2, 7), (5, 3), (7, 8)])
def test_another_grid_is_cropped_or_repeated(rows: int, columns: int) -> None:
    grid = torch.arange(6.0).view(1, 1, 2, 3)
    found = reliance.tiled(grid, rows, columns)
    assert found.shape == (1, 1, rows, columns)
    for row, column in itertools.product(range(rows), range(columns)):
        assert found[0, 0, row, column] == 3 * (row % 2) + column % 3


# --- measuring --------------------------------------------------------------------------------------------------------


def own_picture(model: VQVAE, one: Subject) -> np.ndarray:
    """What the model makes with nothing replaced: as the original, all that is replaced can only cost."""
    height, width = (4 * side for side in one.encoding.grid.shape[-2:])
    return reliance.picture_of(model, one, None, size=(height, width))


def test_each_figure_is_that_of_the_picture_behind_it() -> None:
    model, original = toy_model(), toy_pixels(20, 24)
    one = subject(model)
    heard = Heard()
    result = reliance.measure(model, one, original, progress=heard)
    assert heard.steps == [(done, 11) for done in range(1, 12)]
    assert tuple(effect.ablation for effect in result.effects) == ALL == one.ablations
    whole = own_picture(model, one)
    for quality, picture in [
        (result.whole, whole),
        *((e.quality, reliance.picture_of(model, one, e.ablation, size=(20, 24))) for e in result.effects),
    ]:
        error = np.mean((original.astype(float) - picture) ** 2) / 255**2
        assert quality.psnr == pytest.approx(-10 * math.log10(error), abs=1e-3)
        assert quality.ssim is not None
    for effect in result.effects:
        assert effect.drop == pytest.approx(result.whole.psnr - effect.quality.psnr)


def test_it_can_be_stopped_after_each_decode() -> None:
    model = toy_model()
    for last in (1, 6):
        heard = Heard(stop_at=last)
        with pytest.raises(Cancelled):
            reliance.measure(model, subject(model), toy_pixels(20, 24), progress=heard)
        assert heard.steps == [(done, 11) for done in range(1, last + 1)]


def test_equal_pictures_and_tiny_ones_have_figures_too() -> None:
    model = toy_model()
    one = Subject.alone(encode(model, 4, 4))
    result = reliance.measure(model, one, own_picture(model, one))
    assert result.whole == Quality(reliance.BEST_PSNR, None)
    assert all(math.isfinite(effect.drop) and effect.drop >= 0 for effect in result.effects)
    assert result.drop(Ablation("quantized", "shuffle")) == 0  # of one cell
    assert "–" in reliance.table(result)


# --- the verdict ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("uses both", "good"),
        ("ignores the embedding", "fair"),
        ("bypasses the codebook", "poor"),
        ("one input", "good"),
        ("cannot tell", "unsure"),
    ],
)
def test_the_verdict_on_models_whose_answer_is_known(kind: str, level: str) -> None:
    model = known(kind)
    one = subject(model, inputs=1 if kind == "one input" else 2)
    result = reliance.measure(model, one, own_picture(model, one))
    verdict = reliance.judge(result)
    assert (verdict.name, verdict.grade) == (kind, level)
    assert_one_sentence(verdict.sentence)
    assert f"{result.worth('quantized'):.1f} dB" in verdict.sentence
    if kind == "ignores the embedding":
        assert [result.drop(a) for a in one.ablations if a.input == "embedding"] == [0] * 5
    if kind == "bypasses the codebook":
        assert max(abs(result.drop(a) or 0) for a in one.ablations if a.input == "quantized") < 1


def judged(*, shuffled: float, another: float, off: float, inputs: int = 2) -> str:
    drops = {("quantized", "shuffle"): shuffled, ("quantized", "another"): another, ("embedding", "zero"): off}
    whole = Quality(30.0, 0.9)
    effects = tuple(
        Effect(ablation, Quality(30.0 - drop, 0.5), drop)
        for ablation in reliance.ablations(inputs=inputs, partner=True)
        for drop in [drops.get((ablation.input, ablation.way), 17.0)]  # what the others cost does not matter
    )
    return reliance.judge(Reliance(inputs, 1, whole, effects)).name


@pytest.mark.parametrize(
    ("shuffled", "another", "off", "name"),
    [
        (5.0, 1.0, 7.0, "uses both"),
        (1.0, 5.0, 7.0, "uses both"),
        (0.2, 0.1, 9.0, "bypasses the codebook"),
        (-1.0, -0.5, 9.0, "bypasses the codebook"),
        (1.4, 1.0, 8.6, "bypasses the codebook"),
        (1.6, 1.0, 8.4, "leans on the embedding"),
        (1.0, 2.4, 7.6, "leans on the embedding"),
        (1.0, 2.6, 7.4, "uses both"),
        (9.0, 9.0, 0.1, "ignores the embedding"),
        (9.0, 9.0, -3.0, "ignores the embedding"),
        (9.0, 9.0, 0.51, "uses both"),
        (0.3, 0.3, 0.6, "cannot tell"),
        (0.5, 0.5, 0.6, "uses both"),
    ],
)
def test_the_thresholds(shuffled: float, another: float, off: float, name: str) -> None:
    assert judged(shuffled=shuffled, another=another, off=off) == name


def test_the_thresholds_are_said() -> None:
    for number in ("15%", "25%", "0.5 dB", "1 dB"):
        assert number in reliance.THRESHOLDS


def test_a_single_input_that_does_not_matter_is_said_to() -> None:
    assert judged(shuffled=0.2, another=0.3, off=9, inputs=1) == "one input"


@pytest.mark.parametrize(
    ("name", "inputs", "verdict"),
    [
        ("photos", 2, "uses both"),
        ("photos-fine", 2, "uses both"),
        ("photos-classic", 1, "one input"),
        ("photos-bypass", 2, "bypasses the codebook"),
    ],
)
def test_the_verdict_on_the_shipped_checkpoints(name: str, inputs: int, verdict: str) -> None:
    model = checkpoint.load(CHECKPOINTS / name)
    result = reliance.measure_set(model, sample_set(), working_size=128, inputs=inputs, limit=4)
    assert reliance.judge(result.pooled).name == verdict


# --- a set ------------------------------------------------------------------------------------------------------------


def toy_set(count: int, *, broken: tuple[int, ...] = ()) -> ImageSet:
    """So many PNG files of two sizes, some of them broken, named by number."""

    def read(name: str) -> bytes:
        number = int(name)
        if number in broken:
            return b"no picture"
        buffer = io.BytesIO()
        Image.fromarray(toy_pixels(20 + 4 * (number % 2), 24, seed=number)).save(buffer, "PNG")
        return buffer.getvalue()

    return ImageSet("toys", "", "", tuple(map(str, range(count))), "", read)


def by_hand(model: VQVAE, numbers: list[int]) -> list[Reliance]:
    """The test of these images of the set, each with the next."""
    pixels = [toy_pixels(20 + 4 * (number % 2), 24, seed=number) for number in numbers]
    with torch.inference_mode():
        encodings = [model.encode(to_tensor(one)) for one in pixels]
    statistics = reliance.statistics_of(encodings)
    results = []
    for place, number in enumerate(numbers):
        partner = encodings[(place + 1) % len(numbers)] if len(numbers) > 1 else None
        one = Subject(encodings[place], statistics, partner, seed=number)
        result = reliance.measure(model, one, pixels[place])
        results.append(result)
    return results


@pytest.mark.parametrize(("count", "broken"), [(4, ()), (5, (0, 3, 4)), (1, ()), (3, (0, 2))])
def test_a_set_is_its_images_one_by_one(count: int, broken: tuple[int, ...]) -> None:
    model = toy_model()
    heard = Heard()
    result = reliance.measure_set(model, toy_set(count, broken=broken), working_size=64, progress=heard)
    numbers = [number for number in range(count) if number not in broken]
    assert result.names == tuple(map(str, numbers))
    assert [name for name, _ in result.unreadable] == list(map(str, broken))
    assert result.finished
    wanted = by_hand(model, numbers)
    assert list(result.single) == wanted
    assert result.pooled.images == len(numbers)
    assert result.pooled.whole.psnr == pytest.approx(np.mean([one.whole.psnr for one in wanted]))
    for place, effect in enumerate(result.pooled.effects):
        same = [one.effects[place] for one in wanted]
        assert {one.ablation for one in same} == {effect.ablation}
        assert effect.drop == pytest.approx(np.mean([one.drop for one in same]))
        assert effect.quality.ssim == pytest.approx(np.mean([one.quality.ssim for one in same]))
    told = heard.steps
    assert [total for _, total in told] == [12 * count] * len(told)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] <= 12 * count
    if not broken and count > 1:
        assert [done for done, _ in told] == list(range(1, 12 * count + 1))


def test_a_set_that_was_stopped_has_what_was_done() -> None:
    model, images = toy_model(), toy_set(3)
    whole = reliance.measure_set(model, images, working_size=64)
    for last, finished in ((1, 0), (3, 0), (4, 0), (13, 0), (14, 0), (15, 1), (26, 2), (35, 2)):
        stop = Heard(stop_at=last)
        if finished == 0:
            with pytest.raises(Cancelled):
                reliance.measure_set(model, images, working_size=64, progress=stop)
            continue
        part = reliance.measure_set(model, images, working_size=64, progress=stop)
        assert part.single == whole.single[:finished]
        assert part.pooled.images == finished
        assert not part.finished


def test_a_set_says_what_its_images_were_measured_with_even_when_it_was_stopped() -> None:
    """From the result alone each picture behind a figure can be made again."""
    model = toy_model()
    for last in (999, 42):  # 42: after the second of three that can be read
        images = toy_set(4, broken=(1,))
        result = reliance.measure_set(model, images, working_size=64, progress=Heard(stop_at=last))
        assert result.names == (("0", "2", "3") if last == 999 else ("0", "2"))
        for name, partner, seed, single in zip(result.names, result.partners, result.seeds, result.single, strict=True):
            pixels, other = (toy_pixels(20 + 4 * (int(one) % 2), 24, seed=int(one)) for one in (name, partner or ""))
            encoding, second = (model.encode(to_tensor(one)) for one in (pixels, other))
            subject = Subject(encoding, result.statistics, second, seed=seed)
            assert reliance.measure(model, subject, pixels) == single


def test_a_set_is_left_alone_once_it_was_stopped() -> None:
    for last in (1, 2, 4, 9):
        heard = Heard(stop_at=last)
        with pytest.raises(Cancelled):
            reliance.measure_set(toy_model(), toy_set(3), working_size=64, progress=heard)
        assert heard.steps == [(done, 36) for done in range(1, last + 1)]


def test_a_limit_spreads_over_the_set() -> None:
    model = toy_model()
    result = reliance.measure_set(model, toy_set(9), working_size=64, limit=3)
    assert result.names == ("0", "3", "6")
    assert result.asked == 3
    assert reliance.evenly("abc", 3) == reliance.evenly("abc", 7) == reliance.evenly("abc", None) == ("a", "b", "c")


def test_large_images_are_shrunk() -> None:
    result = reliance.measure_set(toy_model(), toy_set(2), working_size=10)
    assert result.pooled.whole.ssim is None  # smaller than its window


def test_a_set_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput) as refusal:
        reliance.measure_set(toy_model(), toy_set(2, broken=(0, 1)), working_size=64)
    assert_one_sentence(refusal)


@pytest.mark.parametrize(("items", "pairs"), [("", ""), ("a", "a-"), ("ab", "abba"), ("abc", "abbcca")])
def test_each_with_the_next(items: str, pairs: str) -> None:
    found = [(one, following or "-") for one, following in reliance.with_next(items)]
    assert "".join(a + b for a, b in found) == pairs


def test_table_and_json_say_the_same() -> None:
    model = toy_model()
    result = reliance.measure_set(model, toy_set(3, broken=(1,)), working_size=64)
    stored = json.loads(json.dumps(reliance.plain_set(result), allow_nan=False))
    lines = reliance.table(result.pooled).splitlines()
    assert [line.split()[-2] for line in lines[2:12]] == [f"{one['drop']:+.2f}" for one in stored["ablations"]]
    assert stored["verdict"]["sentence"] == lines[-1]
    assert stored["images"] == 2
    assert stored["asked"] == 3
    assert [one["name"] for one in stored["single"]] == ["0", "2"]
    assert [one["name"] for one in stored["skipped"]] == ["1"]
    assert sum(reliance.verdict_counts(result).values()) == 2


def test_the_ways_and_their_meanings_are_complete() -> None:
    for ablation in ALL:
        assert ablation.label
        assert ablation.meaning.endswith(".")


def test_a_better_picture_counts_as_no_worth() -> None:
    whole = Quality(20.0, None)
    better = tuple(Effect(a, Quality(22.0, None), -2.0) for a in reliance.ablations(inputs=2, partner=True))
    result = Reliance(2, 1, whole, better)
    assert result.worth("quantized") == result.worth("embedding") == 0
