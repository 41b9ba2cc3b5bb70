"""python -m explorer usage DATA --checkpoint NAME: how often each code is used, kept with the model."""

import argparse
from typing import Any

from explorer.base.folders import cache_folder
from explorer.cli.engines import add_engine
from explorer.cli.index import make_index
from explorer.cli.shared import add_command, find_model
from explorer.index import training_usage
from explorer.index.training_usage import TrainingUsage, save_training_usage
from vqvae.places import check_file


def run(options: argparse.Namespace) -> int:
    """Count how often each code is used over a set of images, and put the counts beside the model.

    Meant for the photos that the model was trained on: the Codebook page shows them as "in training". Stop it with
    Ctrl-C; the same command goes on.
    """
    model = find_model(options)
    check_file(model.folder / training_usage.FILE)
    index = make_index(options, model, cache_folder())
    model.folder.mkdir(parents=True, exist_ok=True)
    save_training_usage(
        model.folder, TrainingUsage(index.counts, index.images), checkpoint=index.checkpoint, identity=index.identity
    )
    print(f"written: {model.folder / training_usage.FILE}")
    return 0


def add_to(commands: Any) -> None:
    add_engine(add_command(commands, "usage", run, "count the codes of the training photos, kept with it"))
