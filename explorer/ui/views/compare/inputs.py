"""Which input each decoder follows, side by side."""

from collections.abc import Sequence

from explorer.images.sets import ImageSet
from explorer.ui.views.compare.columns import Column


def show(columns: Sequence[Column], images: ImageSet) -> None:
    """Draw it."""
