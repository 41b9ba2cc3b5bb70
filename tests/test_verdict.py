"""The verdict: on decoders whose answer is known, on untrained ones many times over, and where there is none."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from explorer.base.bootstrap import Estimate
from explorer.base.job import Cancelled
from explorer.base.open_model import open_folder
from explorer.images import reconstruction
from explorer.images.sets import evenly, sample_set
from explorer.inputs.reliance import measure as measuring
from explorer.inputs.reliance import report, verdict
from explorer.inputs.reliance import subject as opening
from explorer.inputs.reliance.ablations import CODES_SHUFFLED, EMBEDDING_OFF, SAME_CODE, Ablation, means_of
from explorer.inputs.reliance.measure import (
    EncodedImage,
    Evidence,
    Settings,
    evidence_of,
    measure_image,
    measure_set,
    passes,
    with_following,
)
from explorer.inputs.reliance.verdict import Finding, Following, Judgement, Summary, explain, judge, summarize
from tests.conftest import CHECKPOINTS
from tests.known_decoders import drawing, flat_scene, known, scene_set, toy_scene, toy_scenes
from tests.toys import Heard, assert_one_sentence, toy_model
from vqvae.errors import BadInput
from vqvae.images import to_pixels, to_tensor
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Tokenizer, cells

FEW = Settings(partners=2, working_size=64)


def subject(tokenizer: Tokenizer) -> measuring.Tested:
    return measuring.Tested(tokenizer, Codebook.of(tokenizer))


def evidence(tokenizer: Tokenizer, scenes: Sequence[np.ndarray | None], settings: Settings = FEW) -> Evidence:
    return measure_set(subject(tokenizer), scene_set(scenes), settings)


def names(judgement: Judgement) -> tuple[str, str]:
    return judgement.follows.name, judgement.alone.name


# --- decoders whose answer is known -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "follows", "alone"),
    [
        ("ignores the embedding", "follows the codes", "does as well without the embedding"),
        ("ignores the codes", "bypasses the codebook", "draws from the codes alone"),
        ("ignores both", "ignores both", "draws nothing from the codes"),
        ("mixes half and half", "follows both", "draws from the codes alone"),
        ("mixes 9 : 1", "follows the codes", "draws from the codes alone"),
        ("mixes 1 : 9", "bypasses the codebook", "draws from the codes alone"),
        ("direction of the embedding", "bypasses the codebook", "draws from the codes alone"),
        ("second path negated", "goes against the embedding", "the embedding harms"),
        ("codes negated", "goes against the codes", "draws from the codes alone"),
        ("second path scaled by 0.01", "follows the codes", "does as well without the embedding"),
        ("residual alone", "cannot tell", "undecided"),
        ("brighter where the code is right", "bypasses the codebook", "the codes harm"),
    ],
)
def test_the_verdict_on_decoders_whose_answer_is_known(kind: str, follows: str, alone: str) -> None:
    judgement = judge(evidence(drawing(kind), toy_scenes(10)))
    assert names(judgement) == (follows, alone)
    for part in judgement.parts:
        assert part.sentence.endswith(".")
        assert part.sentence.isprintable()


def test_codes_in_one_half_and_the_embedding_in_the_other_are_said_to_be_in_different_places() -> None:
    found = evidence(drawing("codes left, embedding right"), toy_scenes(40))
    follows = judge(found).follows
    assert follows.name == "follows both"
    assert "in different places" in follows.sentence
    half = judge(evidence(drawing("mixes half and half"), toy_scenes(10))).follows
    assert "in different places" not in half.sentence
    led = [cell.changes[-1].code_share for image in found.images for cell in image.moved]
    assert set(np.round(led, 3)) == {0, 1}
    assert f"the code leads at {np.mean(led):.0%} of the cells" in follows.sentence


def test_a_codebook_that_is_bypassed_is_told_from_one_that_is_read_apart() -> None:
    """Two that follow the embedding: one reads nothing else, the other draws the residual's colours as details, too."""

    def with_details(quantized: Tensor, embedding: Tensor) -> Tensor:
        residual = embedding - quantized
        return embedding + torch.cat([torch.zeros_like(residual[:, :3]), 0.6 * residual[:, :3], residual[:, :3]], 1)

    plain = drawing("ignores the codes")
    bypass, apart = (judge(evidence(one, toy_scenes(24))).follows for one in (plain, replace(plain, draw=with_details)))
    assert bypass.name == "bypasses the codebook"
    assert apart.name == "follows the embedding"
    assert "reads code and embedding apart" in apart.sentence


