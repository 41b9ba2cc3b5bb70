"""Which input does the decoder really use? Each is replaced in turn, the other left as it is, and the loss measured.

The decoder is a function of two tensors, decode(quantized, embedding), and its stem sees the embedding as a residual:

    A · quantized + B · (embedding − quantized)

**Codes replaced** is decode(q′, embedding). The embedding is handed over as it was, so the residual that the stem sees
changes as well; this is what the function of two inputs does, and it is the point: a decoder with A = B sees the whole
embedding whatever the codes say, and does not notice.

**Embedding replaced** is decode(quantized, quantized + r′): the codes as they were, and in place of what the embedding
adds to them, its residual, something else. With r′ = 0 this is "embedding off", the clean zero that the model is made
with. The embedding itself set to zero would hand over a residual of −quantized, which no decoder ever met.

For the verdict each input has one worth in dB. That of the codes is what other *codes* in their place cost, shuffled or
another picture's: zeros, means and noise are no codes, and what they cost says how strange they are (the decoder that
bypasses its codebook loses 0.2 dB by shuffled codes, and 6 by noise). That of the embedding is what switching it off
costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from explorer.base.job import Cancelled, Progress, unheard
from explorer.base.verdict import Grade
from explorer.editing.edits import DecoderInputs
from explorer.images.reconstruction import Quality, compare
from explorer.images.sets import ImageSet
from vqvae.errors import BadInput
from vqvae.images import fit_to, load_image, to_pixels, to_tensor
from vqvae.tokenizer import Encoding, Tokenizer

Input = Literal["quantized", "embedding"]
Way = Literal["zero", "mean", "noise", "shuffle", "another"]
T = TypeVar("T")

INPUTS: dict[Input, str] = {"quantized": "codes", "embedding": "embedding"}
WAYS: dict[Way, str] = {
    "zero": "zero",
    "mean": "mean",
    "noise": "noise",
    "shuffle": "shuffled",
    "another": "another image's",
}
MEANINGS: dict[Input, dict[Way, str]] = {
    "quantized": {
        "zero": "Every cell's quantized vector is zero, which is no code.",
        "mean": "Every cell's quantized vector is the mean over all cells, which is no code.",
        "noise": "Normal noise with the mean and the variance that each number of the quantized vectors has; no codes.",
        "shuffle": "The same codes, in a random order of cells.",
        "another": "The codes of another image, cropped or repeated to this grid.",
    },
    "embedding": {
        "zero": "Embedding off: the decoder gets the codes alone.",
        "mean": "What the embedding adds to the codes is the mean of that over all cells.",
        "noise": "What the embedding adds to the codes is normal noise of the same mean and variance.",
        "shuffle": "What the embedding adds to the codes is shuffled over the cells.",
        "another": "What the embedding adds to the codes is what another image's adds to its own.",
    },
}

BEST_PSNR = 60.0  # dB; pictures that are closer than this, or equal, count as this, so that means stay finite
LEAST_WORTH = 1.0  # dB for both inputs together: below, there is nothing to divide
LEAST_EMBEDDING = 0.5  # dB: a decoder that loses less without the embedding ignores it
# Share of the codes in what both are worth. On 90 training photos, each by itself, `photos-bypass` has at most 15 %,
# and `photos` and `photos-fine` have at least 30 %.
LEAST_CODES = 0.15  # below, the decoder bypasses the codebook
ENOUGH_CODES = 0.25  # from here on, it uses both
THRESHOLDS = (
    f"The codes' worth is what other codes in their place cost (shuffled, or another image's: the larger), the "
    f"embedding's what switching it off costs. A decoder bypasses the codebook when the codes have less than "
    f"{LEAST_CODES:.0%} of what both are worth together, and uses both from {ENOUGH_CODES:.0%} on; it ignores the "
    f"embedding when that is worth less than {LEAST_EMBEDDING} dB. With less than {LEAST_WORTH:.0f} dB for both there "
    f"is no verdict."
)


# --- replacing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ablation:
    """One input replaced in one way, the other left as it is."""

    input: Input
    way: Way

    @property
    def label(self) -> str:
        return "off" if self == EMBEDDING_OFF else WAYS[self.way]

    @property
    def meaning(self) -> str:
        """One sentence on what the decoder is given."""
        return MEANINGS[self.input][self.way]


EMBEDDING_OFF = Ablation("embedding", "zero")


def ablations(*, inputs: int, partner: bool) -> tuple[Ablation, ...]:
    """All that can be measured, of a decoder with so many inputs, with or without another image."""
    ways = [way for way in WAYS if partner or way != "another"]
    return tuple(Ablation(name, way) for name in list(INPUTS)[:inputs] for way in ways)


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard deviation of each number of a cell's vector, over all cells."""

    mean: Tensor  # [D, 1, 1]
    deviation: Tensor  # [D, 1, 1]


