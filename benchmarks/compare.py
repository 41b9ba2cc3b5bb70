"""One picture through several models on the Compare page, against the sum of the single passes:
python -m benchmarks.compare

A pass is one model's encode, decode and its two measures. The page's part is all that it computes until each column is
a packed message: turns, caches, figures, indices. What codes look like is sent after all columns are there; it is
decoded once for each code of a model and then kept, so it stands apart.
"""

import argparse
import sys
from collections.abc import Sequence

import torch

from benchmarks.timing import Timing, clock_name, compare, print_table
from explorer.base.open_model import OpenModel, open_folder
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import encode_picture, render
from explorer.images.samples import SAMPLES
from explorer.ui import cache
from explorer.ui.components import comparison
from explorer.ui.session import Session
from explorer.ui.views.compare.columns import Column
from explorer.ui.views.compare.pictures import answer_of, colours_of, head_of, in_turn
from vqvae.errors import BadInput
from vqvae.places import find_checkpoint

SHIPPED = ["photos", "photos-fine", "photos-both", "photos-classic"]


def passes(models: Sequence[OpenModel], picture: Picture) -> None:
    """Each model alone: what Reconstruct computes for its picture."""
    for model in models:
        weight = 1.0 if model.inputs == 2 else 0.0
        render(model.tokenizer, encode_picture(model.tokenizer, picture), picture, weight=weight)


def page(models: Sequence[OpenModel], picture: Picture) -> None:
    """All columns of the page, none of which it has seen before."""
    for kept in (cache.encode, cache.answered):
        kept.clear()
    session = Session().on("compare", models=tuple(model.name for model in models))
    columns = [Column(number, model.name, model) for number, model in enumerate(models, 1)]
    heads = {column.number: head_of(column, picture, session) for column in columns}
    open_ones = dict(enumerate(models, 1))
    for number in in_turn(open_ones, picture):
        answer_of(heads[number], open_ones[number], picture, session, None)


def looks(models: Sequence[OpenModel], picture: Picture) -> None:
    """What the codes of the picture look like, where none was ever decoded."""
    for kept in (cache.tile_store, cache.colour_store):
        kept.clear()
    for model in models:
        colours_of(model, cache.answered(model, picture, 0.0))


def measure(models: Sequence[OpenModel], picture: Picture, *, seconds: float) -> list[Timing]:
    """The page's part for these models beside the sum of their passes."""
    number = len(models)
    plural = "" if number == 1 else "es"
    return compare(
        {f"{number} pass{plural}, one by one": lambda: passes(models, picture)},
        {
            "the page's part": lambda: page(models, picture),
            "apart: their codes, at first": lambda: looks(models, picture),
        },
        seconds=seconds,
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="N models against N passes.")
    parser.add_argument("checkpoints", nargs="*", default=SHIPPED, help="up to four names or folders")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="pixels on the long side")
    parser.add_argument("--seconds", type=float, default=6, help="of each table")
    options = parser.parse_args(arguments)
    try:
        models = [open_folder(find_checkpoint(name)) for name in options.checkpoints[:4]]
    except BadInput as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    comparison._feed = lambda **message: None  # nobody looks at it
    for size in options.sizes:
        picture = open_picture(SAMPLES[0].read(), SAMPLES[0].file, working_size=size)
        for number in range(1, len(models) + 1):
            heading = f"{size} px, {number} of them ({clock_name()})"
            print_table(heading, measure(models[:number], picture, seconds=options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
