"""python -m explorer fed DATA --checkpoint NAME: what the decoder was fed in training, kept with the model."""

import argparse
from typing import Any

from explorer.cli.shared import Pace, add_command, find_model, find_set, stoppable
from explorer.inputs import manifold


def run(options: argparse.Namespace) -> int:
    """Measure what the decoder is fed over a set of images, at the blends of its training, and put it beside the model.

    Meant for the photos that the model was trained on: the off-manifold meter holds what is on the screen against it.
    Stop it with Ctrl-C; the same command starts anew.
    """
    model = find_model(options)
    images = find_set(options.data, options.under)
    pace = Pace(len(images.names), stopped="Stopped; nothing was written. The same command starts anew.")
    with stoppable(pace), pace.bar:
        reference = manifold.look_at(
            model.tokenizer,
            images,
            blends=manifold.training_blends(model.settings, model.spec),
            inputs=model.inputs,
            working_size=options.size,
            progress=pace,
        )
    model.folder.mkdir(parents=True, exist_ok=True)
    manifold.save(model.folder, reference, checkpoint=model.fingerprint)
    skipped = len(images.names) - reference.images
    print(f"{reference.images:,} images, {reference.cells:,} cells, {skipped:,} files skipped")
    print(f"written: {model.folder / manifold.FILE}")
    return 0


def add_to(commands: Any) -> None:
    add_command(commands, "fed", run, "measure what the decoder was fed in training, for the off-manifold meter")