@pytest.mark.parametrize(
    ("blend", "name"), [(0.0, "follows the codes"), (0.5, "follows both"), (1.0, "bypasses the codebook")]
)
def test_the_verdict_is_of_the_blend_at_hand(blend: float, name: str) -> None:
    found = evidence(drawing("ignores the codes"), toy_scenes(8), replace(FEW, blend=blend))
    follows = judge(found).follows
    assert follows.name == name
    assert f"at a blend of {blend:.0%}" in follows.sentence
    assert [one.blend for one in summarize(found).following] == sorted({0.25, 0.5, 0.75, 1.0, blend})


def test_a_classic_decoder_has_one_input() -> None:
    found = evidence(known("one input"), toy_scenes(8))
    assert judge(found).follows.name == "one input"
    assert explain(summarize(found)) == ""
    assert {cost.ablation.input for image in found.images for cost in image.costs} == {"quantized"}
    assert all(image.moved == () for image in found.images)


# --- the shipped checkpoints ------------------------------------------------------------------------------------------


def shipped(name: str) -> measuring.Tested:
    model = open_folder(CHECKPOINTS / name)
    folder = opening.find_twin(model, CHECKPOINTS)
    assert (folder is not None) == (name in ("photos", "photos-bypass"))
    return opening.tested(model, None if folder is None else open_folder(folder))


SMALL = Settings(partners=1, working_size=96, images=6, cells=4)


def test_the_verdict_on_the_shipped_checkpoints() -> None:
    found = {name: judge(measure_set(shipped(name), sample_set(), SMALL)) for name in ("photos", "photos-bypass")}
    assert found["photos"].follows.name == "follows the embedding"
    assert "reads code and embedding apart" in found["photos"].follows.sentence
    assert found["photos-bypass"].follows.name == "bypasses the codebook"
    classic = judge(measure_set(shipped("photos-classic"), sample_set(), SMALL))
    assert names(classic) == ("one input", "draws from the codes")


def test_an_embedding_that_harms_is_said_to_with_its_figure() -> None:
    photos = shipped("photos")
    with torch.no_grad():
        photos.tokenizer.decoder.stem.from_embedding.weight.mul_(-1)  # type: ignore[attr-defined]
    found = measure_set(photos, sample_set(), SMALL)
    judgement, summary = judge(found), summarize(found)
    assert names(judgement) == ("goes against the embedding", "the embedding harms")
    worth = summary.figures["embedding_worth"]
    assert -8 < worth.value < -4
    assert (
        f"{-worth.value:.1f} [{-(worth.high or 0):.1f}, {-(worth.low or 0):.1f}] dB closer" in judgement.alone.sentence
    )
    assert summary.now is not None
    assert summary.now.embedding.value == pytest.approx(-1, abs=0.2)


# --- how often the verdict is false -----------------------------------------------------------------------------------

SEEDS, SAMPLE, MANY = 200, 8, 64


