"""A comparison in forms that can be cited: a table to read, one HTML file, JSON and CSV with every measurement."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from explorer.base import tables
from explorer.base.tables import encodable
from explorer.base.versions import versions
from explorer.compare import codebooks, distortion, html, inputs
from explorer.compare import table as figures
from explorer.compare.codebooks import Codebooks
from explorer.compare.distortion import Distortion
from explorer.compare.examples import Example
from explorer.compare.inputs import Side
from explorer.compare.records import Compared, Comparison, Row, Seen
from explorer.compare.sentences import INTERVALS, coverage, digest, heading
from explorer.compare.table import Table
from vqvae.checkpoint import write_atomically
from vqvae.errors import BadInput, shown
from vqvae.places import check_file

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Report:
    """A comparison with all that is concluded from it, and what is shown of it."""

    comparison: Comparison
    command: str  # that gives the same figures; empty where none does, as for a picture that was uploaded
    distortion: Distortion | str | None = None  # or why there is none, in a sentence; None where it was not asked for
    codebooks: Codebooks | None = None
    examples: tuple[Example, ...] = ()  # the images on which the models differ most, drawn
    sides: tuple[Side | str, ...] = ()  # the reliance test of each model, or why it has none; nothing where not asked

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """All figures, with each of the models in turn as the one that the others are held against."""
        comparison = self.comparison
        return tuple(figures.table_of(comparison, reference=place) for place in range(len(comparison.models)))

    def __str__(self) -> str:
        return table(self)

    def save(self, path: str | Path) -> None:
        """Write a file, whole or not at all, whose ending says its form: .html, .json or .csv. Raises BadInput."""
        data = FORMS[form_of(str(path))](self).encode()
        check_file(Path(path))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), data)


def form_of(path: str) -> str:
    """The form that a file's ending says; raises BadInput for another."""
    form = Path(path).suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise BadInput(f"{shown(path)} says no form; a report ends in .html, .json or .csv.")
    return form


# --- to read ----------------------------------------------------------------------------------------------------------


def table(report: Report) -> str:
    """All figures of all models in columns, and how they differ, in sentences."""
    comparison = report.comparison
    lines = [heading(comparison), coverage(comparison), "", figures.as_text(report.tables[0]), "", INTERVALS]
    for model, side in zip(comparison.models, report.sides, strict=False):
        parts = [side] if isinstance(side, str) else inputs.said_of(side.report)
        lines += ["", f"{model.name}, its inputs:", *(f"  {part}" for part in parts)]
    return "\n".join(lines)


# --- to compute with --------------------------------------------------------------------------------------------------


def as_html(report: Report) -> str:
    """One page that asks for nothing from anywhere; see `explorer.compare.html`."""
    return html.page(report)


