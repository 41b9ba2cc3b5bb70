"""What a program needs, in a few names: `import explorer`, and see "As a library" in the README.

Each is made of what the app's pages and the commands are made of, and gives the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from explorer.base import open_model as opening
from explorer.base.folders import cache_folder
from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.codebook.dossier import patch_pictures
from explorer.compare import records as compared
from explorer.compare import whole
from explorer.compare.report import Report as ComparisonReport
from explorer.editing.edits import Edit, LiveDecoder
from explorer.editing.edits import unedited as unedited
from explorer.images.pictures import read_picture
from explorer.images.sets import ImageSet, find_set
from explorer.index.build import build
from explorer.index.format import index_path
from explorer.index.read import Index, open_index
from explorer.index.usage import UsageSummary, summarise
from explorer.inputs.reliance.measure import Settings
from explorer.inputs.reliance.report import Report
from explorer.inputs.reliance.subject import named, run_test
from vqvae import contract
from vqvae.errors import BadInput
from vqvae.places import find_checkpoint
from vqvae.served import Served
from vqvae.tokenizer import Encoding, Tokenizer

Model = OpenModel | Tokenizer | str | Path


def open_model(model: Model) -> OpenModel:
    """A model as pages and commands open it; raises BadInput with the first thing that is wrong.

    model: a checkpoint's name, its folder, or a tokenizer, such as `vqvae.adapt` makes; an open model stays as it is.
    """
    if isinstance(model, OpenModel):
        return model
    if isinstance(model, str | Path):
        return opening.open_folder(find_checkpoint(str(model)))
    served = model if isinstance(model, Served) else Served(model)
    if not served.strict:
        contract.check(served)
        served.strict = True
    return opening.of_tokenizer(served, name=served.spec.family)


@dataclass(frozen=True, eq=False)
class IndexedSet:
    """A set of images, and which of its cells have which code."""

    model: OpenModel
    images: ImageSet
    index: Index

    @cached_property
    def usage(self) -> UsageSummary:
        """Codes used, perplexity, and the other figures of the codebook's use."""
        return summarise(self.index.counts, images=self.index.images)

    @property
    def counts(self) -> np.ndarray:
        """How many cells each code has: int64 [K]."""
        return self.index.counts

    def top_patches(self, code: int, *, most: int = 24) -> np.ndarray:
        """The patches whose embeddings are nearest to a code that they have, nearest first: uint8 [N, 5f, 5f, 3].

        Each has two cells around it. Raises BadInput where an image cannot be read any more, or for no such code.
        """
        if not 0 <= code < self.model.codes:
            raise BadInput(f"There is no code {code}; they are 0 to {self.model.codes - 1:,}.")
        found = self.index.top(code, most)
        only = self.model.spec.sizes.only
        names = [self.index.names[image] for image in found.image.tolist()]
        size = self.index.working_size
        pictures = {name: read_picture(self.images, name, working_size=size, only=only).pixels for name in set(names)}
        cells = list(zip(found.row.tolist(), found.column.tolist(), strict=True))
        return patch_pictures([pictures[name] for name in names], cells, stride=self.model.stride)


def index_images(
    model: Model, data: str | Path, *, under: str = "", size: int = 256, progress: Progress = unheard
) -> IndexedSet:
    """Encode a set of images, or open what an earlier call, the app or the command `index` made of it.

    data: images in any format of `vqvae.formats`, or "samples" for the bundled photos; under: only those below this
    folder of them; size: pixels on the long side that larger images are shrunk to. `progress` counts images. Raises
    BadInput.
    """
    opened, images = opening.with_grid(open_model(model)), find_set(str(data), under)
    path = index_path(cache_folder(), opened.fingerprint, images.identity)
    try:
        index = open_index(
            path, checkpoint=opened.fingerprint, identity=images.identity, codes=opened.codes, working_size=size
        )
    except BadInput:  # there is none yet, or of another size, or it is damaged
        index = build(
            opened.tokenizer, images, checkpoint=opened.fingerprint, working_size=size, path=path, progress=progress
        )
    return IndexedSet(opened, images, index)


def draw(tokenizer: Tokenizer, base: Encoding, edit: Edit, *, like: Tensor | None = None) -> Tensor:
    """The picture of an edit of an image's encoding, as the Edit page draws it: [1, 3, H, W] in [0, 1].

    like: the image [1, 3, H, W] that was encoded, whose size the picture is cut to; without it, it is h·f × w·f.
    Raises BadInput for a grid of another size, and for codes that are none.
    """
    codes = tokenizer.spec.grid.codes
    if edit.indices.shape != base.grid.shape[1:]:
        raise BadInput("The edit is of a grid of another size; begin with unedited(base).")
    if edit.indices.min() < 0 or edit.indices.max() >= codes:
        raise BadInput(f"The edit has a code that is none; they are 0 to {codes - 1:,}.")
    drawn = LiveDecoder(tokenizer, base).decode(edit)
    height, width = drawn.shape[-2:] if like is None else like.shape[-2:]
    return drawn[..., :height, :width]


def reliance(
    model: Model,
    data: str | Path,
    *,
    under: str = "",
    size: int = Settings.working_size,
    images: int | None = None,
    partners: int = Settings.partners,
    seed: int = Settings.seed,
    blend: float = Settings.blend,
    progress: Progress = unheard,
) -> Report:
    """The reliance test: whom the decoder follows, the codes or the embedding, and what it draws without each.

    data, under, size: as for `index_images`; images: at most so many, spread evenly over the set; the others as the
    command `reliance` has them. Print the report, or see its judgement, its summary and, image by image, its evidence.
    `progress` counts passes of the model. Raises BadInput, and Cancelled where that came before any measurement.
    """
    opened = opening.with_grid(open_model(model))
    settings = Settings(seed=seed, partners=partners, images=images, working_size=size, blend=blend)
    found = find_set(str(data), under)
    return run_test(opened, found, settings, named=named(opened), data=str(data), under=under, progress=progress)


def compare_models(
    models: Sequence[Model],
    data: str | Path,
    *,
    under: str = "",
    size: int = compared.Settings.working_size,
    images: int = compared.Settings.most,
    seed: int = compared.Settings.seed,
    blend: float = compared.Settings.weight,
    with_reliance: bool = False,
    progress: Progress = unheard,
) -> ComparisonReport:
    """Compare two to four models on the same images: all that the page Compare and the command `compare` say.

    data, under, size: as for `index_images`; images: at most so many, spread evenly over the set; with_reliance: the
    reliance test of each, too; the others as the command has them. Print the report, `save` it as .html, .json or .csv,
    or see its tables and, image by image, its comparison. `progress` counts each stage by itself. Raises BadInput, and
    Cancelled: what was measured by then is kept, and the next call goes on from there.
    """
    opened = [open_model(model) for model in models]
    settings = compared.Settings(working_size=size, weight=blend, most=images, seed=seed)
    source = whole.Source(find_set(str(data), under), str(data), under)
    return whole.compare(opened, source, settings, with_reliance=with_reliance, progress=progress)
