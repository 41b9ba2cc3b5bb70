"""What one code means: what it decodes to, and the real patches that use it."""

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.base.figure import Figure
from explorer.images.reconstruction import EncodedPicture
from explorer.index.read import Occurrences
from vqvae.images import to_pixels, to_png
from vqvae.search import Codebook
from vqvae.tokenizer import Tokenizer, cells

CONTEXT = 2  # cells around a patch that are shown with it
REACH = 5  # cells around the middle that are shown when a code is put into a picture


@dataclass(frozen=True, eq=False)
class InContext:
    """A real picture around its middle cell, decoded from its own codes and with one code put there; uint8 pixels."""

    before: np.ndarray
    after: np.ndarray
    code_before: int


@dataclass(frozen=True, eq=False)
class Closeness:
    """How close the cells of a picture come to a code; nearest first."""

    row: np.ndarray
    column: np.ndarray
    distance: np.ndarray  # between the cell's embedding and the code, as the metric measures it
    uses: np.ndarray  # bool: the cell has this code


def patch_frame() -> tuple[float, float, float, float]:
    """Where the cell lies in a picture of `patch_pictures`: top, left, height and width in 0…1."""
    side = 1 / (2 * CONTEXT + 1)
    return CONTEXT * side, CONTEXT * side, side, side


def patch_pictures(pictures: Sequence[np.ndarray], places: Sequence[tuple[int, int]], *, stride: int) -> np.ndarray:
    """A cell of each picture with two cells around it: uint8 [H, W, 3] each -> [N, 5f, 5f, 3].

    Beyond the border the picture's last pixels are repeated.
    """
    side = (2 * CONTEXT + 1) * stride
    patches = np.empty((len(pictures), side, side, 3), np.uint8)
    for number, (pixels, (row, column)) in enumerate(zip(pictures, places, strict=True)):
        height, width = pixels.shape[:2]
        down = np.clip(np.arange(side) + (row - CONTEXT) * stride, 0, height - 1)
        across = np.clip(np.arange(side) + (column - CONTEXT) * stride, 0, width - 1)
        patches[number] = pixels[down[:, None], across]
    return patches


def in_context(tokenizer: Tokenizer, encoded: EncodedPicture, code: int) -> InContext:
    """Put a code into the middle of a picture's grid and decode the codes alone, before and after."""
    return InContext(middle(tokenizer, encoded), middle(tokenizer, encoded, code), code_of_middle(encoded))


@torch.inference_mode()
def middle(tokenizer: Tokenizer, encoded: EncodedPicture, code: int | None = None) -> np.ndarray:
    """A picture around its middle cell, decoded from its codes alone, with another code there or with its own."""
    indices = encoded.encoding.grid
    rows, columns = indices.shape[1:]
    row, column = rows // 2, columns // 2
    edited = indices.clone()
    if code is not None:
        edited[0, row, column] = code
    stride = tokenizer.spec.stride
    down = slice(max(0, row - REACH) * stride, min(rows, row + REACH + 1) * stride)
    across = slice(max(0, column - REACH) * stride, min(columns, column + REACH + 1) * stride)
    pixels: np.ndarray = to_pixels(tokenizer.decode(tokenizer.lookup((edited,))))[0, down, across]
    return pixels


