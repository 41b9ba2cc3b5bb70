"""Which codes of a codebook are on the screen: a filter by usage, by stars and by a picture."""

from collections.abc import Sequence

import numpy as np

FEW = 0.05  # of the codes, where no more are used: only those are shown, unless the person asks for all


def usual_least(counts: np.ndarray) -> int:
    """How many cells a code has by default to be shown: counts [K] -> 0, or 1 where nearly all codes are unused."""
    used = np.count_nonzero(counts)
    return int(0 < used < FEW * len(counts))


def shown_codes(counts: np.ndarray, *, least: int = 0, among: Sequence[np.ndarray] = ()) -> np.ndarray:
    """The codes that at least so many cells have and that are in each of some lists of codes: bool [K].

    counts: [K]; `among`: int64 [N] each, codes beyond K are passed over.
    """
    shown = counts >= least
    for codes in among:
        chosen = np.zeros(len(counts), bool)
        chosen[codes[codes < len(counts)]] = True
        shown &= chosen
    return shown
