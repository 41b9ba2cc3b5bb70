"""Is this codebook healthy? A verdict on its usage with the reason, and what each figure of it means.

Two words for two things. A code is **dead** when no cell of the training set took it: nothing pulls it to where
embeddings are, so hardly any picture will. It is **unused here** when no cell of the chosen images took it: another
picture may. Where it is not known how often training used each code, none is called dead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.base.verdict import Verdict
from explorer.index.usage import UsageSummary
from vqvae.words import counted

ENOUGH_CELLS = 30  # per code, on average: with fewer, a code that is fine may go unseen by chance
NONE = "–"  # where a figure does not apply
DEAD_MEANS = "Codes that no cell of the training set took."
UNUSED_MEANS = "Codes that no cell of these images took; another picture may."


@dataclass(frozen=True)
class Sample:
    """Images over which the usage of a codebook was counted."""

    words: str  # as in "used in {words}"
    usage: UsageSummary
    is_training: bool = False  # the very images that the model was trained on


@dataclass(frozen=True)
class HealthRow:
    """A figure of a codebook: one value for each sample, or a single one where it is of the codebook alone."""

    label: str
    values: tuple[str, ...]
    meaning: str
    general: str = ""  # the label beside codebooks of other sizes, where it is another one


@dataclass(frozen=True)
class RowBeside:
    """A figure of several codebooks: the values of each, and what it means for each."""

    label: str
    meaning: str  # what it means for all of them
    values: tuple[tuple[str, ...], ...]  # of each codebook
    meanings: tuple[str, ...]  # for each codebook


# --- the verdict ------------------------------------------------------------------------------------------------------


def judge(sample: Sample, *, training: UsageSummary | None = None) -> Verdict:
    """How healthy a codebook is by its usage over a sample; `training` is that of the training set, where it is known.

    Good asks for three things: at most 2 % of the codes without a cell, a perplexity of at least K / 2, and that no
    code takes more than 1/√K of the cells. The last is there because perplexity is an average: of 8 codes one can take
    43 % of the cells at a perplexity of 6. An index that is met with probability p is worth log2 1/p bits; at p = 1/√K
    the most common one is still worth half of the log2 K bits that each is worth in equal use (the min-entropy of usage
    against its maximum). At K = 8 that allows 35 %, at K = 1,024 3.1 %.

    Poor is over 20 % of the codes without a cell, a perplexity below K / 5, or a code whose index is worth less than a
    fifth of log2 K bits. With fewer than 30 cells a code all of this is a matter of chance, and only a good verdict is
    given. Images in which many codes go unused that training did use are narrow, and say nothing against the codebook.
    """
    usage = sample.usage
    codes, even, largest = usage.codes, usage.perplexity / usage.codes, usage.largest_share
    used = f"{usage.active:,} of {codes:,} codes {'is' if usage.active == 1 else 'are'} used in {sample.words}"
    if usage.cells == 0:
        return Verdict("unsure", f"Nothing was counted in {sample.words}.")
    if codes == 1:
        return Verdict("unsure", "The codebook has a single code, which every cell takes.")
    few_unused = usage.unused <= 0.02 * codes
    if few_unused and even >= 0.5 and largest <= codes**-0.5:
        return Verdict("good", f"Healthy: {used}, and the most used takes {_percent(largest)} of the cells.")
    if usage.cells < ENOUGH_CELLS * codes:
        cells = counted(usage.cells, "cell")
        return Verdict("unsure", f"Too small a sample to tell: {used}, with {cells} for {codes:,} codes.")
    if usage.unused > 0.2 * codes:
        if training is not None and not sample.is_training and training.unused <= 0.2 * codes:
            return Verdict("fair", f"Narrow images: only {used}, and training used {training.active:,}.")
        return Verdict("poor", f"Collapsed: only {used}.")
    if largest > codes**-0.2:
        return Verdict("poor", f"Lopsided: {used}, but one of them takes {_percent(largest)} of the cells.")
    if even < 0.2:
        return Verdict("poor", f"Lopsided: {used}, but a few of them do most of the work.")
    if not few_unused:
        what = counted(usage.unused, "is", "are") + (" dead" if sample.is_training else " unused here")
    elif even < 0.5:
        what = "some of them rarely"
    else:
        what = f"but one of them takes {_percent(largest)} of the cells"
    return Verdict("fair", f"Fair: {used}, {what}.")


# --- the table --------------------------------------------------------------------------------------------------------


def usage_rows(samples: Sequence[Sample]) -> list[HealthRow]:
    """Codes used, perplexity, entropy, concentration, dead and unused codes of samples of one codebook, and their size.

    Dead is a figure of the training set alone, unused here of other images alone.
    """
    codes = samples[0].usage.codes
    most = max(1, round(codes / 100))

    def of_each(said: Callable[[UsageSummary], str], *, of: bool | None = None) -> tuple[str, ...]:
        """What is said of each sample; `of`: only of the training set, or only of what is not."""
        return tuple(said(one.usage) if of in (None, one.is_training) else NONE for one in samples)

    known = any(one.is_training for one in samples)
    return [
        HealthRow(
            "Cells a code",
            of_each(lambda usage: _few(usage.cells / codes)),
            f"How many cells were counted for each code, on average. Under {ENOUGH_CELLS}, codes that are fine go "
            "unseen by chance, and fewer seem used, less evenly, than are.",
        ),
        HealthRow(
            "Codes used",
            of_each(lambda usage: f"{usage.active:,} of {codes:,}"),
            "Codes that at least one cell took. Good: all.",
        ),
        HealthRow(
            "Perplexity",
            of_each(lambda usage: f"{usage.perplexity:,.0f}"),
            f"How many codes, used equally, would be as varied. Good: over half of {codes:,}.",
        ),
        HealthRow(
            "Entropy",
            of_each(lambda usage: f"{usage.entropy:.2f} bits"),
            "What an index is worth, in bits. When all codes are used equally that is "
            f"log2 {codes:,} = {np.log2(codes):.2f} bits.",
        ),
        HealthRow(
            f"Top {most:,}",
            of_each(lambda usage: _percent(usage.top_share)),
            f"Share of the cells that the most used 1 % of the codes take. Here that is {counted(most, 'code')}. "
            f"Good: a few times {_percent(most / codes)}.",
            "Top 1 %",
        ),
        HealthRow(
            "Most used",
            of_each(lambda usage: _percent(usage.largest_share)),
            f"Share of the cells that the most used code takes. Good: at most {_percent(codes**-0.5)}, where its index "
            "is still worth half the bits of equal use.",
        ),
        HealthRow(
            "Dead",
            of_each(lambda usage: f"{usage.unused:,}", of=True),
            f"{DEAD_MEANS} Good: none." if known else f"{DEAD_MEANS} What training used is not known for this model.",
        ),
        HealthRow("Unused here", of_each(lambda usage: f"{usage.unused:,}", of=False), UNUSED_MEANS),
    ]


def geometry_rows(codebook: np.ndarray, near_duplicates: int | None) -> list[HealthRow]:
    """Near-duplicates (None where they were not counted) and norms of the codes [K, D]; of the codebook alone."""
    low, middle, high = np.quantile(np.linalg.norm(codebook, axis=1), [0.05, 0.5, 0.95])
    return [
        HealthRow(
            "Near-duplicates",
            ("not counted" if near_duplicates is None else f"{near_duplicates:,}",),
            "Pairs of codes that are closer than a tenth of the median distance between neighbours. Good: none.",
        ),
        HealthRow(
            "Norm",
            (f"{middle:.2f}",),
            f"Median length of a code. Nine in ten lie between {low:.2f} and {high:.2f}. Good: no outliers.",
        ),
    ]


def exact_rows(
    samples: Sequence[Sample], codebook: np.ndarray | None, near_duplicates: int | None
) -> list[dict[str, float | str | None]]:
    """The figures of the table in full: a row each, with a column for each sample, and one for the codebook [K, D]."""
    most = max(1, round(samples[0].usage.codes / 100))
    figures: list[tuple[str, Callable[[Sample], float | None]]] = [
        ("cells counted", lambda one: one.usage.cells),
        ("cells a code", lambda one: one.usage.cells / one.usage.codes),
        ("codes used", lambda one: one.usage.active),
        ("perplexity", lambda one: one.usage.perplexity),
        ("entropy, bits", lambda one: one.usage.entropy),
        (f"share of the cells that the {most} most used codes take", lambda one: one.usage.top_share),
        ("share of the cells that the most used code takes", lambda one: one.usage.largest_share),
        ("dead codes", lambda one: one.usage.unused if one.is_training else None),
        ("codes unused here", lambda one: None if one.is_training else one.usage.unused),
    ]
    rows: list[dict[str, float | str | None]] = [
        {"figure": name} | {one.words: value(one) for one in samples} for name, value in figures
    ]
    if codebook is None:
        return rows
    low, middle, high = np.quantile(np.linalg.norm(codebook, axis=1), [0.05, 0.5, 0.95]).tolist()
    of_codebook = {"codes": len(codebook), "pairs of near-duplicates": near_duplicates, "norm, 5 %": low}
    of_codebook |= {"norm, median": middle, "norm, 95 %": high}
    return rows + [{"figure": name, "the codebook": value} for name, value in of_codebook.items()]


def beside(tables: Sequence[Sequence[HealthRow]]) -> list[RowBeside]:
    """Tables of the same figures of several codebooks as one; what a figure means is said as far as it is the same."""
    found = []
    for rows in zip(*tables, strict=True):
        labels, meanings = {row.label for row in rows}, tuple(row.meaning for row in rows)
        said = [meaning.split(". ") for meaning in meanings]
        shared = [sentence for sentence in said[0] if all(sentence in other for other in said)]
        found.append(
            RowBeside(
                label=rows[0].label if len(labels) == 1 else rows[0].general,
                meaning=". ".join(shared).rstrip(".") + ".",
                values=tuple(row.values for row in rows),
                meanings=meanings,
            )
        )
    return found


def _percent(share: float) -> str:
    """A share in 0…1 with two digits that count: 43%, 6.2%, 0.73%."""
    return f"{share:.0%}" if share >= 0.0995 or share == 0 else f"{100 * share:.2g}%"


def _few(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
