"""What a second input costs and brings by its width: python -m benchmarks.second_input PHOTOS MODEL … --write FOLDER

The models differ in `embedding_channels` alone, and in nothing else that shapes their training. Each is made by

    python -m vqvae.train PHOTOS --under train --config CONFIG --start-from checkpoints/photos --out MODEL

with a CONFIG of

    {"model": {"embedding_channels": 3}, "steps": 1500, "learning_rate": 0.0005, "warmup": 100, "seed": 2,
     "restart_until": 0.9}

and other numbers of channels, or none for a second input as wide as the embedding.
"""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from explorer.base.bootstrap import means
from explorer.base.open_model import open_folder
from explorer.images.sets import ImageSet, open_set
from explorer.inputs.reliance import boundary
from explorer.inputs.reliance.ablations import quality_of
from explorer.inputs.reliance.boundary import Change
from explorer.inputs.reliance.measure import evenly
from explorer.inputs.reliance.width import NUMBER_BITS, Width, Widths, save, table
from vqvae.errors import BadInput
from vqvae.formats import KINDS
from vqvae.images import fit_to, load_image, to_pixels, to_tensor

WORKING_SIZE = 256  # pixels on the long side


@torch.inference_mode()
def measure(folder: Path, images: ImageSet) -> Width:
    """One model over a set of images, each with the whole embedding and with none."""
    model = open_folder(folder)
    if model.inputs == 1:
        raise BadInput(f"{folder.name} has one input, so there is no second one whose width could be measured.")
    found: dict[str, list[float]] = {"codes_only": [], "gain": [], "code": [], "embedding": []}
    for number, name in enumerate(images.names):
        pixels = np.asarray(fit_to(load_image(images.read(name), name), WORKING_SIZE, model.spec.sizes.only))
        encoding = model.tokenizer.encode(to_tensor(pixels))
        height, width = pixels.shape[:2]
        off, on = (
            quality_of(pixels, to_pixels(model.tokenizer.decode(encoding.quantized, second)[..., :height, :width])[0])
            for second in (encoding.quantized, encoding.embedding)
        )
        border = boundary.border_of(model.codebook, encoding)
        moved = boundary.measure(model.tokenizer, encoding, border, blends=(1.0,), seed=number)
        change = Change.together([cell.changes[0] for cell in moved])
        values = (off.psnr, on.psnr - off.psnr, change.code_share, change.embedding_share)
        for kept, value in zip(found.values(), values, strict=True):
            kept.append(value)
    channels = model.settings["model"].get("embedding_channels")
    numbers = model.spec.grid.dim if channels is None else channels
    estimates = means({name: np.array(values) for name, values in found.items()})
    return Width(channels, NUMBER_BITS * numbers, **estimates)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.second_input", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help=KINDS)
    parser.add_argument("models", type=Path, nargs="+", help="the folders of the models")
    parser.add_argument("--under", default="val", help="use only images below this folder of the set (default: val)")
    parser.add_argument("--images", type=int, help="measure only so many of them, spread evenly over the set")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="put the figures beside the model in this folder")
    options = parser.parse_args(arguments)
    try:
        images = open_set(options.photos, under=options.under)
        images = replace(images, names=evenly(images.names, options.images))
        measured = [measure(folder, images) for folder in options.models]
        widths = sorted(measured, key=lambda one: math.inf if one.channels is None else one.channels)
        print(table(widths))
        if options.write:
            settings = open_folder(options.models[0]).settings["training"]
            about = (
                f"Each was tuned from photos for {settings['steps']:,} steps with the same settings and seed, and "
                f"measured on {len(images.names):,} validation photos; bars show 95 % intervals."
            )
            codes = open_folder(options.models[0]).codes
            save(options.write, Widths(about, math.log2(codes), tuple(widths)))
    except (BadInput, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
