"""Which input each of several decoders follows, side by side: their figures, and what lies between them."""

import csv
import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from explorer.base.bootstrap import Estimate
from explorer.base.open_model import of_tokenizer
from explorer.base.tables import as_csv
from explorer.compare import inputs
from explorer.compare.inputs import COMPARED, ONE_INPUT, Row, Side, figures_by_image, plain_rows, rows, verdicts
from explorer.images.sets import ImageSet
from explorer.inputs import manifold
from explorer.inputs.reliance.ablations import Met
from explorer.inputs.reliance.measure import Settings, measure_set
from explorer.inputs.reliance.measure import Tested as Subject
from explorer.inputs.reliance.report import Provenance, Report
from tests.known_decoders import known, mixing, scene_set, toy_scenes
from tests.toy_tokenizers import row_of_tokens, two_levels
from tests.toys import assert_one_sentence, open_toy
from vqvae.errors import BadInput
from vqvae.search import Codebook
from vqvae.served import Served
from vqvae.tokenizer import Tokenizer, blend

SETTINGS = Settings(partners=1, working_size=48, blend=0.5, cells=16)


def found_on(
    tokenizer: Tokenizer, images: ImageSet, *, met: Met | None = None, settings: Settings = SETTINGS
) -> Report:
    evidence = measure_set(Subject(tokenizer, Codebook.of(tokenizer), met), images, settings)
    return Report.of(evidence, Provenance("toy", "ab" * 32, images.label, images.identity, "a command"))


def side(number: int, tokenizer: Tokenizer, images: ImageSet) -> Side:
    return Side(number, f"toy {number}", found_on(tokenizer, images))


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return toy_scenes(8)


@pytest.fixture(scope="module")
def sides(scenes: list[np.ndarray]) -> list[Side]:
    """A stem that takes 0.3 of the embedding on all scenes, one that takes 0.6 on all but two, and one input."""
    return [
        side(1, mixing(0.3), scene_set(scenes)),
        side(2, mixing(0.6), scene_set(scenes[2:])),
        side(3, known("one input"), scene_set(scenes)),
    ]


def row(found: Sequence[Row], name: str) -> Row:
    [one] = [one for one in found if one.name == name]
    return one


def estimate(value: Estimate | str | None) -> Estimate:
    assert isinstance(value, Estimate)
    return value


def test_each_models_figures_are_those_of_its_own_test(sides: list[Side]) -> None:
    found = rows(sides)
    for place, one in enumerate(sides):
        summary = one.report.summary
        for name, figure in summary.figures.items():
            if name in COMPARED:
                assert row(found, name).values[place] == figure
        if summary.now is not None:
            assert row(found, "embedding_share").values[place] == summary.now.embedding
            assert row(found, "code_size").values[place] == summary.now.code_size


def test_shares_that_are_known_differ_by_what_is_known(sides: list[Side]) -> None:
    found = rows(sides)
    share = estimate(row(found, "embedding_share").values[0])
    assert share.value == pytest.approx(0.5 * 0.3, abs=0.001)  # at a blend of one half
    apart = estimate(row(found, "embedding_share").differences[1].estimate)
    assert apart.value == pytest.approx(0.5 * (0.6 - 0.3), abs=0.001)
    assert apart.above(0)


def test_a_difference_is_the_mean_over_the_images_that_both_were_tested_on(sides: list[Side]) -> None:
    first, second = ({image.digest: image.codes_only.psnr for image in one.report.evidence.images} for one in sides[:2])
    shared = first.keys() & second.keys()
    assert len(shared) == 6 and len(first) == 8
    apart = row(rows(sides), "codes_only").differences[1]
    assert estimate(apart.estimate).value == pytest.approx(np.mean([second[one] - first[one] for one in shared]))
    assert estimate(apart.estimate).images == 6
    assert row(rows(sides), "codes_only").differences[0].same


def test_a_pairs_interval_is_that_of_its_differences_and_narrower_than_those_of_the_two(sides: list[Side]) -> None:
    found = row(rows([sides[0], sides[0], sides[1]]), "whole")
    same = estimate(found.differences[1].estimate)
    assert (same.value, same.low, same.high) == (0, 0, 0)  # though each of the two varies from image to image
    own, apart = estimate(found.values[0]), estimate(found.differences[2].estimate)
    assert own.low is not None and own.high is not None and apart.low is not None and apart.high is not None
    assert apart.high - apart.low < own.high - own.low


def test_the_other_way_round_it_is_the_same_with_the_other_sign(sides: list[Side]) -> None:
    there, back = rows(sides, base=0), rows(sides, base=1)
    for one, other in zip(there, back, strict=True):
        if one.differences[1].estimate is None:
            assert other.differences[0].estimate is None
            continue
        this, that = estimate(one.differences[1].estimate), estimate(other.differences[0].estimate)
        assert this.value == pytest.approx(-that.value)
        assert this.low == pytest.approx(-(that.high or 0)) and this.high == pytest.approx(-(that.low or 0))


