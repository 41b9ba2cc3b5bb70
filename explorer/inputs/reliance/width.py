"""What a second input costs and brings by how many numbers a cell it passes through: measured, and kept in a file.

A decoder that is given the whole embedding needs no codes, since a code is a function of its embedding. Through few
numbers a cell the embedding does not hold it all, and the decoder needs both. `python -m benchmarks.second_input`
measures models of different widths on the same images and writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from explorer.base.bootstrap import Estimate
from explorer.base.sealed import sealed, unsealed
from vqvae.checkpoint import write_atomically

FILE = "second_input.json"
NUMBER_BITS = 32  # of a float32


@dataclass(frozen=True)
class Width:
    """A model whose second input passes through so many numbers a cell; means over images with their intervals."""

    channels: int | None  # None: all D
    bits: int  # a cell, of the second input as float32, beside those of the code
    codes_only: Estimate  # PSNR in dB
    gain: Estimate  # dB of the whole over the codes alone
    code: Estimate  # share with which the decoder follows the code, at a blend of 1
    embedding: Estimate  # likewise the embedding


@dataclass(frozen=True)
class Widths:
    """Several models that differ in that alone, on the same images."""

    about: str  # how they were trained and measured, in a sentence
    code_bits: float  # log2 K, a cell
    widths: tuple[Width, ...]  # narrow ones first


def save(folder: Path, widths: Widths) -> None:
    """Put the figures beside a model, with a checksum."""
    text = json.dumps(sealed(asdict(widths)), indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / FILE, text.encode())


def load(folder: Path) -> Widths | None:
    """The figures in a checkpoint's folder; None where there are none, or the file is damaged."""
    try:
        stored = unsealed(json.loads((folder / FILE).read_bytes()))
        widths = tuple(_width(one) for one in stored["widths"])
        return Widths(str(stored["about"]), float(stored["code_bits"]), widths) if widths else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _width(stored: Mapping[str, Any]) -> Width:
    channels = None if stored["channels"] is None else int(stored["channels"])
    names = ("codes_only", "gain", "code", "embedding")
    return Width(channels, int(stored["bits"]), *(_estimate(stored[name]) for name in names))


def _estimate(stored: Mapping[str, Any]) -> Estimate:
    low, high = (None if stored[end] is None else float(stored[end]) for end in ("low", "high"))
    return Estimate(float(stored["value"]), low, high, int(stored["images"]))


def table(widths: Sequence[Width]) -> str:
    """In columns, for a command and a README."""
    lines = ["numbers a cell   bits a cell   codes only       gain, dB   follows code   follows embedding"]
    for one in widths:
        channels = "all" if one.channels is None else str(one.channels)
        lines.append(
            f"{channels:>14}{one.bits:>14,}{one.codes_only.value:>13.2f}{one.gain.value:>15.2f}"
            f"{one.code.value:>15.2f}{one.embedding.value:>20.2f}"
        )
    return "\n".join(lines)
