"""What the evidence says, in two parts, each with its interval: whom the decoder follows, and what stands alone.

**Follows** is the boundary test at the blend at hand. **Stands alone** is what is drawn without the embedding, beside a
decoder of the same size that never had one. A verdict stands only where its interval clears the line; else it is
"undecided", and where the evidence cannot say, "cannot tell" with the reason.

A code is a function of its embedding. So a decoder that is given the whole embedding needs nothing else, and one that
follows the embedding at a blend of 1 does no wrong: what embedding dropout buys is that it *also* stands on the codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from explorer.base.bootstrap import Estimate, means
from explorer.base.verdict import Grade
from explorer.inputs.reliance.ablations import (
    CODES_MEAN,
    CODES_OF_ANOTHER,
    CODES_SHUFFLED,
    EMBEDDING_OFF,
    SAME_CODE,
    SHUFFLED_ALONE,
    Ablation,
    ablations,
)
from explorer.inputs.reliance.boundary import Change
from explorer.inputs.reliance.measure import Evidence, ImageEvidence
from vqvae.words import counted

LEAST_IMAGES = 6  # with fewer, not even the range of all of them holds their median in 95 of 100 cases: 1 − 2 / 2⁵
FOLLOWS = 0.25  # share from which an input is followed
READ_APART = 0.15  # ‖A‖ / ‖B‖ below which the code alone moves hardly anything
LED, DIVIDED = 0.75, 0.25  # share from which one input leads at a cell; so many of the cells led by each are divided
LEAST_LEVELS = 0.5  # of 255, root mean square: what moves a cell's pixels less moves nothing
STANDS = -1.0  # dB against the twin, down to which a decoder stands on the codes alone
LEAST_GAIN = 1.0  # dB over codes in the wrong places, from which codes draw anything
ALL_THE_SAME = 0.5  # dB either way: an input that is worth no more makes no difference
MOST_MORE = 100_000  # images that could still be had

LINES = (
    f"An input is followed from a share of {FOLLOWS:.0%} on, and gone against from −{FOLLOWS:.0%} on; below "
    f"{READ_APART:.0%} of ‖B‖ the code alone moves hardly anything, and the codebook is bypassed. A decoder stands on "
    f"the codes alone down to {-STANDS:.0f} dB below one of the same size with nothing else. A verdict needs "
    f"{LEAST_IMAGES} images and intervals clear of its lines."
)


# --- estimates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Following:
    """Whom the decoder follows at one blend: means over images with their intervals."""

    blend: float
    code: Estimate
    embedding: Estimate
    code_size: Estimate  # ‖A‖ / ‖B‖
    not_additive: Estimate  # ‖A + E − B‖ / ‖B‖


@dataclass(frozen=True)
class Summary:
    """The means over the images that count, with their intervals."""

    inputs: int
    images: int  # that count
    blend: float  # at hand
    border_cells: int  # that were moved across, on those images
    levels: float  # of 255, root mean square: how much a cell's pixels move there when both inputs do
    code_levels: float  # likewise when the code alone does
    code_led: float  # share of the border cells where the decoder follows the code by `LED` or more
    embedding_led: float  # likewise the embedding
    following: tuple[Following, ...]  # at each blend; empty where no cell is at a border
    figures: Mapping[str, Estimate]  # by name, in dB; see FIGURES
    costs: Mapping[Ablation, Estimate]  # dB lost
    beyond: Mapping[Ablation, float]  # share of the cells that lie beyond anything met in training

    @property
    def now(self) -> Following | None:
        """At the blend at hand."""
        return next((one for one in self.following if one.blend == self.blend), None)


FIGURES: dict[str, str] = {
    "whole": "PSNR with both inputs, dB",
    "codes_only": "PSNR with the codes alone, dB",
    "embedding_only": "PSNR with the embedding and the same mean code in every cell, dB",
    "embedding_worth": "what is lost without the embedding, dB",
    "codes_worth": "what other codes cost while the embedding stays, mean of shuffled and another image's, dB",
    "codes_share": "the codes' part of what both are worth, where that is anything",
    "codes_gain": "the codes alone over the codes alone in the wrong places, dB",
    "against_twin": "the codes alone against a decoder of the same size that has nothing else, dB",
    "twin": "PSNR of that decoder, dB",
    "swap_to_embedding": "another image's codes: PSNR to the picture of the embedding, dB",
    "swap_to_codes": "another image's codes: PSNR to the picture of the codes, dB",
}


def summarize(evidence: Evidence) -> Summary:
    """Means and intervals over the images that count; where only one was measured, over that one, without intervals."""
    images = evidence.counted or evidence.images
    columns = {
        name: np.array([figures_of(image, evidence.inputs).get(name, np.nan) for image in images]) for name in FIGURES
    }
    for ablation in ablations(inputs=evidence.inputs):
        columns[ablation.label] = np.array(
            [_mean([cost.drop for cost in image.costs_of(ablation)]) for image in images]
        )
    blends = evidence.settings.blends if evidence.inputs == 2 else ()
    for place, blend in enumerate(blends):
        together = [Change.together([cell.changes[place] for cell in image.moved]) for image in images]
        for name in ("code_share", "embedding_share", "code_size", "not_additive"):
            columns[f"{name} {blend}"] = np.array([getattr(change, name) for change in together])
    columns["both_worth"] = columns["codes_worth"] + columns["embedding_worth"]
    share_of = {"codes_share": ("codes_worth", "both_worth")}
    found = means(columns, ratios=share_of, seed=evidence.settings.seed)
    return Summary(
        inputs=evidence.inputs,
        images=len(evidence.counted),
        blend=evidence.settings.blend,
        border_cells=sum(len(image.moved) for image in images),
        **_at_border(evidence, images),
        following=tuple(_following(found, blend) for blend in blends if f"code_share {blend}" in found),
        figures={name: found[name] for name in FIGURES if name in found},
        costs={one: found[one.label] for one in ablations(inputs=evidence.inputs) if one.label in found},
        beyond=_beyond(images, evidence.inputs),
    )


def _following(found: Mapping[str, Estimate], blend: float) -> Following:
    names = ("code_share", "embedding_share", "code_size", "not_additive")
    return Following(blend, *(found[f"{name} {blend}"] for name in names))


def figures_of(image: ImageEvidence, inputs: int) -> dict[str, float]:
    """The figures of one image, by their names in FIGURES; what it has not is missing."""
    found = {"whole": image.whole.psnr, "codes_only": image.codes_only.psnr}
    ways = [_mean([cost.drop for cost in image.costs_of(one)]) for one in (CODES_SHUFFLED, CODES_OF_ANOTHER)]
    found["codes_worth"] = _mean([way for way in ways if np.isfinite(way)])
    if image.twin is not None:
        found["twin"] = image.twin.psnr
        found["against_twin"] = image.codes_only.psnr - image.twin.psnr
    if inputs == 1:
        return found
    found["embedding_worth"] = _mean([cost.drop for cost in image.costs_of(EMBEDDING_OFF)])
    found["embedding_only"] = _mean([cost.quality.psnr for cost in image.costs_of(CODES_MEAN)])
    found["codes_gain"] = image.codes_only.psnr - _mean([cost.quality.psnr for cost in image.costs_of(SHUFFLED_ALONE)])
    swaps = [cost for cost in image.costs_of(CODES_OF_ANOTHER) if cost.to_embedding is not None]
    if swaps:
        found["swap_to_embedding"] = _mean([cost.to_embedding for cost in swaps if cost.to_embedding is not None])
        found["swap_to_codes"] = _mean([cost.to_codes for cost in swaps if cost.to_codes is not None])
    return found


def _at_border(evidence: Evidence, images: tuple[ImageEvidence, ...]) -> dict[str, float]:
    """How much the cells at a border move, and how many of them either input leads, at the blend at hand."""
    place = evidence.settings.blends.index(evidence.settings.blend)
    changes = [cell.changes[place] for image in images for cell in image.moved]
    if not changes:
        return {"levels": 0.0, "code_levels": 0.0, "code_led": 0.0, "embedding_led": 0.0}
    both, code = (np.mean([getattr(change, name) for change in changes]) for name in ("both", "code"))
    return {
        "levels": float(255 * np.sqrt(both / (3 * evidence.stride**2))),
        "code_levels": float(255 * np.sqrt(code / (3 * evidence.stride**2))),
        "code_led": float(np.mean([change.code_share >= LED for change in changes])),
        "embedding_led": float(np.mean([change.embedding_share >= LED for change in changes])),
    }


def _beyond(images: tuple[ImageEvidence, ...], inputs: int) -> dict[Ablation, float]:
    found = {}
    for ablation in ablations(inputs=inputs):
        shares = [cost.beyond for image in images for cost in image.costs_of(ablation) if cost.beyond is not None]
        if shares:
            found[ablation] = float(np.mean(shares))
    return found


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


# --- findings ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """One part of the verdict."""

    grade: Grade
    name: str  # short: "follows the embedding"
    sentence: str  # with its figures


@dataclass(frozen=True)
class Judgement:
    """The verdict on a model, in two parts."""

    follows: Finding
    alone: Finding

    @property
    def parts(self) -> tuple[Finding, Finding]:
        return (self.follows, self.alone)


def judge(evidence: Evidence, summary: Summary | None = None) -> Judgement:
    """The verdict: each part stands where its interval clears the line, see `LINES`."""
    found = summary or summarize(evidence)
    if found.inputs == 1:
        return Judgement(_one_input(found), _codes_of_one_input(evidence, found))
    return Judgement(_follows(evidence, found), _alone(evidence, found))


def _too_few(evidence: Evidence, summary: Summary) -> Finding | None:
    """Why these images are no evidence, where they are not."""
    if evidence.codes == 1:
        return Finding(
            "unsure", "cannot tell", "Cannot tell: with a single code there is no other to put in its place."
        )
    repeats = f" ({len(evidence.repeated):,} more repeat {{}})" if evidence.repeated else ""
    if len(evidence.images) == 1 and not evidence.images[0].aside:
        return Finding(
            "unsure",
            "one picture",
            f"One picture{repeats.format('it')} is no evidence: these are its figures, and no verdict on the model.",
        )
    if not summary.images:
        reasons = {image.aside for image in evidence.images}
        why = next(iter(reasons)) if len(evidence.images) == 1 else "each of them is flat or a single cell"
        what = (
            "this picture"
            if len(evidence.images) == 1
            else f"none of the {len(evidence.images):,} images says anything:"
        )
        return Finding("unsure", "cannot tell", f"Cannot tell: {what} {why}.")
    if summary.images < LEAST_IMAGES:
        says = "image says" if summary.images == 1 else "images say"
        return Finding(
            "unsure",
            "undecided",
            f"Undecided: only {summary.images:,} {says} anything{repeats.format('one of them')}, and a verdict needs "
            f"{LEAST_IMAGES}.",
        )
    return None


def _follows(evidence: Evidence, summary: Summary) -> Finding:
    """The first part: whom the decoder follows at the blend at hand."""
    few, now = _too_few(evidence, summary), summary.now
    if few and few.name == "cannot tell":
        return few
    if not summary.border_cells:
        return Finding(
            "unsure",
            "cannot tell",
            "Cannot tell: no cell lies at a border between two different codes, so none can flip.",
        )
    if now is None or summary.levels < LEAST_LEVELS:
        return few or _nothing_moves(summary)
    figures = f"at a blend of {_blend(summary.blend)} by {share(now.embedding)}, and the code by {share(now.code)}"
    if few:
        return Finding(few.grade, few.name, f"{few.sentence} It follows the embedding {figures}.")
    if now.code.images < LEAST_IMAGES:
        return Finding(
            "unsure",
            "cannot tell",
            f"Cannot tell: only {now.code.images:,} of the {counted(summary.images, 'image')} "
            f"{'has' if now.code.images == 1 else 'have'} cells at a border.",
        )
    return _followed(summary, now, figures)


def _nothing_moves(summary: Summary) -> Finding:
    """As `_follows`, where the picture hardly changes when both inputs move across a border."""
    levels = f"moving both inputs across a border changes a cell's pixels by {summary.levels:.2f} levels of 255"
    if summary.code_levels < LEAST_LEVELS:
        return Finding("poor", "ignores both", f"Ignores both: {levels}.")
    return Finding(
        "unsure",
        "cannot tell",
        f"Cannot tell: {levels}, and the code alone by {summary.code_levels:.1f}, so that the two cancel out and there "
        "is no change of which either could have a share.",
    )


def _followed(summary: Summary, now: Following, figures: str) -> Finding:
    """As `_follows`, where there is enough to go by. Each name asks for intervals that are clear of all its lines."""
    code, embedding = _stand(now.code), _stand(now.embedding)
    if embedding == "against":
        return Finding("poor", "goes against the embedding", f"Goes against the embedding: it follows it {figures}.")
    if code == "against" and embedding != "unclear":
        return Finding("poor", "goes against the codes", f"Goes against the codes: it follows the embedding {figures}.")
    if code == "with" and embedding == "with":
        if min(summary.code_led, summary.embedding_led) >= DIVIDED:
            where = (
                f"the code leads at {summary.code_led:.0%} of the cells, the embedding at {summary.embedding_led:.0%}"
            )
            return Finding(
                "good", "follows both", f"Follows both, in different places: the embedding {figures}; {where}."
            )
        return Finding("good", "follows both", f"Follows both: the embedding {figures}.")
    if code == "without" and embedding == "with":
        return _follows_the_embedding(now, figures)
    if code == "with" and embedding == "without":
        return Finding("fair", "follows the codes", f"Follows the codes: the embedding {figures}.")
    if code == "without" and embedding == "without":
        return Finding("unsure", "follows neither alone", f"Follows neither alone: the embedding {figures}.")
    unclear = [
        (one, line) for one in (now.code, now.embedding) for line in (-FOLLOWS, FOLLOWS) if _straddles(one, line)
    ]
    return Finding("unsure", "undecided", f"Undecided: it follows the embedding {figures}. {_more(unclear)}")


def _follows_the_embedding(now: Following, figures: str) -> Finding:
    """And bypasses the codebook, where the code alone moves hardly anything."""
    apart = f"‖A‖ / ‖B‖ {ranged(now.code_size)}"
    if now.code_size.below(READ_APART):
        return Finding(
            "poor",
            "bypasses the codebook",
            f"Bypasses the codebook: it follows the embedding {figures}; the code alone moves hardly anything "
            f"({apart}).",
        )
    read = "yet it reads code and embedding apart"
    if not now.code_size.above(READ_APART):
        read = "whether it reads the code apart is undecided"
    return Finding("fair", "follows the embedding", f"Follows the embedding {figures}; {read} ({apart}).")


def _stand(one: Estimate) -> Literal["with", "against", "without", "unclear"]:
    """Where a share stands, if its interval says so: the decoder goes with that input, against it, or without it."""
    if one.above(FOLLOWS):
        return "with"
    if one.below(-FOLLOWS):
        return "against"
    return "without" if one.above(-FOLLOWS) and one.below(FOLLOWS) else "unclear"


def _straddles(one: Estimate, line: float) -> bool:
    return not one.above(line) and not one.below(line)


def _alone(evidence: Evidence, summary: Summary) -> Finding:
    """The second part: what is drawn without the embedding."""
    figures = summary.figures
    told, few = _told_alone(evidence, figures), _too_few(evidence, summary)
    if few:
        return few if few.name == "cannot tell" else Finding(few.grade, few.name, f"{few.sentence} {told}")
    worth, codes, gain = (figures[name] for name in ("embedding_worth", "codes_worth", "codes_gain"))
    harms = f"The embedding harms: without it the picture is {decibels(worth, sign=-1)} closer."
    codes_harm = f"The codes harm: other codes bring it {decibels(codes, sign=-1)} closer."
    nothing = f"Draws nothing from the codes alone: in the wrong places they do {decibels(gain)} worse."
    same = f"Does as well without the embedding: that costs {decibels(worth)}."
    steps = (
        _Step(worth, -ALL_THE_SAME, "poor", "the embedding harms", harms, "whether the embedding harms"),
        _Step(codes, -ALL_THE_SAME, "poor", "the codes harm", codes_harm, "whether the codes harm"),
        _Step(gain, LEAST_GAIN, "poor", "draws nothing from the codes", nothing, "whether it draws from the codes"),
        _Step(
            worth, ALL_THE_SAME, "fair", "does as well without the embedding", same, "whether it needs the embedding"
        ),
    )
    settled = _first_settled(steps, told)
    if settled is not None:
        return settled
    twin = figures.get("against_twin")
    if twin is None:
        return Finding(
            "good",
            "draws from the codes alone",
            f"Draws from the codes alone. {told} No one-input decoder of the same size is here to compare it with.",
        )
    short = _Step(
        twin,
        STANDS,
        "fair",
        "falls short on the codes alone",
        "Falls short on the codes alone.",
        "whether it stands on the codes alone",
    )
    stands = Finding("good", "stands on the codes alone", f"Stands on the codes alone. {told}")
    return _first_settled((short,), told) or stands


@dataclass(frozen=True)
class _Step:
    """A name that holds where a figure is below a line, and the question that is open where it is not clear of it."""

    figure: Estimate
    line: float
    grade: Grade
    name: str
    sentence: str
    question: str


def _first_settled(steps: tuple[_Step, ...], told: str) -> Finding | None:
    """The first name that holds, or the first question that is open, since later names ask for an answer to it; None
    where all figures are clear above their lines."""
    for step in steps:
        if step.figure.below(step.line):
            return Finding(step.grade, step.name, f"{step.sentence} {told}")
        if not step.figure.above(step.line):
            settled_by = _more([(step.figure, step.line)])
            return Finding("unsure", "undecided", f"Undecided {step.question}. {told} {settled_by}")
    return None


def _told_alone(evidence: Evidence, figures: Mapping[str, Estimate]) -> str:
    """What each input draws without the other, in sentences."""
    alone, whole = (decibels(figures[name]) for name in ("codes_only", "whole"))
    parts = [f"The codes alone draw {alone}, and with the embedding it is {whole}"]
    if "against_twin" in figures:
        twin, against = decibels(figures["twin"]), decibels(figures["against_twin"], plus=True)
        parts.append(f"{evidence.twin}, of the same size and with nothing else, draws {twin}, which leaves {against}")
    if "embedding_only" in figures:
        only = decibels(figures["embedding_only"])
        parts.append(f"the embedding beside one and the same code in every cell draws {only}")
    return "; ".join(parts) + "."


def _one_input(summary: Summary) -> Finding:
    return Finding("good", "one input", "One input: the codes are all that this decoder is given, so it follows them.")


def _codes_of_one_input(evidence: Evidence, summary: Summary) -> Finding:
    """The second part for a decoder with one input: whether its codes matter."""
    worth = summary.figures.get("codes_worth")
    few = _too_few(evidence, summary)
    told = f"The codes draw {decibels(summary.figures['whole'])}"
    told += f", and other codes in their place cost {decibels(worth)}." if worth else "."
    if few:
        return few if few.name == "cannot tell" else Finding(few.grade, few.name, f"{few.sentence} {told}")
    worth = summary.figures["codes_worth"]
    nothing = "Draws nothing from the codes."
    steps = (
        _Step(worth, -ALL_THE_SAME, "poor", "the codes harm", "The codes harm.", "whether the codes harm"),
        _Step(worth, LEAST_GAIN, "poor", "draws nothing from the codes", nothing, "whether it draws from the codes"),
    )
    return _first_settled(steps, told) or Finding("good", "draws from the codes", f"Draws from the codes. {told}")


# --- where the views differ -------------------------------------------------------------------------------------------

LEADS = 1.5  # how many times larger one figure has to be for its input to lead


def explain(summary: Summary, *, gradient: float | None = None) -> str:
    """One paragraph on where bars, swap, gradient and boundary test agree or differ, and why; empty for one input.

    gradient: median over the cells of log2(codes / embedding) of the sensitivity map, scaled by the inputs' own sizes.
    """
    return " ".join(_explained(summary, gradient))


def _explained(summary: Summary, gradient: float | None) -> Iterator[str]:
    now = summary.now
    if summary.inputs == 1 or now is None:
        return
    leader = _leader(now.code.value, now.embedding.value)
    yield (
        f"At the borders, on known ground, {leader}: code {_number(now.code.value, 2)}, "
        f"embedding {_number(now.embedding.value, 2)}."
    )
    shuffled, codes_beyond = summary.costs.get(CODES_SHUFFLED), summary.beyond.get(CODES_SHUFFLED)
    embeddings = summary.costs.get(Ablation("embedding", "shuffle"))
    if shuffled and embeddings:
        bars = _leader(shuffled.value, embeddings.value)
        agree = "The bars agree" if bars == leader else f"By the bars {bars}"
        yield (
            f"{agree}: shuffled, the codes cost {_number(shuffled.value, 1)} dB and the embedding "
            f"{_number(embeddings.value, 1)} dB."
        )
        if bars != leader or shuffled.value >= LEAST_GAIN:
            beyond = (
                ""
                if codes_beyond is None
                else f", and {codes_beyond:.0%} of its cells lie beyond anything met in training"
            )
            yield (
                "Shuffling puts codes beside embeddings that are not theirs, so what it costs is disturbance as well "
                f"as use{beyond}."
            )
    same = summary.costs.get(SAME_CODE)
    off = summary.costs.get(EMBEDDING_OFF)
    if same and off:
        relation = "more" if same.value > off.value else "no more"
        yield (
            f"On known ground, the embedding of another cell with the same code costs {_number(same.value, 1)} dB, "
            f"{relation} than none at all ({_number(off.value, 1)} dB)."
        )
    to_embedding, to_codes = (summary.figures.get(f"swap_to_{name}") for name in ("embedding", "codes"))
    if to_embedding and to_codes:
        nearer = "the embedding's" if to_embedding.value > to_codes.value else "the codes'"
        yield (
            f"With another image's codes the result is nearer to {nearer} picture: {_number(to_embedding.value, 1)} dB "
            f"to that of the embedding, {_number(to_codes.value, 1)} dB to that of the codes."
        )
    if gradient is not None:
        larger = "code" if gradient > 0 else "embedding"
        yield (
            f"For small changes of their own size, the {larger} moves the median cell {2 ** abs(gradient):.1f} times "
            "as much as the other input does; that is a slope, and codes come in steps."
        )


def _leader(code: float, embedding: float) -> str:
    """Which of two figures leads."""
    if code >= LEADS * max(embedding, 0) and code > 0:
        return "the code leads"
    if embedding >= LEADS * max(code, 0) and embedding > 0:
        return "the embedding leads"
    return "neither leads" if max(code, embedding) > 0 else "neither counts"


# --- in words ---------------------------------------------------------------------------------------------------------


def share(estimate: Estimate) -> str:
    """ "0.62 [0.60, 0.65]"."""
    return ranged(estimate)


def ranged(estimate: Estimate, *, digits: int = 2) -> str:
    """A mean with its interval, where it has one."""
    value = _number(estimate.value, digits)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{_number(estimate.low, digits)}, {_number(estimate.high, digits)}]"


def decibels(estimate: Estimate, *, sign: int = 1, plus: bool = False) -> str:
    """A mean in dB with its interval, which is turned round by a sign of −1."""
    if sign < 0:
        low, high = (None if end is None else -end for end in (estimate.high, estimate.low))
        estimate = Estimate(-estimate.value, low, high, estimate.images)
    text = ranged(estimate, digits=1)
    return f"{'+' if plus and estimate.value >= 0 else ''}{text} dB"


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _blend(blend: float) -> str:
    return f"{blend:.0%}"


def _more(unclear: list[tuple[Estimate, float]]) -> str:
    """How many more images would likely bring each clear of its line."""
    needed = [(one.images_to_clear(line), one.images) for one, line in unclear]
    more = [many - images for many, images in needed if many is not None]
    if len(more) < len(unclear) or max(more) > MOST_MORE:
        return "No number of images that can be had is likely to settle it: the mean lies on the line."
    return f"About {counted(max(more), 'more image')} would likely settle it."
