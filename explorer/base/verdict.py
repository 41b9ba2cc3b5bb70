"""A verdict: a judgement with its reason."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["good", "fair", "poor", "unsure"]


@dataclass(frozen=True)
class Verdict:
    """A judgement, and its reason in a sentence."""

    grade: Grade
    sentence: str
    details: str = ""  # shown on hover
