"""Codes to paint with: lists of them, each code with the number that it is listed by, and what they would look like."""

import re
from dataclasses import dataclass

import numpy as np
import torch

from explorer.base.cell import Cell
from explorer.codebook.dossier import CONTEXT, patch_pictures
from explorer.codebook.geometry import nearest_codes
from explorer.editing.edits import Edit
from explorer.editing.probes import decode_each, surroundings
from explorer.index.read import Index
from explorer.index.usage import MOST_SAMPLED, counts_of_image
from vqvae.errors import BadInput, shown
from vqvae.images import fit_to, to_image, to_pixels, to_tensor
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer
from vqvae.words import counted

MOST_FOUND = 256  # codes that a search lists
LONGEST_SEARCH = 400  # characters
LARGEST_PATCH = 256  # pixels a side
PRIOR_CELLS = 64.0  # α: how many cells of chance each neighbour's counts are mixed with

_STEPS = ((0, -1), (0, 1), (-1, 0), (1, 0))  # to the neighbour on the left, on the right, above and below
_RANGE = re.compile(r"#?([0-9]+)\s*[-–]\s*#?([0-9]+)|#?([0-9]+)")


@dataclass(frozen=True)
class Suggestion:
    """A code to paint with."""

    code: int
    value: float  # what the list is ordered by
    meaning: str  # the value in words


# --- by picture, by code, by number -----------------------------------------------------------------------------------


