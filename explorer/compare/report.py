"""A comparison in forms that can be cited: a table to read, one HTML file, JSON and CSV with every measurement."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explorer.base import tables
from explorer.base.tables import encodable
from explorer.base.versions import versions
from explorer.compare import html
from explorer.compare.examples import Example
from explorer.compare.records import Compared, Comparison, Row, Seen
from explorer.compare.sentences import digest, heading
from vqvae.checkpoint import write_atomically
from vqvae.errors import BadInput, shown
from vqvae.places import check_file

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Report:
    """A comparison with all that is concluded from it, and what is shown of it."""

    comparison: Comparison
    command: str  # that gives the same figures
    examples: tuple[Example, ...] = ()  # the images on which the models differ most, drawn

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
    """All figures of all models, in columns."""
    return heading(report.comparison)


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
        "command": report.command,
        "versions": versions(),
        "settings": asdict(comparison.settings),
        "finished": comparison.finished,
        "asked": comparison.asked,
        "images": len(comparison.rows),
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
    bits = sum(grid.size * math.log2(level.codes) for grid, level in zip(seen.indices, model.spec.levels, strict=True))
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
