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
from explorer.base.open_model import open_folder
from explorer.images import reconstruction
from explorer.images.sets import sample_set
from explorer.inputs.reliance import measure as measuring
from explorer.inputs.reliance import subject as opening
from explorer.inputs.reliance import verdict
from explorer.inputs.reliance.ablations import (
    means_of,
)
from explorer.inputs.reliance.measure import (
    Evidence,
    Opened,
    Settings,
    evidence_of,
    measure_image,
    measure_set,
    with_following,
)
from explorer.inputs.reliance.verdict import Finding, Following, Judgement, Summary, explain, judge, summarize
from tests.conftest import CHECKPOINTS
from tests.known_decoders import drawing, known, scene_set, toy_scenes
from tests.toys import toy_model
from vqvae.images import to_pixels
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
        ("residual alone", "cannot tell", "the codes harm"),
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
        Opened(str(place), to_pixels(image)[0], model.encode(image)) for place, image in enumerate(images.split(1))
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