def codes_of_picture(indices: np.ndarray) -> list[Suggestion]:
    """The codes of a grid [h, w] by falling count, of the same count the lowest first."""
    codes, counts = np.unique(indices, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [
        Suggestion(code, count, f"{counted(count, 'cell')} of this picture")
        for code, count in zip(codes[order].tolist(), counts[order].tolist(), strict=True)
    ]


def nearest(codebook: Codebook, code: int, most: int = 24) -> list[Suggestion]:
    """The other codes nearest to one, as the metric measures it, nearest first; raises BadInput."""
    _check_code(code, len(codebook))
    found = nearest_codes(codebook, code, most)
    return [Suggestion(near.code, near.value, f"{near.value:.2f} from code {code}") for near in found]


@dataclass(frozen=True)
class Found:
    """What a search for codes by number found."""

    codes: tuple[int, ...]  # each once, in the order of the text
    note: str  # one sentence where there is something to say, else ""


def search(text: str, codes: int) -> Found:
    """Codes 0…K−1 by number: "417" and all that begin so, "40-60", "12 90 7"; at most 256 of them.

    Numbers and ranges may be mixed, with spaces, commas or semicolons between them; a range may run down, and each
    number may have a # before it. Any other text finds nothing, and the note says why.
    """
    try:
        parts = _parts(text, codes)
    except BadInput as refusal:
        return Found((), str(refusal))
    if re.fullmatch(r"#?[0-9]+", text.strip()):
        parts += _continued(parts[0].start, codes)
    found: dict[int, None] = {}  # a set in the order of the text
    for part in parts:
        found.update(dict.fromkeys(part[:MOST_FOUND]))
    if max(len(found), *map(len, parts)) <= MOST_FOUND:
        return Found(tuple(found), "")
    return Found(tuple(found)[:MOST_FOUND], f"Only the first {MOST_FOUND} codes of this search are listed.")


def _parts(text: str, codes: int) -> list[range]:
    """The ranges of codes that a text names; raises BadInput."""
    how = "type a number such as 417, a range such as 40-60, or several such as 12 90 7"
    if len(text) > LONGEST_SEARCH:
        raise BadInput(f"The search is longer than {LONGEST_SEARCH} characters; {how}.")
    if re.search(r"[^\s,;]", _RANGE.sub("", text)):
        raise BadInput(f"{shown(text.strip())} names no codes; {how}.")
    parts = []
    for match in _RANGE.finditer(text):
        first, last = int(match[1] or match[3]), int(match[2] or match[3])
        _check_code(max(first, last), codes)
        parts.append(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    if not parts:
        raise BadInput(f"Nothing to search for; {how}.")
    return parts


def _continued(number: int, codes: int) -> list[range]:
    """The codes whose number begins with another and is longer: 4 -> 40…49, 400…499, …"""
    ranges, ten = [], 10
    while 0 < number * ten < codes:
        ranges.append(range(number * ten, min(codes, (number + 1) * ten)))
        ten *= 10
    return ranges


def alternatives_of_map(points: np.ndarray, place: tuple[float, float], most: int = 24) -> list[Suggestion]:
    """The codes nearest to a place on the map of codes, points [K, 2], nearest first; raises BadInput."""
    if not np.isfinite(place).all():
        raise BadInput("This place is not on the map; click on the map.")
    return _closest(np.linalg.norm(points - np.asarray(place, np.float64), axis=1), most, "from the place on the map")


# --- by look ----------------------------------------------------------------------------------------------------------


def by_colour(
    tiles: np.ndarray, colour: tuple[int, int, int], most: int = 24, *, codes: np.ndarray | None = None
) -> list[Suggestion]:
    """The codes whose tile's mean colour looks most like a colour, red, green and blue in 0…255; raises BadInput.

    tiles: uint8 [N, f, f, 3], mean colours as f = 1 among them; codes: int64 [N], whose tiles they are, or None for
    0…N−1. The value is ΔE*ab of CIE 1976, the distance in CIELAB: 2 is hardly seen, black and white are 100 apart.
    """
    if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
        raise BadInput(f"A colour has red, green and blue from 0 to 255, and {shown(colour)} is none.")
    distances = np.linalg.norm(_lab(tiles.mean(axis=(1, 2))) - _lab(np.asarray(colour, np.float64)), axis=1)
    order = np.argsort(distances, kind="stable")[:most]
    named = order if codes is None else codes[order]
    return [
        Suggestion(code, value, f"ΔE {value:.1f} from the colour")
        for code, value in zip(named.tolist(), distances[order].tolist(), strict=True)
    ]


# To CIE XYZ from linear sRGB (IEC 61966-2-1) with its white, D65; the rows add up to that white.
_XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB [..., 3] in 0…255 -> CIELAB (CIE 15:2004) under D65, float64 [..., 3]."""
    encoded = rgb / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    share = linear @ _XYZ_OF_RGB.T / _XYZ_OF_RGB.sum(1)
    x, y, z = np.moveaxis(np.where(share > (6 / 29) ** 3, np.cbrt(share), share * (29 / 6) ** 2 / 3 + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@torch.inference_mode()
def by_patch(tokenizer: Tokenizer, codebook: Codebook, patch: np.ndarray, most: int = 24) -> list[Suggestion]:
    """The codes that stand nearest to what the encoder makes of a patch, uint8 [s, s, 3] with s in 1…256.

    The patch is scaled to a cell and mirrored over two more on each side, or over the whole picture of a tokenizer that
    takes a single size; then the middle cell's embedding is compared with the codes. Of an oblong patch the middle is
    taken. Raises BadInput.
    """
    if patch.ndim != 3 or not all(1 <= side <= LARGEST_PATCH for side in patch.shape[:2]):
        raise BadInput(f"A patch has 1 to {LARGEST_PATCH} pixels a side; choose a smaller part of the picture.")
    stride, only = tokenizer.spec.stride, tokenizer.spec.sizes.only
    rows, columns = (side // stride for side in only) if only else (2 * CONTEXT + 1, 2 * CONTEXT + 1)
    tile = np.asarray(fit_to(to_image(patch), stride, (stride, stride)))
    around = [(length // 2 * stride, (length - 1 - length // 2) * stride) for length in (rows, columns)]
    encoding = tokenizer.encode(to_tensor(np.pad(tile, (*around, (0, 0)), mode="symmetric")))
    vector = encoding.embedding[0, :, rows // 2, columns // 2]
    return _closest(codebook.distances_from(vector), most, "from the patch")


# --- by cell ----------------------------------------------------------------------------------------------------------


def top_candidates(codebook: Codebook, base: Encoding, cell: Cell, most: int = 24) -> list[Suggestion]:
    """The codes nearest to the cell's own embedding, the encoder's ranking: the first is the one that it took."""
    rows, columns = base.grid.shape[-2:]
    surroundings(cell, 0, rows=rows, columns=columns)
    return _closest(codebook.distances_from(base.embedding[0, :, *cell]), most, "from the cell's embedding")


def plausible(
    index: Index, indices: np.ndarray, cell: Cell, most: int = 24, *, without: int | None = None
) -> list[Suggestion]:
    """The codes that fit a cell of a grid [h, w] best, given its neighbours, by how a set of images has them.

    Naive Bayes over the neighbours m_d, left, right, above and below, as far as there are any:

        score(c) = log p(c) + Σ_d log( (n(c beside m_d) + α·p(c)) / (n(m_d) + α) / p(c) )

    p(c) is the code's share of all cells of the index; n(m_d) counts the cells with code m_d that have a neighbour on
    the side that this cell is on, and n(c beside m_d) those whose neighbour there is c. α = 64 cells of chance
    keep what was seen once from outweighing the rest. (On the sample photos, each held out of the counts, the code that
    is there was among the best 24 in 20 % of the cells, and by usage alone in 5 %; a smaller α ranks no better and is
    far too sure.) From at most 100,000 cells of each neighbour's code. Codes that the set never uses are left out.

    The value is exp(score) as a share of the sum over all codes, 0…1. The cell's own code has no part in it; where the
    picture is itself in the set, give its number as `without` to leave it out of all counts, or it says what it has.
    Raises BadInput.
    """
    rows, columns = indices.shape
    surroundings(cell, 0, rows=rows, columns=columns)
    counts = index.counts if without is None else index.counts - counts_of_image(index, without)
    used = np.flatnonzero(counts)
    if not len(used):
        return []
    share = counts[used] / counts.sum()
    score = np.log(share)
    for down, right in _STEPS:
        row, column = cell[0] + down, cell[1] + right
        if 0 <= row < rows and 0 <= column < columns:
            neighbour = int(indices[row, column])
            _check_code(neighbour, len(index.counts))
            beside = _counts_beside(index, neighbour, down=-down, right=-right, without=without)
            score += np.log((beside[used] + PRIOR_CELLS * share) / (beside.sum() + PRIOR_CELLS) / share)
    chance = np.exp(score - score.max())
    chance /= chance.sum()
    order = np.argsort(-score, kind="stable")[:most]
    return [
        Suggestion(code, value, f"{_percent(value)} likely, by its neighbours")
        for code, value in zip(used[order].tolist(), chance[order].tolist(), strict=True)
    ]


def _counts_beside(index: Index, code: int, *, down: int, right: int, without: int | None) -> np.ndarray:
    """How often each code stands one step from a code, in all images but one: int64 [K]."""
    places = index.places(code, MOST_SAMPLED)
    found = index.locate(index.positions[places], index.distances[places])
    rows, columns = index.grids[found.image].T.astype(np.int64)
    row, column = found.row + down, found.column + right
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    if without is not None:
        inside &= found.image != without
    beside = index.codes[(index.starts[found.image] + row * columns + column)[inside]]
    return np.bincount(beside, minlength=len(index.counts))


@dataclass(frozen=True, eq=False)
class Alternatives:
    """What the picture would look like around a cell with each of some codes there."""

    codes: np.ndarray  # int64 [N]
    pixels: np.ndarray  # uint8 [N, 5f, 5f, 3]: the cell, in the middle, with two cells around it


def alternatives(tokenizer: Tokenizer, base: Encoding, edit: Edit, cell: Cell, candidates: np.ndarray) -> Alternatives:
    """Put each of some codes, int64 [N], into a cell of an edit, and decode what is around it.

    The pixels are those of the whole picture decoded, uncropped; beyond its border the last ones are repeated.
    Where in them the cell lies says `dossier.patch_frame`. Raises BadInput for a cell or a code that is not there.
    """
    rows, columns = edit.indices.shape
    window = surroundings(cell, CONTEXT, rows=rows, columns=columns)
    decoded = to_pixels(decode_each(tokenizer, base, edit, cell, candidates, around=CONTEXT))
    place = (cell[0] - window.top, cell[1] - window.left)
    pixels = patch_pictures(list(decoded), [place] * len(decoded), stride=tokenizer.spec.stride)
    return Alternatives(candidates, pixels)


# --- shared -----------------------------------------------------------------------------------------------------------


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def _closest(distances: np.ndarray, most: int, meaning: str) -> list[Suggestion]:
    order = np.argsort(distances, kind="stable")[:most]
    return [Suggestion(int(code), float(distances[code]), f"{distances[code]:.2f} {meaning}") for code in order]


def _check_code(code: int, codes: int) -> None:
    if not 0 <= code < codes:
        raise BadInput(f"There is no code {shown(code)}; codes run from 0 to {codes - 1:,}.")
