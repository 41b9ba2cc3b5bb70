"""How good each model's pictures are for the bits that they cost, beside JPEG, WebP and AVIF."""

from collections.abc import Sequence

from explorer.images.sets import ImageSet
from explorer.ui.views.compare.columns import Column


def show(columns: Sequence[Column], images: ImageSet) -> None:
    """Draw it."""
