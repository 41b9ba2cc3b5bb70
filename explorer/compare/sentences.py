"""What is said of a comparison as a whole: who was compared on what, and what became of the images."""

import hashlib

from explorer.base.bootstrap import CONFIDENCE, RESAMPLES
from explorer.compare.records import Comparison
from vqvae.words import counted

INTERVALS = (
    f"Intervals in brackets are {CONFIDENCE:.0%}: each end is the further one of the bootstrap's over images "
    f"({RESAMPLES:,} resamples) and of Student's t, corrected for skewness. Differences are paired: image by image, "
    "over those that both models could do."
)


def heading(comparison: Comparison) -> str:
    """Who was compared on what, in a line."""
    names = ", ".join(model.name for model in comparison.models)
    return f"{names} on {comparison.data}, long side {comparison.settings.working_size} px{fed(comparison)}"


def fed(comparison: Comparison) -> str:
    """What decoders with two inputs were fed, to go on with; nothing where there are none."""
    if all(model.spec.inputs == 1 for model in comparison.models):
        return ""
    weight = comparison.settings.weight
    return ", decoders fed the codes alone" if weight == 0 else f", two-input decoders at a blend of {weight:.0%}"


def coverage(comparison: Comparison) -> str:
    """How many images there were, and what became of each, in a sentence."""
    measured = len(comparison.rows)
    parts = [f"{measured:,} of {counted(comparison.asked, 'image')} {'is' if measured == 1 else 'are'} measured"]
    if comparison.repeated:
        parts.append(f"{len(comparison.repeated):,} with the pixels of another")
    if comparison.unreadable:
        parts.append(f"{len(comparison.unreadable):,} that cannot be read")
    if not comparison.finished:
        parts.append("stopped before the others, so these figures are partial")
    return ", ".join(parts) + "."


def digest(comparison: Comparison) -> str:
    """SHA-256 over the pixels of the images that were measured, in hex: the same wherever they lie."""
    return hashlib.sha256("".join(row.digest for row in comparison.rows).encode()).hexdigest()