@dataclass(frozen=True, eq=False)
class Statistics:
    """How what is replaced is spread over all cells of an image or a set."""

    quantized: Moments
    residual: Moments  # of embedding − quantized


def statistics_of(encodings: Iterable[Encoding]) -> Statistics:
    """Over the cells of all these images; there has to be one."""
    tally = _Tally()
    for encoding in encodings:
        tally.add_(encoding)
    return tally.statistics()


class _Tally:
    """Statistics in the making, image by image; none of the images is kept."""

    def __init__(self) -> None:
        self.cells = 0
        self.sums = self.squares = torch.zeros(2, 1, dtype=torch.float64)  # then [2, D]

    def add_(self, encoding: Encoding) -> None:
        vectors = torch.stack([encoding.quantized, encoding.embedding - encoding.quantized]).double()
        vectors = vectors.transpose(1, 2).flatten(2)  # [2, D, cells]
        self.cells += vectors.shape[2]
        self.sums, self.squares = self.sums + vectors.sum(2), self.squares + vectors.square().sum(2)

    def statistics(self) -> Statistics:
        mean = self.sums / self.cells
        deviation = (self.squares / self.cells - mean.square()).clamp(min=0).sqrt()
        moments = torch.stack([mean, deviation]).float()[..., None, None]  # [2, 2, D, 1, 1]
        return Statistics(quantized=Moments(*moments[:, 0]), residual=Moments(*moments[:, 1]))


@dataclass(frozen=True, eq=False)
class Subject:
    """One image under test and what its inputs are replaced by: enough to make each of its pictures again."""

    encoding: Encoding  # [1, D, h, w]
    statistics: Statistics
    partner: Encoding | None = None  # [1, D, any, any], the other image
    inputs: int = 2
    seed: int = 0  # of the noise and the shuffle

    @classmethod
    def alone(cls, encoding: Encoding, *, partner: Encoding | None = None, inputs: int = 2) -> Subject:
        """An image that is no part of a set: its statistics are those of its own cells."""
        return cls(encoding, statistics_of([encoding]), partner, inputs)

    @property
    def ablations(self) -> tuple[Ablation, ...]:
        return ablations(inputs=self.inputs, partner=self.partner is not None)

    def feed(self, ablation: Ablation | None) -> DecoderInputs:
        """What the decoder is given, [1, D, h, w] twice; None: both inputs whole.

        The only input of a decoder with one is the codes: what is in their place is handed over as both.
        """
        quantized, embedding = self.encoding.quantized, self.encoding.embedding
        if ablation is not None and ablation.input == "quantized":
            other = self.partner.quantized if self.partner else None
            quantized = self._replaced(quantized, ablation.way, self.statistics.quantized, other)
        elif ablation is not None:
            other = self.partner.embedding - self.partner.quantized if self.partner else None
            embedding = quantized + self._replaced(embedding - quantized, ablation.way, self.statistics.residual, other)
        return DecoderInputs(*map(_channels_last, (quantized, quantized if self.inputs == 1 else embedding)))

    def _replaced(self, vectors: Tensor, way: Way, moments: Moments, other: Tensor | None) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        if way == "zero":
            return torch.zeros_like(vectors)
        if way == "mean":
            return moments.mean.expand_as(vectors)
        if way == "noise":
            return moments.mean + moments.deviation * torch.randn(vectors.shape, generator=generator)
        if way == "shuffle":
            cells = vectors.flatten(2)
            return cells[:, :, torch.randperm(cells.shape[2], generator=generator)].view_as(vectors)
        if other is None:
            raise BadInput("There is no other image to take this input from; choose one.")
        return tiled(other, *vectors.shape[-2:])


