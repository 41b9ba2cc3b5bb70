"""Codebooks side by side, and which codes stand for the same."""

from collections.abc import Sequence

from explorer.images.sets import ImageSet
from explorer.ui.views.compare.columns import Column


def show(columns: Sequence[Column], images: ImageSet) -> None:
    """Draw it."""
