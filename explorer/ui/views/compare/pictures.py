"""What each model makes of the same picture, side by side."""

from collections.abc import Sequence

from explorer.images.pictures import Picture
from explorer.ui.views.compare.columns import Column


def show(columns: Sequence[Column], picture: Picture) -> None:
    """Draw it."""
