"""The evidence in forms that can be cited: a table to read, a methods section, JSON and CSV with every measurement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import explorer
from explorer.base import tables
from explorer.base.bootstrap import CONFIDENCE, RESAMPLES, Estimate
from explorer.base.tables import encodable
from explorer.base.versions import versions
from explorer.images.reconstruction import Quality
from explorer.inputs.reliance.ablations import CODES_OF_ANOTHER, CODES_SHUFFLED, INPUTS, WAYS, Cost
from explorer.inputs.reliance.boundary import BORDER
from explorer.inputs.reliance.measure import Evidence
from explorer.inputs.reliance.verdict import (
    FIGURES,
    LINES,
    Following,
    Judgement,
    Summary,
    decibels,
    explain,
    judge,
    ranged,
    summarize,
)

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Provenance:
    """What was tested on what, by their hashes."""

    model: str  # its name
    fingerprint: str  # SHA-256 of config and weights
    data: str  # the set, for people
    identity: str  # the set's SHA-256
    command: str  # that gives the same figures
    twin: str = ""  # the twin's fingerprint, where there is one


@dataclass(frozen=True)
class Report:
    """A test with all that is concluded from it."""

    provenance: Provenance
    evidence: Evidence
    summary: Summary
    judgement: Judgement

    @classmethod
    def of(cls, evidence: Evidence, provenance: Provenance) -> Report:
        """Draw the conclusions from evidence."""
        summary = summarize(evidence)
        return cls(provenance, evidence, summary, judge(evidence, summary))

    def __str__(self) -> str:
        return table(self)


# --- to read ----------------------------------------------------------------------------------------------------------


def table(report: Report) -> str:
    """The verdict and all means with their intervals, in columns."""
    evidence, summary = report.evidence, report.summary
    lines = [part.sentence for part in report.judgement.parts]
    lines += ["", f"{counted(evidence)} 95 % intervals by the bootstrap over images."]
    if summary.following:
        lines += ["", f"{'at the borders':<22}{'code':>24}{'embedding':>24}{'‖A‖/‖B‖':>24}{'not additive':>24}"]
        lines += [_row_of_blend(one) for one in summary.following]
    lines += ["", f"{'replaced, and by what':<46}{'costs, dB':>22}{'beyond training':>20}"]
    for ablation, cost in summary.costs.items():
        beyond = summary.beyond.get(ablation)
        where = "–" if beyond is None else f"{beyond:.0%} of the cells"
        lines.append(f"{ablation.label:<46}{ranged(cost):>22}{where:>20}")
    lines += ["", *(f"{FIGURES[name]}: {ranged(figure)}" for name, figure in summary.figures.items())]
    if paragraph := explain(summary):
        lines += ["", paragraph]
    return "\n".join([*lines, "", LINES])


def _row_of_blend(one: Following) -> str:
    figures = (one.code, one.embedding, one.code_size, one.not_additive)
    return f"{f'blend {one.blend:.0%}':<22}" + "".join(f"{ranged(figure):>24}" for figure in figures)


def counted(evidence: Evidence) -> str:
    """How many images there were, and what became of each, in a sentence."""
    count = "counts" if len(evidence.counted) == 1 else "count"
    parts = [f"{len(evidence.counted):,} of {evidence.asked:,} {'image' if evidence.asked == 1 else 'images'} {count}"]
    if aside := len(evidence.images) - len(evidence.counted):
        parts.append(f"{aside:,} set aside as flat or a single cell")
    if evidence.repeated:
        parts.append(f"{len(evidence.repeated):,} with the pixels of another")
    if evidence.unreadable:
        parts.append(f"{len(evidence.unreadable):,} that cannot be read")
    if not evidence.finished:
        parts.append("stopped before the others, so these figures are partial")
    return ", ".join(parts) + "."


def methods(report: Report) -> str:
    """A methods paragraph in English with the figures in it, to be put into a paper."""
    evidence, summary, source = report.evidence, report.summary, report.provenance
    settings = evidence.settings
    first, second = report.judgement.parts
    text = [
        f"We ran the reliance test of VQ-VAE Explorer {explorer.__version__} on {source.model} "
        f"(SHA-256 {source.fingerprint[:16]}) over {source.data} (SHA-256 of the measured pixels "
        f"{evidence.digest[:16]}): {counted(evidence)}",
        f"Images were shrunk to at most {settings.working_size} px on the long side.",
    ]
    if summary.inputs == 2 and summary.now is not None:
        now = summary.now
        clamped = "before clamping" if evidence.unclamped else "after clamping, since the model offers no other"
        text.append(
            f"Whom the decoder follows was measured at the borders between codes: on {summary.border_cells:,} cells "
            f"whose second nearest code is at most {BORDER:.0%} further than their own, the code, the embedding, or "
            f"both were moved by the difference of the two codes, and the change of the picture ({clamped}) was "
            f"projected on that of both. At a blend of {now.blend:.0%} the decoder follows the code by "
            f"{ranged(now.code)} and the embedding by {ranged(now.embedding)}; ‖A‖ / ‖B‖ = {ranged(now.code_size)}, "
            f"and it is not additive by {ranged(now.not_additive)}."
        )
    figures = summary.figures
    if "embedding_worth" in figures:
        text.append(
            f"With the codes alone PSNR is {decibels(figures['codes_only'])}; switching the embedding off costs "
            f"{decibels(figures['embedding_worth'])}."
        )
    if "codes_worth" in figures:
        text.append(f"Other codes ({_draws(evidence)}) cost {decibels(figures['codes_worth'])}.")
    if "against_twin" in figures:
        text.append(
            f"Against {evidence.twin} (SHA-256 {source.twin[:16]}), which has one input, the codes alone make "
            f"{decibels(figures['against_twin'], plus=True)}."
        )
    text.append(
        f"Intervals are {CONFIDENCE:.0%}, by a paired bootstrap over images ({RESAMPLES:,} resamples, percentiles "
        f"expanded for small samples, Hesterberg 2015, and no end nearer than that of Student's t corrected for "
        f"skewness, Johnson 1978), seed {settings.seed}. Verdict: {first.name}; {second.name}."
    )
    return " ".join(text)


def _draws(evidence: Evidence) -> str:
    """How often the codes were replaced, as it came about: there may be fewer other images than were asked for."""
    shuffled, another = (
        max(len(image.costs_of(one)) for image in evidence.images) for one in (CODES_SHUFFLED, CODES_OF_ANOTHER)
    )
    others = f"those of {another} other {'image' if another == 1 else 'images'}" if another else "of no other image"
    return f"shuffled in {shuffled} {'order' if shuffled == 1 else 'orders'}, and {others}"


# --- to compute with --------------------------------------------------------------------------------------------------


def as_json(report: Report) -> str:
    """Everything, down to each image, ablation, partner and seed; the same test gives the same text, to the byte."""
    return encodable(json.dumps(plain(report), indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def plain(report: Report) -> dict[str, Any]:
    """The report as JSON values. PSNR in dB (at most 60), SSIM or null, shares as fractions."""
    evidence, summary, source = report.evidence, report.summary, report.provenance
    first, second = report.judgement.parts
    return {
        "schema_version": SCHEMA_VERSION,
        "checkpoint": source.model,
        "fingerprint": source.fingerprint,
        "data": source.data,
        "data_identity": source.identity,
        "pixels_sha256": evidence.digest,
        "twin": {"name": evidence.twin, "fingerprint": source.twin} if evidence.twin else None,
        "command": source.command,
        "versions": versions(),
        "settings": asdict(evidence.settings) | {"blends": list(evidence.settings.blends), "border": BORDER},
        "working_size": evidence.settings.working_size,
        "decoder_inputs": evidence.inputs,
        "finished": evidence.finished,
        "asked": evidence.asked,
        "images": summary.images,
        "unclamped": evidence.unclamped,
        "verdict": {
            "follows": asdict(first) | {"level": first.grade},
            "stands_alone": asdict(second) | {"level": second.grade},
            "lines": LINES,
        },
        "explanation": explain(summary),
        "methods": methods(report),
        "follows": [_plain_following(one) for one in summary.following],
        "border_cells": summary.border_cells,
        "figures": {name: _plain_estimate(figure) for name, figure in summary.figures.items()},
        "costs": [
            {
                "replaced": INPUTS[ablation.input],
                "by": WAYS[ablation.way],
                **_plain_estimate(cost),
                "beyond_training": summary.beyond.get(ablation),
            }
            for ablation, cost in summary.costs.items()
        ],
        "rows": list(rows(evidence)),
        "skipped": [{"name": name, "reason": reason} for name, reason in evidence.unreadable],
        "repeated": [{"name": name, "same_as": same} for name, same in evidence.repeated],
        "aside": [{"name": image.name, "reason": image.aside} for image in evidence.images if image.aside],
    }


def _plain_estimate(estimate: Estimate) -> dict[str, Any]:
    return asdict(estimate)


def _plain_following(one: Following) -> dict[str, Any]:
    return {
        "blend": one.blend,
        **{name: asdict(getattr(one, name)) for name in ("code", "embedding", "code_size", "not_additive")},
    }


COLUMNS = (
    "kind",
    "image",
    "sha256",
    "replaced",
    "by",
    "partner",
    "seed",
    "psnr",
    "ssim",
    "cost",
    "moved",
    "beyond_training",
    "psnr_to_embedding",
    "psnr_to_codes",
    "row",
    "column",
    "code",
    "runner_up",
    "margin",
    "blend",
    "code_share",
    "embedding_share",
    "code_size",
    "not_additive",
)


def as_csv(report: Report) -> str:
    """Every measurement, a row each: images whole, each ablation with each draw, each border cell at each blend.

    A name that a spreadsheet would run as a formula is led by an apostrophe. Lines end as RFC 4180 says.
    """
    return tables.as_csv(COLUMNS, rows(report.evidence))


def rows(evidence: Evidence) -> Iterator[Mapping[str, Any]]:
    """Every measurement, with those of COLUMNS that it has."""
    for image in evidence.images:
        named = {"image": image.name, "sha256": image.digest}
        yield {"kind": "whole", **named, **_quality(image.whole)}
        if image.twin is not None:
            yield {"kind": "twin", **named, **_quality(image.twin)}
        for cost in image.costs:
            yield {"kind": "ablation", **named, **_plain_cost(cost)}
        for cell in image.moved:
            for blend, change in zip(evidence.settings.blends, cell.changes, strict=True):
                yield {
                    "kind": "border",
                    **named,
                    "row": cell.cell[0],
                    "column": cell.cell[1],
                    "code": cell.code,
                    "runner_up": cell.runner_up,
                    "margin": cell.margin,
                    "blend": blend,
                    "code_share": _finite(change.code_share),
                    "embedding_share": _finite(change.embedding_share),
                    "code_size": _finite(change.code_size),
                    "not_additive": _finite(change.not_additive),
                }


def _plain_cost(cost: Cost) -> dict[str, Any]:
    return {
        "replaced": INPUTS[cost.ablation.input],
        "by": WAYS[cost.ablation.way],
        "partner": cost.partner,
        "seed": cost.seed,
        **_quality(cost.quality),
        "cost": cost.drop,
        "moved": cost.moved,
        "beyond_training": cost.beyond,
        "psnr_to_embedding": cost.to_embedding,
        "psnr_to_codes": cost.to_codes,
    }


def _quality(quality: Quality) -> dict[str, Any]:
    return {"psnr": quality.psnr, "ssim": quality.ssim}


def _finite(value: float) -> float | None:
    """None where nothing moved the picture."""
    return value if value == value else None


# --- the tables of the page -------------------------------------------------------------------------------------------


def following_rows(summary: Summary) -> list[dict[str, Any]]:
    """Whom the decoder follows at each blend; shares as fractions."""
    return [
        {
            "blend": one.blend,
            **interval_columns("follows the code", one.code),
            **interval_columns("follows the embedding", one.embedding),
            **interval_columns("‖A‖ / ‖B‖", one.code_size),
            **interval_columns("not additive", one.not_additive),
        }
        for one in summary.following
    ]


def cost_rows(summary: Summary) -> list[dict[str, Any]]:
    """What it costs to replace each input in each way, in dB of PSNR, and which share lies beyond training."""
    return [
        {
            "replaced": INPUTS[one.input],
            "by": WAYS[one.way],
            **interval_columns("cost, dB", cost),
            "beyond training, share of the cells": summary.beyond.get(one),
        }
        for one, cost in summary.costs.items()
    ]


def figure_rows(summary: Summary) -> list[dict[str, Any]]:
    """The remaining figures, in dB where they are of PSNR."""
    return [{"figure": FIGURES[name]} | interval_columns("mean", one) for name, one in summary.figures.items()]


def interval_columns(name: str, estimate: Estimate) -> dict[str, Any]:
    """An estimate as columns: its value, and the ends of its 95 % interval where it has one."""
    return {name: estimate.value, f"{name}, low": estimate.low, f"{name}, high": estimate.high}
