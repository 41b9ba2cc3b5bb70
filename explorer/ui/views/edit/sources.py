"""What an engine asks about its model, of what the app keeps: the same for all who edit with it."""

from dataclasses import dataclass

import numpy as np

from explorer.base.folders import user_data_folder
from explorer.base.open_model import OpenModel
from explorer.codebook import notes
from explorer.editing.answer import CodeMap
from explorer.index.read import Index
from explorer.inputs import neighbours
from explorer.inputs.neighbours import Neighbourhoods
from explorer.ui import cache, image_set
from vqvae.errors import BadInput

GREY = 128


@dataclass(frozen=True)
class KeptSources:
    """The caches of the app, and this person's notes."""

    model: OpenModel

    def tiles(self, codes: np.ndarray | list[int]) -> np.ndarray:
        return cache.tiles_of(self.model, codes)

    def code_map(self) -> CodeMap:
        """UMAP where the checkpoint carries it, else PCA; grey where there are too many codes to decode them all."""
        codes = self.model.codes
        colours = np.full((codes, 3), GREY, np.uint8)
        if codes <= cache.MOST_DECODED:
            colours = cache.colours_of(self.model, np.arange(codes)[None])[0]
        return CodeMap(cache.best_projection(self.model).points, colours)

    def sample_index(self) -> Index:
        return image_set.sample_index(self.model)

    def neighbourhoods(self) -> Neighbourhoods | None:
        if said := cache.damage(self.model, neighbours.FILE):
            raise BadInput(said)
        return cache.neighbourhoods(self.model)

    def starred(self) -> frozenset[int]:
        return notes.load(user_data_folder(), self.model.fingerprint).starred
