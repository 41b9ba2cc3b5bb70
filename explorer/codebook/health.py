"""Is this codebook healthy? A verdict on its usage with the reason, and what each figure of it means."""

import numpy as np

from explorer.base.figure import Figure
from explorer.base.verdict import Verdict
from explorer.index.usage import UsageSummary

ENOUGH_CELLS = 30  # per code, on average: with fewer, a code that is fine may go unseen by chance


def judge(usage: UsageSummary, *, sample: str) -> Verdict:
    """How healthy a codebook is, by its usage; `sample` says in words what was counted.

    Good: at most 2 % of the codes dead and a perplexity of at least K / 2. Poor: over 20 % dead or below K / 5. With
    fewer than 30 cells a code the share of dead codes is a matter of chance, and only a good verdict is given.
    """
    codes, dead = usage.codes, usage.dead
    even = usage.perplexity / codes
    used = f"{usage.active:,} of {codes:,} codes are used in {sample}"
    if usage.cells == 0:
        return Verdict("unsure", f"Nothing was counted in {sample}.")
    if codes == 1:
        return Verdict("unsure", "The codebook has a single code, which every cell takes.")
    if dead <= 0.02 * codes and even >= 0.5:
        return Verdict("good", f"Healthy: {used}, and evenly.")
    if usage.cells < ENOUGH_CELLS * codes:
        number = f"{usage.cells / codes:.0f}"
        return Verdict("unsure", f"Too small a sample to tell: {used}, with {number} cells for each code.")
    if dead > 0.2 * codes:
        return Verdict("poor", f"Collapsed: only {used}.")
    if even < 0.2:
        return Verdict("poor", f"Lopsided: {used}, but a few of them do most of the work.")
    return Verdict(
        "fair", f"Fair: {used}, " + ("some of them rarely." if dead <= 0.02 * codes else f"{dead:,} are dead.")
    )


def usage_figures(usage: UsageSummary, *, sample: str) -> list[Figure]:
    """Codes used, perplexity, entropy, concentration and dead codes of one sample."""
    codes = usage.codes
    over = f"Counted over {sample}: {usage.cells:,} cells."
    most = max(1, round(codes / 100))
    return [
        Figure("Codes used", f"{usage.active:,} of {codes:,}", f"Codes that at least one cell took. Good: all. {over}"),
        Figure(
            "Perplexity",
            f"{usage.perplexity:,.0f}",
            f"How many codes, used equally, would be as varied. Good: over half of {codes:,}. {over}",
        ),
        Figure(
            "Entropy",
            f"{usage.entropy:.2f} bits",
            f"What an index is worth: log2 {codes:,} = {np.log2(codes):.2f} bits when all are used equally. {over}",
        ),
        Figure(
            f"Top {most:,}",
            f"{usage.top_share:.0%}",
            f"Share of the cells that the {most:,} most used codes take. Good: a few times {most / codes:.0%}. {over}",
        ),
        Figure("Dead", f"{usage.dead:,}", f"Codes that no cell took. Good: none. {over}"),
    ]


def geometry_figures(codebook: np.ndarray, near_duplicates: int | None) -> list[Figure]:
    """Near-duplicates (None where they were not counted) and norms of the codes [K, D]."""
    low, middle, high = np.quantile(np.linalg.norm(codebook, axis=1), [0.05, 0.5, 0.95])
    return [
        Figure(
            "Near-duplicates",
            "not counted" if near_duplicates is None else f"{near_duplicates:,}",
            "Pairs of codes that are closer than a tenth of the median distance between neighbours. Good: none.",
        ),
        Figure(
            "Norm",
            f"{middle:.2f}",
            f"Median length of a code; nine in ten lie between {low:.2f} and {high:.2f}. Good: no outliers.",
        ),
    ]