def test_a_decoder_with_one_input_says_what_does_not_apply(sides: list[Side]) -> None:
    found = rows(sides)
    for name in ("embedding_share", "code_share", "code_size", "embedding_only", "embedding_worth", "codes_gain"):
        assert row(found, name).values[2] == ONE_INPUT
        assert row(found, name).differences[2].estimate is None
    for name in ("whole", "codes_only", "codes_worth"):
        assert estimate(row(found, name).values[2]).images == len(sides[2].report.evidence.counted)
    assert not [one for one in found if one.name == "beyond"]  # of no model: it is not known what training fed


def test_without_an_image_in_common_there_is_no_difference(scenes: list[np.ndarray]) -> None:
    apart = [side(1, mixing(0.3), scene_set(scenes[:3])), side(2, mixing(0.6), scene_set(scenes[3:6]))]
    assert all(one.differences[1].estimate is None for one in rows(apart))


def test_of_one_picture_there_are_figures_and_no_intervals(scenes: list[np.ndarray]) -> None:
    one = [side(number, mixing(number / 4), scene_set(scenes[:1])) for number in (1, 2)]
    for found in rows(one):
        for value in (*found.values, found.differences[1].estimate):
            if isinstance(value, Estimate):
                assert value.low is None and value.images == 1


def test_the_share_beyond_training_is_the_meters_at_the_blend_at_hand(scenes: list[np.ndarray]) -> None:
    model, images = mixing(0.3), scene_set(scenes[:3])
    codebook = Codebook.of(model)
    known = manifold.measure_fed(
        open_toy(model), scene_set(scenes[4:]), blends=lambda n, _: torch.full((n,), 0.5), working_size=48
    )
    reference = known.reference

    def shares(weight: float) -> list[float]:
        return [
            manifold.measure(
                manifold.DecoderInputs(found.quantized, blend(found, weight)), codebook, reference, weight=weight
            ).share
            for found in (model.encode(torch.from_numpy(scene).movedim(-1, 0)[None] / 255) for scene in scenes[:3])
        ]

    report = found_on(model, images, met=Met(codebook, reference))
    expected = shares(SETTINGS.blend)
    assert list(figures_by_image(report)["beyond"].values()) == pytest.approx(expected)
    assert np.mean(expected) < np.mean(shares(1.0))  # a blend that training never drew
    other = found_on(model, images)
    found = row(rows([Side(1, "known", report), Side(2, "unknown", other)]), "beyond")
    assert estimate(found.values[0]).value == pytest.approx(np.mean(expected))
    assert found.values[1] == "not known" and found.differences[1].estimate is None


def test_all_models_can_be_shown_the_same_pixels(scenes: list[np.ndarray]) -> None:
    images, model = scene_set(scenes[:2]), of_tokenizer(Served(mixing(0.3)), name="toy")
    report = inputs.tested_on(model, images, SETTINGS, data="scenes", only=(32, 24))
    assert {(image.height, image.width) for image in report.evidence.images} == {(32, 24)}
    whole = inputs.tested_on(model, images, SETTINGS, data="scenes")
    assert {(image.height, image.width) for image in whole.evidence.images} == {scenes[0].shape[:2]}


@pytest.mark.parametrize(("make", "words"), [(two_levels, "2 levels"), (row_of_tokens, "a row of tokens")])
def test_what_has_no_grid_is_refused_in_a_sentence(make, words: str, scenes: list[np.ndarray]) -> None:
    model = of_tokenizer(Served(make()), name="toy")
    with pytest.raises(BadInput) as refusal:
        inputs.tested_on(model, scene_set(scenes[:1]), SETTINGS, data="scenes")
    assert words in assert_one_sentence(refusal)


def test_rows_for_other_programs_hold_every_figure_and_every_pair(sides: list[Side]) -> None:
    plain = plain_rows(sides)
    found = list(csv.DictReader(io.StringIO(as_csv(inputs.COLUMNS, plain), newline="")))
    assert len(found) == len(plain)
    pairs = {(one["model"], one["minus"]) for one in found if one["minus"]}
    assert pairs == {("toy 2", "toy 1"), ("toy 3", "toy 1"), ("toy 3", "toy 2")}
    [share] = [one for one in found if (one["figure"], one["model"], one["minus"]) == ("whole", "toy 2", "toy 1")]
    assert float(share["value"]) == estimate(row(rows(sides), "whole").differences[1].estimate).value
    assert {one["says"] for one in found if one["model"] == "toy 3" and not one["value"]} == {ONE_INPUT}
    assert [one["part"] for one in verdicts(sides)] == ["follows", "stands_alone"] * 3


def test_the_curves_are_written_down_blend_by_blend(sides: list[Side]) -> None:
    written = inputs.curve_rows(sides)
    assert [(one["model"], one["blend"]) for one in written] == [
        (side.name, blend) for side in sides[:2] for blend in (0.25, 0.5, 0.75, 1.0)
    ]
    shares = [one["follows the embedding"] for one in written[:4]]
    assert shares == pytest.approx([0.3 * blend for blend in (0.25, 0.5, 0.75, 1.0)], abs=0.001)