def code_of_middle(encoded: EncodedPicture) -> int:
    """The code of a picture's middle cell."""
    rows, columns = encoded.indices.shape
    return int(encoded.indices[rows // 2, columns // 2])


@torch.inference_mode()
def closeness(codebook: Codebook, encoded: EncodedPicture, code: int, *, most: int) -> Closeness:
    """The cells of a picture that come closest to a code, whether they use it or not."""
    encoding = encoded.encoding
    rows, columns = encoding.grid.shape[1:]
    distance = codebook.distances_to(cells(encoding.embedding), code).view(rows, columns).numpy()
    nearest = np.argsort(distance, axis=None, kind="stable")[:most]
    row, column = np.unravel_index(nearest, distance.shape)
    uses = encoded.indices[row, column] == code
    return Closeness(row, column, distance[row, column], uses)


def nearest_cells(codebook: Codebook, pictures: Sequence[EncodedPicture], code: int, *, most: int) -> Occurrences:
    """The cells of some pictures that have a code, the nearest to it first; images are numbered as they are given."""
    found = [closeness(codebook, encoded, code, most=encoded.indices.size) for encoded in pictures]
    image = np.repeat(np.arange(len(found)), [int(close.uses.sum()) for close in found])
    row, column, distance = (
        np.concatenate([getattr(close, name)[close.uses] for close in found] or [np.zeros(0, np.int64)])
        for name in ("row", "column", "distance")
    )
    order = np.argsort(distance, kind="stable")[:most]
    return Occurrences(image[order], row[order], column[order], distance[order])


def some_cells(grids: Sequence[np.ndarray], code: int, *, most: int) -> Occurrences:
    """Cells that have a code, evenly over all that do; how far each is from it is not known: NaN."""
    places = [np.argwhere(grid == code) for grid in grids]
    image = np.repeat(np.arange(len(places)), [len(found) for found in places])
    cell = np.concatenate(places) if places else np.zeros((0, 2), np.int64)
    chosen = np.linspace(0, len(cell) - 1, min(most, len(cell))).round().astype(np.int64)
    row, column = cell[chosen].T
    return Occurrences(image[chosen], row, column, np.full(len(chosen), np.nan, np.float32))


def colours_of_cells(
    pictures: Sequence[np.ndarray], grids: Sequence[np.ndarray], *, codes: int, stride: int
) -> np.ndarray:
    """The mean colour of the pixels that each code covers in pictures uint8 [H, W, 3]; NaN where none: float64 [K, 3].

    For codes that cannot be decoded alone.
    """
    sums, pixels = np.zeros((codes, 3)), np.zeros(codes)
    for picture, grid in zip(pictures, grids, strict=True):
        height, width = picture.shape[:2]
        covered = grid[np.arange(height)[:, None] // stride, np.arange(width) // stride].ravel()
        pixels += np.bincount(covered, minlength=codes)
        for channel in range(3):
            sums[:, channel] += np.bincount(covered, picture[..., channel].ravel(), minlength=codes)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = sums / pixels[:, None]
    return mean


@dataclass(frozen=True, eq=False)
class PatchSample:
    """Cells drawn evenly from a set of images."""

    vectors: np.ndarray  # float32 [N, D], their embeddings
    codes: np.ndarray  # int64 [N]


@torch.inference_mode()
def sample_embeddings(tokenizer: Tokenizer, pictures: Iterable[Tensor], *, images: int, most: int) -> PatchSample:
    """Embeddings of at most so many cells: the same number from each of `images` pictures [1, 3, H, W] in [0, 1].

    Where there are more pictures than cells wanted, one of each of so many, evenly over all.
    """
    share = max(1, most // max(1, images))
    chosen = set(np.linspace(0, images - 1, min(images, most)).round().astype(int).tolist())
    random = np.random.default_rng(0)
    vectors, codes = [], []
    for number, image in enumerate(pictures):
        if number not in chosen:
            continue
        encoding = tokenizer.encode(image)
        embedding, indices = cells(encoding.embedding).numpy(), encoding.grid.flatten().numpy()
        drawn = random.permutation(len(indices))[:share]
        vectors.append(embedding[drawn])
        codes.append(indices[drawn])
    return PatchSample(np.concatenate(vectors), np.concatenate(codes))


def mark_cells(pixels: np.ndarray, marked: np.ndarray, *, stride: int, scale: int = 3) -> np.ndarray:
    """A picture, enlarged, with a frame around some of its cells: uint8 [H, W, 3], bool [h, w] -> uint8."""
    enlarged = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    side = stride * scale
    for row, column in np.argwhere(marked):
        top, left = row * side, column * side
        box = enlarged[top : top + side, left : left + side]
        for thickness, colour in ((2, 0), (1, 255)):
            for edge in (box[:thickness], box[-thickness:], box[:, :thickness], box[:, -thickness:]):
                edge[...] = colour
    return enlarged


def as_html(title: str, figures: list[Figure], strips: list[tuple[str, np.ndarray, int]], note: str) -> str:
    """A dossier as one HTML file that needs nothing else; a strip is heading, tiles uint8 [N, h, w, 3], CSS pixels."""
    rows = "".join(
        f"<tr title='{html.escape(figure.meaning, quote=True)}'><th>{html.escape(figure.label)}</th>"
        f"<td>{html.escape(figure.value)}</td></tr>"
        for figure in figures
    )
    sections = "".join(_strip(heading, tiles, side) for heading, tiles, side in strips if len(tiles))
    noted = f"<h2>Note</h2><p>{html.escape(note)}</p>" if note else ""
    return (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
        "th{text-align:left;font-weight:400;padding-right:2rem;color:#666}img{image-rendering:pixelated;margin:2px}"
        "h2{font-size:1.1rem;margin-top:2rem}</style>"
        f"<h1>{html.escape(title)}</h1><table>{rows}</table>{noted}{sections}"
    )


def _strip(heading: str, tiles: np.ndarray, side: int) -> str:
    images = "".join(
        f"<img width='{side}' height='{side}' alt='' src='data:image/png;base64,"
        f"{base64.b64encode(to_png(tile)).decode()}'>"
        for tile in tiles
    )
    return f"<h2>{html.escape(heading)}</h2><div>{images}</div>"
