"""What the codes of one picture cost, and how good a JPEG, WebP or AVIF of as many bytes is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.base.figure import Figure
from explorer.compare.coding import CodeLengths, code_lengths
from explorer.images.reconstruction import Quality, amount, compare, decibels
from explorer.images.written import Size, Written
from vqvae.codecs import CODECS, Codec
from vqvae.words import counted


@dataclass(frozen=True)
class Best:
    """The best file of a codec within some bytes; where none is so small, the one of its lowest quality."""

    size: Size
    closeness: Quality
    fits: bool


@dataclass(frozen=True)
class Beside:
    """What a codec makes of a picture within some bytes; nothing where it cannot be written here."""

    codec: Codec
    file: Best | None  # the whole file counted
    data: Best | None  # its headers not counted


@dataclass(frozen=True, eq=False)
class Price:
    """What the codes of a picture cost, and what others make of as many bytes."""

    codes: int  # K
    cells: int
    bits: CodeLengths  # of this picture alone
    beside: tuple[Beside, ...]

    @property
    def bytes(self) -> float:
        """Of the codes, log2 K bits each."""
        return float(self.bits.fixed[0]) / 8


def price(pixels: np.ndarray, indices: np.ndarray, codes: int) -> Price:
    """The price of a picture, uint8 [H, W, 3], whose codes are a grid of indices [h, w] below K."""
    bits = code_lengths([(indices,)], [codes])
    files, beside = Written(lambda: pixels, compare), []
    for codec in CODECS:
        both = (_best(files, codec, bits.fixed[0] / 8, headers=headers) for headers in (True, False))
        beside.append(Beside(codec, *both) if codec.available else Beside(codec, None, None))
    return Price(codes, indices.size, bits, tuple(beside))


def _best(files: Written[Quality], codec: Codec, most_bytes: float, *, headers: bool) -> Best:
    quality = files.best(codec, most_bytes, headers=headers)
    taken = codec.qualities[0] if quality is None else quality
    return Best(files.size(codec, taken), files.closeness(codec, taken), quality is not None)


def price_figures(found: Price) -> list[Figure]:
    """The price as figures in a row."""
    return [_codes_figure(found), *(_codec_figure(found, beside) for beside in found.beside)]


def _codes_figure(found: Price) -> Figure:
    fixed, order0, near = (float(bits[0]) for bits in (found.bits.fixed, found.bits.order0, found.bits.conditioned))
    each = f"{near / found.cells:.2f} bits a cell"
    return Figure(
        "Codes, fixed → entropy-coded",
        f"{amount(found.bytes)} → {_estimate(near / 8)}",
        f"{counted(found.cells, 'cell')} × log2 {found.codes:,} bits = {fixed:,.0f} bits; {near:,.0f} when each code "
        f"is predicted from its left and upper neighbour ({each}{_saved(near, fixed)}), {order0:,.0f} from how often "
        "each came before. Counted for this picture alone; it can be decoded without storing any table beside it.",
    )


def _estimate(number_of_bytes: float) -> str:
    """What an entropy coder would take; of a hundred bytes and more only whole ones are known."""
    return amount(number_of_bytes if number_of_bytes < 100 else round(number_of_bytes))


def _saved(bits: float, fixed: float) -> str:
    return f", {1 - bits / fixed:.0%} less" if fixed and bits < fixed else ""


def _codec_figure(found: Price, beside: Beside) -> Figure:
    name, most = beside.codec.name, amount(found.bytes)
    label = f"{name}, equal bytes → without headers"
    if beside.file is None or beside.data is None:
        return Figure(label, "–", f"The Pillow that is installed here writes no {name}.")
    file, data = beside.file, beside.data
    with_headers, without = (decibels(one.closeness.psnr) if one.fits else "none this small" for one in (file, data))
    return Figure(
        label,
        f"{with_headers} → {without} dB" if data.fits else without,
        f"PSNR of the best {name} of at most {most}, to compare with the codes alone. "
        + (f"It takes {amount(file.size.file)}. " if file.fits else _none(beside.codec, file))
        + (_without_headers if data.fits else _none_without_headers)(beside.codec, data),
    )


def _none(codec: Codec, smallest: Best) -> str:
    psnr = decibels(smallest.closeness.psnr)
    return f"No {codec.name} is this small: the smallest takes {amount(smallest.size.file)} and has {psnr} dB. "


def _without_headers(codec: Codec, best: Best) -> str:
    left_out = f"The codes have no header, so the second figure leaves the file's headers out too ({codec.headers})"
    return f"{left_out}: its data take {amount(best.size.data)}."


def _none_without_headers(codec: Codec, smallest: Best) -> str:
    left_out = f"The codes have no header; with the file's headers left out too ({codec.headers})"
    return f"{left_out} the smallest takes {amount(smallest.size.data)} and has {decibels(smallest.closeness.psnr)} dB."
