"""Nearest-code search against the bare matrix product: python -m benchmarks.nearest"""

import argparse
import sys

import torch
from torch import Tensor

from benchmarks.timing import Timing, Variants, clock_name, compare, print_table
from vqvae.search import SCORES_PER_CHUNK, nearest

WIDTHS = (8, 64, 256)  # D
CODES = (1024, 8192, 16384)  # K
MOST_CELLS = 1 << 16
MOST_SCORES = 1 << 26  # N·K, so that all of them fit in 256 MiB
MOST_PRODUCTS = 1 << 32  # N·K·D, so that a call takes well under a second
MOST_CODES_FOR_CDIST = 1024  # with more it takes too long to be worth the wait


def cells_for(codes: int, width: int) -> int:
    """N, as many cells as the limits allow."""
    return min(MOST_CELLS, MOST_SCORES // codes, MOST_PRODUCTS // (codes * width))


def product_in_chunks(vectors: Tensor, codebook: Tensor, buffer: Tensor) -> None:
    """[N, D] times [K, D] transposed, as many rows at a time as the buffer [rows, K] has."""
    for part in vectors.split(len(buffer)):
        torch.mm(part, codebook.T, out=buffer[: len(part)])


@torch.inference_mode()
def measure(width: int, codes: int) -> list[Timing]:
    """`nearest` for random cells and codes, against the faster of two products: whole, and in chunks of its size."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(cells_for(codes, width), width, generator=generator)
    codebook = torch.randn(codes, width, generator=generator)
    whole = torch.empty(len(vectors), codes)
    chunk = torch.empty(max(1, SCORES_PER_CHUNK // codes), codes)
    bare = {
        "product, whole": lambda: torch.mm(vectors, codebook.T, out=whole),
        "product, in chunks": lambda: product_in_chunks(vectors, codebook, chunk),
    }
    alternatives: Variants = {"torch.cdist, argmin": lambda: torch.cdist(vectors, codebook).argmin(1)}
    if codes > MOST_CODES_FOR_CDIST:
        alternatives = {}
    return compare(bare, {"nearest": lambda: nearest(vectors, codebook), **alternatives})


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="python -m benchmarks.nearest", description=__doc__).parse_args(arguments)
    torch.set_num_threads(1)
    print(f"One thread, {clock_name()}.\n")
    for width in WIDTHS:
        for codes in CODES:
            print_table(f"D = {width}, K = {codes:,}, N = {cells_for(codes, width):,}", measure(width, codes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