def tiled(vectors: Tensor, rows: int, columns: int) -> Tensor:
    """[1, D, any, any] -> [1, D, rows, columns]: cropped at the bottom and the right, or repeated to fill."""
    across, down = -(-columns // vectors.shape[-1]), -(-rows // vectors.shape[-2])
    return vectors.repeat(1, 1, down, across)[..., :rows, :columns]


def _channels_last(vectors: Tensor) -> Tensor:
    return vectors.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def picture_of(
    tokenizer: Tokenizer, subject: Subject, ablation: Ablation | None, *, size: tuple[int, int]
) -> np.ndarray:
    """The picture behind a figure, uint8 [H, W, 3], the same at every call; `size` is the height and width to crop to.

    None as the ablation: both inputs whole. Raises BadInput where another image is asked for and there is none.
    """
    fed = subject.feed(ablation)
    height, width = size
    return to_pixels(tokenizer.decode(fed.quantized, fed.embedding)[..., :height, :width])[0]


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """What one ablation did."""

    ablation: Ablation
    quality: Quality
    drop: float  # dB of PSNR lost against both inputs whole; negative when it came out better


@dataclass(frozen=True)
class Reliance:
    """What the ablations did to one image, or on average over several."""

    inputs: int  # of the decoder
    images: int
    whole: Quality  # with nothing replaced
    effects: tuple[Effect, ...]

    def drop(self, ablation: Ablation) -> float | None:
        """dB; None where it was not measured."""
        return next((effect.drop for effect in self.effects if effect.ablation == ablation), None)

    def worth(self, name: Input) -> float:
        """What an input is worth, in dB ≥ 0: codes against other codes, the embedding against none."""
        ways: tuple[Way, ...] = ("shuffle", "another") if name == "quantized" else ("zero",)
        return max(0.0, *(self.drop(Ablation(name, way)) or 0.0 for way in ways))


def measure(
    tokenizer: Tokenizer,
    subject: Subject,
    original: np.ndarray,
    *,
    progress: Progress = unheard,
) -> Reliance:
    """Replace each input of one image in each way and compare with the original, uint8 [H, W, 3].

    `progress` counts decodes; raises Cancelled.
    """
    size = original.shape[0], original.shape[1]
    cases = (None, *subject.ablations)
    found: list[Quality] = []
    for done, ablation in enumerate(cases, 1):
        found.append(_bounded(compare(original, picture_of(tokenizer, subject, ablation, size=size))))
        progress(done, len(cases))
    whole, *others = found
    effects = (
        Effect(ablation, quality, whole.psnr - quality.psnr)
        for ablation, quality in zip(subject.ablations, others, strict=True)
    )
    return Reliance(subject.inputs, 1, whole, tuple(effects))


def pooled(singles: Sequence[Reliance]) -> Reliance:
    """The means over images that went through the same ablations; there has to be one."""
    effects = []
    for same in zip(*(single.effects for single in singles), strict=True):
        effects.append(Effect(same[0].ablation, _mean(e.quality for e in same), fmean(e.drop for e in same)))
    whole = _mean(single.whole for single in singles)
    return Reliance(singles[0].inputs, sum(single.images for single in singles), whole, tuple(effects))


def _bounded(quality: Quality) -> Quality:
    return Quality(min(BEST_PSNR, quality.psnr), quality.ssim)


def _mean(qualities: Iterable[Quality]) -> Quality:
    """SSIM over the images that are large enough for it; None where none is."""
    listed = list(qualities)
    measurable = [quality.ssim for quality in listed if quality.ssim is not None]
    return Quality(fmean(quality.psnr for quality in listed), fmean(measurable) if measurable else None)


# --- a set ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetReliance:
    """The reliance test of a set of images, whole or as far as it came."""

    pooled: Reliance
    names: tuple[str, ...]  # of the images measured
    single: tuple[Reliance, ...]  # of each of them
    statistics: Statistics  # of all cells of the set, that of images not measured yet included
    partners: tuple[str | None, ...]  # the other image that each was given, by name
    seeds: tuple[int, ...]  # of each one's noise and shuffle
    asked: int  # how many images there were to measure, those that cannot be read included
    unreadable: tuple[tuple[str, str], ...]  # name and reason

    @property
    def finished(self) -> bool:
        return len(self.names) + len(self.unreadable) == self.asked


@dataclass(frozen=True, eq=False)
class _Opened:
    """One image of a set, encoded."""

    number: int
    name: str
    pixels: np.ndarray  # uint8 [H, W, 3]
    encoding: Encoding


def measure_set(
    tokenizer: Tokenizer,
    images: ImageSet,
    *,
    working_size: int,
    inputs: int = 2,
    limit: int | None = None,
    progress: Progress = unheard,
) -> SetReliance:
    """The test on each image of a set, or on `limit` of them spread evenly over it, and pooled.

    Each image is measured with the mean and variance of the whole set and with the next image as the other one, the
    last with the first; so images are encoded twice, and none is kept. `progress` counts passes of the model; when it
    stops the work, the result is of the images measured so far. Raises Cancelled when there are none yet, and BadInput
    when no image can be read.
    """
    names = evenly(images.names, limit)
    unreadable: dict[str, str] = {}
    cases = 1 + len(ablations(inputs=inputs, partner=True))
    total = len(names) * (1 + cases)  # each image is encoded once more, for the statistics

    tally = _Tally()
    for one in _opened(tokenizer, images, names, working_size, unreadable):
        tally.add_(one.encoding)
        progress(one.number + 1, total)
    if len(unreadable) == len(names):
        raise BadInput(f"None of the images can be read; the first: {unreadable[names[0]]}")
    statistics = tally.statistics()

    single: dict[str, Reliance] = {}
    partners: list[str | None] = []
    seeds: list[int] = []
    try:
        for one, following in with_next(_opened(tokenizer, images, names, working_size, unreadable)):
            subject = Subject(
                one.encoding, statistics, following.encoding if following else None, inputs, seed=one.number
            )
            within = _Within(progress, before=len(names) + one.number * cases, total=total)
            single[one.name] = measure(tokenizer, subject, one.pixels, progress=within)
            partners.append(following.name if following else None)
            seeds.append(one.number)
    except Cancelled:
        if not single:
            raise
    return SetReliance(
        pooled=pooled(list(single.values())),
        names=tuple(single),
        single=tuple(single.values()),
        statistics=statistics,
        partners=tuple(partners),
        seeds=tuple(seeds),
        asked=len(names),
        unreadable=tuple(unreadable.items()),
    )


@dataclass(frozen=True)
class _Within:
    """Progress of a part of the work, told as that of the whole."""

    progress: Progress
    before: int  # steps
    total: int

    def __call__(self, done: int, total: int, stage: str = "") -> None:
        self.progress(self.before + done, self.total, stage)


def evenly(names: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """At most so many of the names, spread evenly over them, in their order."""
    if limit is None or limit >= len(names):
        return tuple(names)
    return tuple(names[number * len(names) // limit] for number in range(limit))


def with_next(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Each with the one after it, and the last with the first; an only one with None. Two and the first are kept."""
    iterator = iter(items)
    for first in iterator:
        last = first
        for following in iterator:
            yield last, following
            last = following
        yield last, None if last is first else first


def _opened(
    tokenizer: Tokenizer, images: ImageSet, names: Sequence[str], working_size: int, unreadable: dict[str, str]
) -> Iterator[_Opened]:
    """The images that can be read; of the others, the reason goes into `unreadable`."""
    for number, name in enumerate(names):
        if name in unreadable:
            continue
        try:
            pixels = np.asarray(fit_to(load_image(images.read(name), name), working_size, tokenizer.spec.sizes.only))
        except BadInput as reason:
            unreadable[name] = str(reason)
            continue
        with torch.inference_mode():
            encoding = tokenizer.encode(to_tensor(pixels))
        yield _Opened(number, name, pixels, encoding)


# --- the verdict ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Diagnosis:
    """Which input the decoder uses, and why."""

    grade: Grade
    name: str  # short: "uses both"
    sentence: str  # with its figures


def judge(result: Reliance) -> Diagnosis:
    """The verdict on one image or on the means over several; see THRESHOLDS."""
    codes, embedding = result.worth("quantized"), result.worth("embedding")
    both = codes + embedding
    if result.inputs == 1:
        if codes < LEAST_WORTH:
            return Diagnosis(
                "unsure",
                "one input",
                f"One input: the codes are all that this decoder has, yet other codes in their place cost only "
                f"{codes:.1f} dB.",
            )
        return Diagnosis(
            "good",
            "one input",
            f"One input: the codes are all that this decoder has; other codes in their place cost {codes:.1f} dB.",
        )
    if both < LEAST_WORTH:
        return Diagnosis(
            "unsure",
            "cannot tell",
            f"Cannot tell: other codes cost {codes:.1f} dB, and without the embedding {embedding:.1f} dB are lost; "
            f"neither changes the picture enough.",
        )
    if codes < LEAST_CODES * both:
        return Diagnosis(
            "poor",
            "bypasses the codebook",
            f"Bypasses the codebook: other codes in their place cost only {codes:.1f} dB while the embedding stays, "
            f"and without the embedding {embedding:.1f} dB are lost.",
        )
    if codes < ENOUGH_CODES * both:
        return Diagnosis(
            "unsure",
            "leans on the embedding",
            f"Leans on the embedding, too near the line to say more: other codes in their place cost {codes:.1f} dB, "
            f"and without the embedding {embedding:.1f} dB are lost; measure more pictures.",
        )
    if embedding < LEAST_EMBEDDING:
        return Diagnosis(
            "fair",
            "ignores the embedding",
            f"Ignores the embedding: without it only {embedding:.1f} dB are lost, "
            f"and other codes in place of its own cost {codes:.1f} dB.",
        )
    return Diagnosis(
        "good",
        "uses both",
        f"Uses both: other codes in their place cost {codes:.1f} dB though the embedding stays, "
        f"and without the embedding {embedding:.1f} dB are lost.",
    )


# --- for reading ------------------------------------------------------------------------------------------------------


def table(result: Reliance) -> str:
    """All figures of one image or of the means over several, in columns, and the verdict below."""
    rows = [f"{'replaced':<12}{'by':<18}{'PSNR':>9}{'drop':>9}{'SSIM':>8}"]
    rows.append(_row("nothing", "", result.whole, ""))
    for effect in result.effects:
        ablation = effect.ablation
        rows.append(_row(INPUTS[ablation.input], ablation.label, effect.quality, f"{effect.drop:+.2f}"))
    return "\n".join([*rows, "", judge(result).sentence])


def table_of_set(result: SetReliance) -> str:
    """The means over a set, how the single images would have been judged, and by which thresholds."""
    images = f"{len(result.names):,} images, {len(result.unreadable):,} files skipped"
    counts = ", ".join(f"{number:,} {name}" for name, number in verdict_counts(result).items())
    return "\n".join([images, table(result.pooled), f"One by one: {counts}.", "", THRESHOLDS])


def _row(what: str, by: str, quality: Quality, drop: str) -> str:
    similarity = "–" if quality.ssim is None else f"{quality.ssim:.3f}"
    return f"{what:<12}{by:<18}{quality.psnr:>9.2f}{drop:>9}{similarity:>8}"


def verdict_counts(result: SetReliance) -> dict[str, int]:
    """How many of the images would have had which verdict by themselves, the most frequent first."""
    return dict(Counter(judge(single).name for single in result.single).most_common())


def plain(result: Reliance) -> dict[str, Any]:
    """The figures and the verdict as JSON values; dB, and SSIM or null."""
    verdict = judge(result)
    return {
        "decoder_inputs": result.inputs,
        "images": result.images,
        "whole": {"psnr": result.whole.psnr, "ssim": result.whole.ssim},
        "ablations": [
            {
                "replaced": effect.ablation.input,
                "by": effect.ablation.way,
                "psnr": effect.quality.psnr,
                "ssim": effect.quality.ssim,
                "drop": effect.drop,
            }
            for effect in result.effects
        ],
        "worth": {name: result.worth(name) for name in list(INPUTS)[: result.inputs]},
        "verdict": {"level": verdict.grade, "name": verdict.name, "sentence": verdict.sentence},
        "thresholds": THRESHOLDS,
    }


def plain_set(result: SetReliance) -> dict[str, Any]:
    """A set's figures as plain JSON values, with the verdict on each image and the files that were skipped."""
    return {
        **plain(result.pooled),
        "asked": result.asked,
        "finished": result.finished,
        "single": [
            {"name": name, "psnr": one.whole.psnr, "verdict": judge(one).name}
            | {f"worth_{part}": one.worth(part) for part in list(INPUTS)[: one.inputs]}
            for name, one in zip(result.names, result.single, strict=True)
        ],
        "skipped": [{"name": name, "reason": reason} for name, reason in result.unreadable],
    }
