"""Is this codebook healthy? Figures of its usage and its geometry, and a sentence that says what they mean."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from explorer.reconstruction import Figure
from vqvae.metrics import perplexity

Level = Literal["good", "fair", "poor", "unsure"]
ENOUGH_CELLS = 30  # per code, on average: with fewer, a code that is fine may go unseen by chance


@dataclass(frozen=True)
class Health:
    """The verdict, its reason in a sentence, and the figures behind it."""

    level: Level
    sentence: str
    figures: list[Figure]


def judge(counts: np.ndarray, *, sample: str) -> tuple[Level, str]:
    """Counts [K] of a set of images -> verdict and reason; `sample` says in words what was counted.

    Good: at most 2 % of the codes dead and a perplexity of at least K / 2. Poor: over 20 % dead or below K / 5. With
    fewer than 30 cells a code the share of dead codes is a matter of chance, and only a good verdict is given.
    """
    codes, cells = len(counts), int(counts.sum())
    dead = int((counts == 0).sum())
    even = perplexity(torch.from_numpy(counts)) / codes
    used = f"{codes - dead:,} of {codes:,} codes are used in {sample}"
    if cells == 0:
        return "unsure", f"Nothing was counted in {sample}."
    if codes == 1:
        return "unsure", "The codebook has a single code, which every cell takes."
    if dead <= 0.02 * codes and even >= 0.5:
        return "good", f"Healthy: {used}, and evenly."
    if cells < ENOUGH_CELLS * codes:
        return "unsure", f"Too small a sample to tell: {used}, which has {cells / codes:.0f} cells for each code."
    if dead > 0.2 * codes:
        return "poor", f"Collapsed: only {used}."
    if even < 0.2:
        return "poor", f"Lopsided: {used}, but a few codes do most of the work."
    return "fair", f"Fair: {used}, " + ("some of them rarely." if dead <= 0.02 * codes else f"{dead:,} are dead.")


def usage_figures(counts: np.ndarray, *, sample: str) -> list[Figure]:
    """Codes used, perplexity, entropy, concentration and dead codes of one sample."""
    codes, cells = len(counts), int(counts.sum())
    if cells == 0:
        return []
    varied = perplexity(torch.from_numpy(counts))
    most = max(1, round(codes / 100))
    share = np.sort(counts)[::-1][:most].sum() / cells
    dead = int((counts == 0).sum())
    over = f" Counted over {sample}: {cells:,} cells."
    return [
        Figure("Codes used", f"{codes - dead:,} of {codes:,}", f"Codes that at least one cell took. Good: all.{over}"),
        Figure(
            "Perplexity",
            f"{varied:,.0f}",
            f"How many codes, used equally, would be as varied. Good: over half of {codes:,}.{over}",
        ),
        Figure(
            "Entropy",
            f"{np.log2(max(varied, 1)):.2f} bits",
            f"What an index is worth; at most log2 {codes:,} = {np.log2(codes):.2f} bits, when all are used equally.{over}",
        ),
        Figure(
            f"Top {most:,}",
            f"{share:.0%}",
            f"Share of the cells that the most used 1 % of the codes take. Good: a few times 1 %.{over}",
        ),
        Figure("Dead", f"{dead:,}", f"Codes that no cell took. Good: none.{over}"),
    ]


def geometry_figures(codebook: np.ndarray, duplicates: int) -> list[Figure]:
    """Near-duplicates and norms of the codes [K, D]."""
    norms = np.linalg.norm(codebook, axis=1)
    low, middle, high = np.quantile(norms, [0.05, 0.5, 0.95])
    return [
        Figure(
            "Near-duplicates",
            f"{duplicates:,}",
            "Pairs of codes that are closer than a tenth of the median distance between neighbours. Good: none.",
        ),
        Figure(
            "Norm",
            f"{middle:.2f}",
            f"Median length of a code; nine in ten lie between {low:.2f} and {high:.2f}. Good: no outliers.",
        ),
    ]