def as_json(report: Report) -> str:
    """Everything, down to each image by each model; the same measurements give the same text, to the byte."""
    return encodable(json.dumps(plain(report), indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def plain(report: Report) -> dict[str, Any]:
    """The report as JSON values; null where there is no such figure. A PSNR of pictures that are equal is null, too."""
    comparison = report.comparison
    return {
        "schema_version": SCHEMA_VERSION,
        "models": [_plain_model(model) for model in comparison.models],
        "data": comparison.data,
        "data_identity": comparison.identity,
        "pixels_sha256": digest(comparison),
        "command": report.command or None,
        "versions": versions(),
        "settings": asdict(comparison.settings),
        "finished": comparison.finished,
        "asked": comparison.asked,
        "images": len(comparison.rows),
        "figures": list(_plain_figures(report.tables[0])),
        "differences": [found for one in report.tables for found in _plain_differences(one)],
        "intervals": INTERVALS,
        "rate": _plain_rate(report.distortion),
        "codebooks": report.codebooks and codebooks.plain(report.codebooks, [one.name for one in comparison.models]),
        "reliance": _plain_reliance(report) if report.sides else None,
        "rows": list(rows(comparison)),
        "skipped": [{"name": name, "reason": reason} for name, reason in comparison.unreadable],
        "repeated": [{"name": name, "same_as": same} for name, same in comparison.repeated],
    }


def _plain_model(model: Compared) -> dict[str, Any]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "family": model.spec.family,
        "decoder_inputs": model.spec.inputs,
        "levels": [asdict(level) for level in model.spec.levels],
        "parameters": model.parameters,
        "device": model.device,
    }


def _plain_figures(found: Table) -> Iterator[Mapping[str, Any]]:
    """Each figure of each model with its interval."""
    names = ("figure", "unit", "model", "value", "low", "high", "images")
    for row in figures.plain(found):
        yield {name: row[name] for name in names}


def _plain_differences(found: Table) -> Iterator[Mapping[str, Any]]:
    """How each model behind the reference differs from it; the other way round it is the same with another sign."""
    for number, row in enumerate(figures.plain(found)):
        place = number % len(found.models)  # and not the name: several may have the same
        if place > found.reference and row["reference"] is not None:
            named = {"figure": row["figure"], "unit": row["unit"], "model": row["model"], "minus": row["reference"]}
            ends = ("low", "high", "images")
            yield named | {"value": row["difference"]} | {end: row[f"difference_{end}"] for end in ends}


def _plain_rate(found: Distortion | str | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"refused": [found]} if isinstance(found, str) else distortion.plain(found)


def _plain_reliance(report: Report) -> dict[str, Any]:
    """The reliance test of the models that could be tested, and why the others could not."""
    sides = [side for side in report.sides if isinstance(side, Side)]
    named = zip(report.comparison.models, report.sides, strict=True)
    return {
        "settings": asdict(sides[0].report.evidence.settings) if sides else None,
        "verdicts": inputs.verdicts(sides),
        "figures": inputs.plain_rows(sides),
        "refused": [{"model": model.name, "reason": side} for model, side in named if isinstance(side, str)],
    }


COLUMNS = (
    "image",
    "sha256",
    "height",
    "width",
    "model",
    "fingerprint",
    "psnr",
    "ssim",
    "colour_difference",
    "tokens",
    "bits",
    "bits_per_pixel",
    "distinct_codes",
    "encode_ms",
    "decode_ms",
    "peak_bytes",
    "failed",
)


def as_csv(report: Report) -> str:
    """Every image by every model, a row each.

    A name that a spreadsheet would run as a formula is led by an apostrophe. Lines end as RFC 4180 says.
    """
    return tables.as_csv(COLUMNS, rows(report.comparison))


def rows(comparison: Comparison) -> Iterator[Mapping[str, Any]]:
    """Every image by every model, with all of COLUMNS."""
    for row in comparison.rows:
        for model, seen in zip(comparison.models, row.seen, strict=True):
            named = {
                "image": row.name,
                "sha256": row.digest,
                "height": row.size[0],
                "width": row.size[1],
                "model": model.name,
                "fingerprint": model.fingerprint,
            }
            figures = {"failed": seen} if isinstance(seen, str) else _figures(row, model, seen)
            yield dict.fromkeys(COLUMNS) | named | figures


def _figures(row: Row, model: Compared, seen: Seen) -> dict[str, Any]:
    """What stands in one model's row of an image; the bits are those of indices that all cost the same."""
    bits = figures.bits(model, seen)
    return {
        "psnr": seen.psnr if math.isfinite(seen.psnr) else None,
        "ssim": seen.ssim,
        "colour_difference": seen.colour_difference,
        "tokens": seen.tokens,
        "bits": bits,
        "bits_per_pixel": bits / (row.size[0] * row.size[1]),
        "distinct_codes": sum(len(np.unique(grid)) for grid in seen.indices),
        "encode_ms": seen.encode_ms,
        "decode_ms": seen.decode_ms,
        "peak_bytes": seen.peak_bytes,
    }


FORMS: dict[str, Callable[[Report], str]] = {"html": as_html, "json": as_json, "csv": as_csv}
