"""What all parts of the Learn page speak of: the open model on the picture, and the cell that is followed."""

from dataclasses import dataclass

from explorer.base.open_model import OpenModel
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture
from explorer.learn.walk import Walk, cell_inside, follow
from explorer.ui import cache, store


@dataclass(frozen=True, eq=False)
class Lesson:
    """The open model, the picture, and one of its cells."""

    model: OpenModel
    picture: Picture
    encoded: EncodedPicture
    walk: Walk

    @property
    def content(self) -> str:
        """Names the model and the picture, which all figures are of."""
        return f"{self.model.fingerprint[:16]}-{self.picture.key[:16]}"

    @property
    def rows(self) -> int:
        """Of cells that have pixels of the picture."""
        return -(-self.picture.pixels.shape[0] // self.model.stride)

    @property
    def columns(self) -> int:
        return -(-self.picture.pixels.shape[1] // self.model.stride)


def open_lesson(model: OpenModel, picture: Picture) -> Lesson:
    """Follow the cell that was chosen, or that the link names; else the one in the middle."""
    height, width = picture.pixels.shape[:2]
    rows, columns = -(-height // model.stride), -(-width // model.stride)
    session = store.keep(store.read().with_linked_cell(rows=rows, columns=columns))
    encoded = cache.encode(model, picture)
    cell = cell_inside(session.cell, rows=rows, columns=columns)
    weight = min(1.0, max(0.0, session.weight_for(2))) if model.inputs == 2 else 0.0
    walk = follow(model.tokenizer, model.codebook, encoded, picture, cell, weight=weight)
    return Lesson(model, picture, encoded, walk)