def untrained(seed: int) -> VQVAE:
    """Weights at random; codes out of its own embeddings, and a second path between that of the codes and any other."""
    model = toy_model(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        every = cells(model.encoder(blots(1_000_000 + seed, 16)))
        model.codebook.copy_(every[torch.randperm(len(every), generator=generator)[: len(model.codebook)]])
        stem = model.decoder.stem
        mixed, other = stem.from_quantized.weight, stem.from_embedding.weight  # type: ignore[union-attr]
        share = 2 * torch.rand(1, generator=generator) - 0.5
        other.copy_(share * mixed + 0.5 * torch.rand(1, generator=generator) * other)  # type: ignore[operator, arg-type]
    return model


def blots(seed: int, number: int) -> Tensor:
    """[N, 3, 24, 24] in [0, 1], in steps of 1 / 255."""
    colours = torch.rand(number, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (functional.interpolate(colours, size=(24, 24), mode="bilinear") * 255).round() / 255


def originals_of(model: VQVAE, images: Tensor, seed: int) -> Tensor:
    """Pictures that this toy draws well, with some noise, at a blend that the seed says: so an input may be worth
    much, nothing, or less than nothing."""
    generator = torch.Generator().manual_seed(seed)
    found, weight = model.encode(images), 2.5 * torch.rand(1, generator=generator).item() - 1
    drawn = model.decode(found.quantized, found.quantized.lerp(found.embedding, weight))
    noise = 0.1 * torch.randn(drawn.shape, generator=torch.Generator().manual_seed(len(images) + seed))
    return ((drawn + noise).clamp(0, 1) * 255).round() / 255


def from_sample(model: VQVAE, images: Tensor, originals: Tensor) -> Judgement:
    """As the test judges a few images."""
    one, settings = subject(model), Settings(partners=1)
    opened = [
        EncodedImage(str(place), to_pixels(original)[0], model.encode(image))
        for place, (image, original) in enumerate(zip(images.split(1), originals.split(1), strict=True))
    ]
    means = means_of([image.encoding for image in opened])
    measured = [
        measure_image(one, image, others, means=means, settings=settings, number=place)
        for place, (image, *others) in enumerate(with_following(opened, 1))
    ]
    return judge(evidence_of(one, settings, measured))


def from_many(model: VQVAE, images: Tensor, originals: Tensor) -> Judgement:
    """The same rule for the means over many images, each taken for exact; measured again, all images at once."""
    found = model.encode(images)
    quantized, embedding, number = found.quantized, found.embedding, len(images)
    order = torch.rand(number, 36, generator=torch.Generator().manual_seed(0)).argsort(1)[:, None].expand(-1, 4, -1)
    shuffled = quantized.flatten(2).gather(2, order).view_as(quantized)

    def psnr(first: Tensor, second: Tensor) -> Tensor:
        drawn = (model.decode(first, second) * 255).round() / 255
        return (-10 * (drawn - originals).square().mean((1, 2, 3)).log10()).clamp(max=60)

    whole, alone = psnr(quantized, embedding), psnr(quantized, quantized)
    others = torch.stack([psnr(one, embedding) for one in (shuffled, quantized.roll(-1, 0))]).mean(0)
    figures = {
        "whole": whole,
        "codes_only": alone,
        "embedding_worth": whole - alone,
        "codes_worth": whole - others,
        "codes_gain": alone - psnr(shuffled, shuffled),
    }
    counts = (shuffled != quantized).any(1).float().mean((1, 2)) >= measuring.FLAT
    exact = {name: sure(values[counts].mean().item(), int(counts.sum())) for name, values in figures.items()}
    return judge(
        Evidence(inputs=2, settings=Settings(), images=(), stride=4, codes=8, asked=number),
        Summary(
            inputs=2,
            images=int(counts.sum()),
            blend=1.0,
            **at_all_borders(model, quantized, embedding, found.grid, counts),  # type: ignore[arg-type]
            figures=exact,
            costs={},
            beyond={},
        ),
    )


def sure(value: float, images: int) -> Estimate:
    return Estimate(value, value, value, images)


def at_all_borders(
    model: VQVAE, quantized: Tensor, embedding: Tensor, grid: Tensor, counts: Tensor
) -> dict[str, object]:
    """The boundary test on every cell at a border, each alone in a picture of its own."""
    distances = torch.cdist(cells(embedding).double(), model.codebook.double())
    nearest, codes = distances.topk(2, largest=False)
    at_border = (nearest[:, 1] <= 1.05 * nearest[:, 0]) & (codes[:, 0] != codes[:, 1])
    at_border &= counts.repeat_interleave(36)
    place = at_border.nonzero()[:, 0]
    image, row, column = place // 36, place % 36 // 6, place % 6
    step = torch.zeros(len(place), 4, 6, 6)
    step[torch.arange(len(place)), :, row, column] = model.codebook[codes[place, 1]] - model.codebook[codes[place, 0]]
    q, z = quantized[image], embedding[image]
    before = model.decoder(q, z).double()
    a, e, b = (
        (model.decoder(q + code * step, z + other * step) - before).flatten(1)
        for code, other in ((1, 0), (0, 1), (1, 1))
    )
    sums = torch.stack([(a * b).sum(1), (e * b).sum(1), (a * a).sum(1), (b * b).sum(1), (a + e - b).square().sum(1)])
    by_image = torch.zeros(5, len(grid), dtype=torch.float64).index_add(1, image, sums)
    by_image = by_image[:, by_image[3] > 0]
    shares = [(by_image[which] / by_image[3]).mean().item() for which in (0, 1)]
    sizes = [(by_image[which] / by_image[3]).sqrt().mean().item() for which in (2, 4)]
    images = by_image.shape[1]
    led = [(sums[which] / sums[3] >= verdict.LED).double().mean().item() for which in (0, 1)]
    return {
        "border_cells": len(place),
        "levels": 255 * (sums[3].mean() / 48).sqrt().item(),
        "code_levels": 255 * (sums[2].mean() / 48).sqrt().item(),
        "code_led": led[0],
        "embedding_led": led[1],
        "following": (Following(1.0, *(sure(value, images) for value in (*shares, *sizes))),) if images else (),
    }


OPEN = ("undecided", "cannot tell", "one picture")


def contradicts(small: Finding, large: Finding) -> bool:
    """Whether a verdict says what is not so; one that leaves open whether the code is read apart may be either."""
    if small.name in OPEN or small.name == large.name:
        return False
    leaves_open = "whether it reads the code apart is undecided" in small.sentence
    return not (leaves_open and large.name == "bypasses the codebook")


@torch.inference_mode()
def test_few_images_seldom_give_a_false_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 untrained toys at most one in twenty is judged by 8 images in another way than by 64 others."""
    monkeypatch.setattr(measuring, "BLENDS", (1.0,))  # the verdict asks for no curve,
    monkeypatch.setattr(reconstruction, "WINDOW", 1000)  # nor for SSIM
    said: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for seed in range(SEEDS):
        model = untrained(seed)
        some, others = blots(2_000_000 + seed, SAMPLE), blots(3_000_000 + seed, MANY)
        few = from_sample(model, some, originals_of(model, some, seed))
        many = from_many(model, others, originals_of(model, others, seed))
        for part, small, large in zip(("follows", "alone"), few.parts, many.parts, strict=True):
            said[f"{part}: {'open' if small.name in OPEN else small.name}"] += 1
            if contradicts(small, large):
                false[f"{part}: {small.name}, and it {large.name}"] += 1
    sys.stdout.write(f"{dict(said)}\nfalse: {dict(false)}\n")
    for part in ("follows", "alone"):
        assert said[f"{part}: open"] < 0.5 * SEEDS, said
        assert sum(number for name, number in false.items() if name.startswith(part)) <= 0.05 * SEEDS, false


# --- cannot tell, undecided, one picture ------------------------------------------------------------------------------

MIXED = "mixes half and half"


def both_say(found: Evidence, name: str, *words: str) -> None:
    """Both parts have this name, and say why in one sentence, or more with their figures."""
    judgement = judge(found)
    assert names(judgement) == (name, name)
    for part in judgement.parts:
        assert part.grade == "unsure"
        assert part.sentence.isprintable()
        for word in words:
            assert word in part.sentence


def test_a_flat_picture_says_nothing() -> None:
    found = evidence(drawing(MIXED), [flat_scene()])
    both_say(found, "cannot tell", "this picture is flat to this model")
    assert_one_sentence(judge(found).follows.sentence)


def test_neither_does_a_set_of_them() -> None:
    found = evidence(drawing(MIXED), [flat_scene(level) for level in range(20, 200, 20)])
    assert len(found.images) == 9
    both_say(found, "cannot tell", "none of the 9 images", "flat")


@pytest.mark.parametrize("scenes", [1, 8])
def test_neither_do_pictures_to_a_single_code(scenes: int) -> None:
    both_say(evidence(drawing(MIXED, codes=1), toy_scenes(scenes)), "cannot tell", "a single code")


def test_neither_do_pictures_to_codes_that_are_all_alike() -> None:
    alike = drawing(MIXED)
    alike = replace(alike, codes=alike.codes[:1].repeat(32, 1))
    both_say(evidence(alike, toy_scenes(1)), "cannot tell", "0% of its cells change")
    both_say(evidence(alike, toy_scenes(8)), "cannot tell", "none of the 8 images")


def test_neither_does_a_single_cell() -> None:
    found = evidence(drawing(MIXED), toy_scenes(1, height=4, width=4))
    both_say(found, "cannot tell", "a single cell")
    both_say(evidence(drawing(MIXED), toy_scenes(7, height=3, width=4)), "cannot tell", "none of the 7 images")


def test_flat_pictures_among_others_are_set_aside() -> None:
    scenes = toy_scenes(8)
    found = evidence(drawing(MIXED), [*scenes, flat_scene(), flat_scene(60)])
    assert [image.name for image in found.counted] == [f"{number}.png" for number in range(8)]
    summary = summarize(found)
    assert summary.images == 8
    assert summary.figures["whole"].value == pytest.approx(np.mean([image.whole.psnr for image in found.images[:8]]))
    assert names(judge(found)) == ("follows both", "draws from the codes alone")


def test_one_picture_is_no_evidence_and_has_its_figures() -> None:
    found = evidence(drawing(MIXED), toy_scenes(1))
    both_say(found, "one picture", "One picture is no evidence")
    (image,) = found.images
    assert {cost.ablation.way for cost in image.costs} == {"off", "mean", "shuffle", "same code"}  # no other image's
    summary = summarize(found)
    assert all(one.low is None for one in (*summary.figures.values(), *summary.costs.values()))
    assert summary.now is not None
    assert f"{summary.now.embedding.value:.2f}" in judge(found).follows.sentence
    assert f"{summary.figures['codes_only'].value:.1f} dB" in judge(found).alone.sentence


def test_equal_pictures_count_once() -> None:
    found = evidence(drawing(MIXED), [toy_scene(1)] * 7)
    assert [image.name for image in found.images] == ["0.png"]
    assert found.repeated == tuple((f"{number}.png", "0.png") for number in range(1, 7))
    assert found.finished
    both_say(found, "one picture", "(6 more repeat it)")


def test_too_few_pictures_are_undecided() -> None:
    found = evidence(drawing(MIXED), [*toy_scenes(4), toy_scene(2), None])
    both_say(found, "undecided", "only 4 images say anything (1 more repeat one of them)", "needs 6")
    assert (len(found.images), len(found.repeated), len(found.unreadable), found.asked) == (4, 1, 1, 6)
    alone = evidence(drawing(MIXED), [toy_scene(0), flat_scene()])
    both_say(alone, "undecided", "only 1 image says anything")


def test_as_many_as_are_needed_decide() -> None:
    assert names(judge(evidence(drawing(MIXED), toy_scenes(6)))) == ("follows both", "draws from the codes alone")


def test_tiny_pictures_have_figures_but_no_ssim() -> None:
    found = evidence(drawing(MIXED), toy_scenes(12, height=9, width=8))
    assert {cost.quality.ssim for image in found.images for cost in image.costs} == {None}
    assert {image.grid for image in found.images} == {(3, 2)}
    assert judge(found).alone.name == "draws from the codes alone"


def test_no_cell_at_a_border() -> None:
    """Codes that are the embeddings of the only colours that there are."""
    tokenizer = drawing(MIXED)
    colours = torch.zeros(2, 9)
    colours[1, 0] = 1.0
    tokenizer = replace(tokenizer, codes=colours)
    scenes = []
    for number in range(8):
        chosen = np.random.default_rng(number).integers(0, 2, (10, 12))
        picture = tokenizer.decode(tokenizer.lookup((torch.from_numpy(chosen)[None],)))
        scenes.append(to_pixels(picture)[0])
    judgement = judge(evidence(tokenizer, scenes))
    assert judgement.follows.name == "cannot tell"
    assert "no cell lies at a border" in judgement.follows.sentence


def test_too_few_pictures_with_a_border() -> None:
    found = evidence(drawing(MIXED), toy_scenes(8))
    bare = replace(found, images=tuple(replace(image, moved=()) for image in found.images[:5]) + found.images[5:])
    follows = judge(bare).follows
    assert follows.name == "cannot tell"
    assert "only 3 of the 8 images have cells at a border" in follows.sentence


@pytest.mark.parametrize("broken", [(0,), (2, 3), (7,), (0, 1, 7)])
def test_what_cannot_be_read_is_left_out(broken: tuple[int, ...]) -> None:
    scenes: list[np.ndarray | None] = list(toy_scenes(8))
    for place in broken:
        scenes[place] = None
    found = evidence(drawing(MIXED), scenes)
    assert [name for name, _ in found.unreadable] == [f"{place}.png" for place in broken]
    assert [image.name for image in found.images] == [f"{place}.png" for place in range(8) if place not in broken]
    assert found.finished
    for _, reason in found.unreadable:
        assert_one_sentence(reason)


def test_a_set_of_nothing_is_refused() -> None:
    for scenes in ([None], [None] * 3):
        with pytest.raises(BadInput) as refusal:
            evidence(drawing(MIXED), scenes)
        assert "None of the images can be read" in assert_one_sentence(refusal)


# --- a set, and a stop ------------------------------------------------------------------------------------------------


def test_a_set_is_its_images_one_by_one() -> None:
    """Each with the images after it as the others, and seeds of its own."""
    model, scenes, settings = toy_model(), toy_scenes(4), replace(FEW, seed=3)
    heard = Heard()
    found = measure_set(subject(model), scene_set(scenes), settings, progress=heard)
    opened = [EncodedImage(f"{place}.png", one, model.encode(to_tensor(one))) for place, one in enumerate(scenes)]
    means = means_of([one.encoding for one in opened])
    for place, image in enumerate(found.images):
        others = [opened[(place + 1) % 4], opened[(place + 2) % 4]]
        assert image == measure_image(
            subject(model), opened[place], others, means=means, settings=settings, number=place
        )
        assert [cost.partner for cost in image.costs if cost.ablation.way == "another"] == [
            one.name for one in others
        ] * 2
    seeds = [cost.seed for image in found.images for cost in image.costs_of(CODES_SHUFFLED)]
    assert len(set(seeds)) == len(seeds) == 8
    each = passes(settings, inputs=2)
    assert {total for _, total in heard.steps} == {4 * (1 + each)}
    done = [step for step, _ in heard.steps]
    assert done == sorted(done)
    assert done[-1] == 4 * (1 + each)


def test_a_stop_keeps_the_images_that_were_measured() -> None:
    model, images = toy_model(), scene_set([*toy_scenes(2), None, toy_scene(2), toy_scene(0)])
    whole = measure_set(subject(model), images, FEW)
    assert whole.finished
    each = passes(FEW, inputs=2)
    for last in range(1, 5 + 3 * each + 1, 3):
        kept = max(0, (last - 6) // each)  # an image is measured when the step after its last is reached
        if not kept:
            with pytest.raises(Cancelled):
                measure_set(subject(model), images, FEW, progress=Heard(stop_at=last))
            continue
        part = measure_set(subject(model), images, FEW, progress=Heard(stop_at=last))
        assert part.images == whole.images[:kept]
        assert not part.finished
        assert (part.asked, part.unreadable, part.repeated) == (5, whole.unreadable, whole.repeated)
        assert "partial" in report.counted(part)
    assert "partial" not in report.counted(whole)


def test_how_many_images_there_may_be() -> None:
    model, images = toy_model(), scene_set(toy_scenes(9))
    found = measure_set(subject(model), images, replace(FEW, images=3))
    assert [image.name for image in found.images] == ["0.png", "3.png", "6.png"]
    assert (found.asked, found.finished) == (3, True)
    assert evenly("abc", 3) == evenly("abc", 7) == evenly("abc", None) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("items", "most", "groups"),
    [
        ("a", 0, "a"),
        ("ab", 1, "ab ba"),
        ("abc", 1, "ab bc ca"),
        ("abcd", 2, "abc bcd cda dab"),
        ("abc", 2, "abc bca cab"),
    ],
)
def test_each_with_those_that_follow(items: str, most: int, groups: str) -> None:
    assert [*map("".join, with_following(items, most))] == groups.split()


def test_another_set_of_the_same_pixels_has_the_same_hash() -> None:
    model = toy_model()
    found = [
        measure_set(subject(model), scene_set(scenes, names=name), FEW).digest
        for scenes, name in ((toy_scenes(2), "{}.png"), (toy_scenes(2), "other {}"), (toy_scenes(2, first=1), "{}.png"))
    ]
    assert found[0] == found[1] != found[2]


# --- intervals and lines ----------------------------------------------------------------------------------------------


def following(code: tuple[float, float], embedding: tuple[float, float], size: float = 0.5) -> Summary:
    """What 12 images say, at the middle of these intervals."""
    ends = [Estimate(sum(one) / 2, *one, 12) for one in (code, embedding)]
    figures = {name: sure(5.0, 12) for name in ("whole", "codes_only", "embedding_worth", "codes_worth", "codes_gain")}
    return Summary(
        inputs=2,
        images=12,
        blend=1.0,
        border_cells=96,
        levels=9.0,
        code_levels=5.0,
        code_led=0.0,
        embedding_led=1.0,
        following=(Following(1.0, *ends, sure(size, 12), sure(0.1, 12)),),
        figures=figures,
        costs={},
        beyond={},
    )


NO_IMAGES = Evidence(inputs=2, settings=Settings(), images=(), stride=4, codes=8, asked=12)


@pytest.mark.parametrize(
    ("code", "embedding", "size", "name"),
    [
        ((-0.1, 0.1), (0.9, 1.1), 0.5, "follows the embedding"),
        ((-0.1, 0.1), (0.9, 1.1), 0.1, "bypasses the codebook"),
        ((0.9, 1.1), (-0.1, 0.1), 1.0, "follows the codes"),
        ((0.3, 0.5), (0.5, 0.7), 0.5, "follows both"),
        ((0.25, 0.5), (0.25, 0.7), 0.5, "follows both"),
        ((0.2, 0.5), (0.5, 0.7), 0.5, "undecided"),
        ((0.5, 0.7), (0.2, 0.5), 0.5, "undecided"),
        ((-0.3, 0.1), (0.9, 1.1), 0.5, "undecided"),
        ((0.9, 1.1), (-0.3, 0.1), 0.5, "undecided"),
        ((1.9, 2.1), (-1.1, -0.9), 2.0, "goes against the embedding"),
        ((-1.1, -0.9), (1.9, 2.1), 1.0, "goes against the codes"),
        ((-0.1, 0.1), (-0.1, 0.1), 0.1, "follows neither alone"),
    ],
)
def test_each_name_asks_for_intervals_clear_of_its_lines(
    code: tuple[float, float], embedding: tuple[float, float], size: float, name: str
) -> None:
    summary = following(code, embedding, size)
    follows = judge(NO_IMAGES, summary).follows
    assert follows.name == name
    for low, high in (code, embedding):
        for end in (low, high):
            assert f"{end:.2f}".replace("-", "−") in follows.sentence
    assert ("more images would likely settle it" in follows.sentence) == (name == "undecided")


def test_undecided_says_how_many_more_images_would_settle_it() -> None:
    follows = judge(NO_IMAGES, following((0.2, 0.5), (0.5, 0.7))).follows
    assert follows.sentence.endswith("About 15 more images would likely settle it.")  # 12 · (0.15 / 0.10)² = 27
    on_the_line = judge(NO_IMAGES, following((0.15, 0.35), (0.5, 0.7))).follows
    assert on_the_line.sentence.endswith("the mean lies on the line.")


@pytest.mark.parametrize(
    ("figures", "name"),
    [
        ({"embedding_worth": (-3, -1)}, "the embedding harms"),
        ({"embedding_worth": (-3, 0.1)}, "undecided"),
        ({"embedding_worth": (0.1, 3)}, "undecided"),
        ({"embedding_worth": (-0.4, -0.1)}, "does as well without the embedding"),
        ({"embedding_worth": (-0.4, 0.4)}, "does as well without the embedding"),
        ({"codes_worth": (-3, -1)}, "the codes harm"),
        ({"codes_worth": (-0.4, -0.1)}, "draws from the codes alone"),
        ({"codes_gain": (-1, 0.9)}, "draws nothing from the codes"),
        ({"codes_gain": (0.5, 1.4)}, "undecided"),
        ({"against_twin": (-0.9, 0.3), "twin": (4, 6)}, "stands on the codes alone"),
        ({"against_twin": (-3, -1.1), "twin": (4, 6)}, "falls short on the codes alone"),
        ({"against_twin": (-1.4, -0.4), "twin": (4, 6)}, "undecided"),
    ],
)
def test_what_stands_alone(figures: dict[str, tuple[float, float]], name: str) -> None:
    summary = following((-0.1, 0.1), (0.9, 1.1))
    estimates = {which: Estimate(sum(ends) / 2, *ends, 12) for which, ends in figures.items()}
    alone = judge(replace(NO_IMAGES, twin="classic"), replace(summary, figures={**summary.figures, **estimates})).alone
    assert alone.name == name
    assert ("classic" in alone.sentence) == ("twin" in figures)


def test_the_lines_are_said() -> None:
    for number in ("25%", "−25%", "15%", "1 dB", "6 images"):
        assert number in verdict.LINES


# --- where the views differ -------------------------------------------------------------------------------------------


def viewed(
    *,
    code: float = 0.0,
    embedding: float = 1.0,
    codes_shuffled: float = 4.0,
    embedding_shuffled: float = 5.0,
    beyond: float | None = 0.9,
    same: float = 6.0,
    off: float = 7.0,
    to_embedding: float = 20.0,
    to_codes: float = 10.0,
) -> Summary:
    costs = {
        CODES_SHUFFLED: codes_shuffled,
        Ablation("embedding", "shuffle"): embedding_shuffled,
        SAME_CODE: same,
        EMBEDDING_OFF: off,
    }
    figures = {"swap_to_embedding": to_embedding, "swap_to_codes": to_codes}
    one = following((code, code), (embedding, embedding))
    return replace(
        one,
        costs={ablation: sure(value, 12) for ablation, value in costs.items()},
        beyond={} if beyond is None else {CODES_SHUFFLED: beyond},
        figures={name: sure(value, 12) for name, value in figures.items()},
    )


def sentences(summary: Summary, **more: float) -> list[str]:
    return [f"{one}." for one in explain(summary, **more).rstrip(".").split(". ")]


@pytest.mark.parametrize(
    ("code", "embedding", "words"),
    [
        (0.0, 1.0, "the embedding leads: code 0.00, embedding 1.00"),
        (1.0, 0.0, "the code leads: code 1.00, embedding 0.00"),
        (2.0, -1.0, "the code leads: code 2.00, embedding −1.00"),
        (0.5, 0.5, "neither leads"),
        (0.44, 0.56, "neither leads"),
        (0.39, 0.61, "the embedding leads"),
        (-0.1, -0.2, "neither counts"),
    ],
)
def test_it_says_who_leads_at_the_borders(code: float, embedding: float, words: str) -> None:
    assert words in sentences(viewed(code=code, embedding=embedding))[0]


@pytest.mark.parametrize(
    ("codes", "embeddings", "words"),
    [
        (4.0, 7.0, "The bars agree: shuffled, the codes cost 4.0 dB and the embedding 7.0 dB."),
        (4.0, 5.0, "By the bars neither leads: shuffled, the codes cost 4.0 dB and the embedding 5.0 dB."),
        (7.0, 4.0, "By the bars the code leads"),
        (7.0, -1.0, "By the bars the code leads: shuffled, the codes cost 7.0 dB and the embedding −1.0 dB."),
        (-0.2, -0.1, "By the bars neither counts"),
    ],
)
def test_it_says_whether_the_bars_agree(codes: float, embeddings: float, words: str) -> None:
    """At the borders the embedding leads."""
    found = sentences(viewed(codes_shuffled=codes, embedding_shuffled=embeddings))
    assert found[1].startswith(words)


def test_it_says_what_shuffling_disturbs_where_that_matters() -> None:
    text = "so what it costs is disturbance as well as use"
    assert f"{text}, and 90% of its cells lie beyond anything met in training." in explain(viewed())
    assert f"{text}." in explain(viewed(beyond=None))
    assert text not in explain(viewed(codes_shuffled=0.1))  # it costs nothing, and the bars agree
    assert text in explain(viewed(codes_shuffled=0.1, embedding_shuffled=0.1))


def test_it_says_whether_another_cells_embedding_is_better_than_none() -> None:
    assert "costs 6.0 dB, no more than none at all (7.0 dB)." in explain(viewed(same=6, off=7))
    assert "costs 8.0 dB, more than none at all (7.0 dB)." in explain(viewed(same=8, off=7))


def test_it_says_whose_picture_another_images_codes_make() -> None:
    near = "nearer to the {} picture: {} dB to that of the embedding, {} dB to that of the codes."
    assert near.format("embedding's", "20.0", "10.0") in explain(viewed(to_embedding=20, to_codes=10))
    assert near.format("codes'", "9.0", "12.0") in explain(viewed(to_embedding=9, to_codes=12))


def test_it_says_what_the_gradient_says_where_there_is_one() -> None:
    assert "median cell" not in explain(viewed())
    assert "the code moves the median cell 4.0 times as much" in explain(viewed(), gradient=2.0)
    assert "the embedding moves the median cell 2.0 times as much" in explain(viewed(), gradient=-1.0)


def test_without_a_border_it_says_nothing() -> None:
    assert explain(replace(viewed(), following=())) == ""
    assert explain(replace(viewed(), inputs=1)) == ""


def test_what_it_says_of_a_set_are_that_sets_figures() -> None:
    """Of a toy with two inputs each figure in the paragraph is a mean over the images."""
    found = evidence(drawing(MIXED), toy_scenes(7))
    said = explain(summarize(found))
    shuffled = np.mean([np.mean([cost.drop for cost in image.costs_of(CODES_SHUFFLED)]) for image in found.images])
    same = np.mean([np.mean([cost.drop for cost in image.costs_of(SAME_CODE)]) for image in found.images])
    assert f"shuffled, the codes cost {shuffled:.1f} dB" in said
    assert f"with the same code costs {same:.1f} dB" in said
    assert "code 0.50, embedding 0.50" in said
