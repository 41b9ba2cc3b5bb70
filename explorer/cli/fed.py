"""python -m explorer fed DATA --checkpoint NAME: what the decoder was fed in training, kept with the model."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from explorer.base.open_model import OpenModel
from explorer.base.tables import encodable
from explorer.cli.engines import add_engine, find_engine
from explorer.cli.shared import Pace, add_command, find_model, find_set, stoppable
from explorer.inputs import manifold, neighbours
from vqvae.places import check_file
from vqvae.words import counted

STOPPED = "Stopped; nothing was written. The same command starts anew."


def run(options: argparse.Namespace) -> int:
    """Measure what the decoder is fed over a set of images, at the blends of its training, learn from their grids which
    codes stand beside which, and put both beside the model.

    Meant for the photos that the model was trained on: the off-manifold meter holds what is on the screen against them.
    Stop it with Ctrl-C; the same command starts anew.
    """
    engine = find_engine(options)
    model = find_model(options)
    check_file(model.folder / manifold.FILE)
    images = find_set(options.data, options.under)
    pace = Pace(len(images.names), stopped=STOPPED)
    with stoppable(pace), pace.bar:
        fed = manifold.measure_fed(
            model,
            images,
            blends=manifold.training_blends(model.settings, model.spec),
            working_size=options.size,
            progress=pace,
            engine=engine,
        )
    for name, reason in fed.unreadable:
        print(encodable(f"skipped: {name}: {reason}"), file=sys.stderr)
    learned, reference = _learn(fed.grids, model), fed.reference
    model.folder.mkdir(parents=True, exist_ok=True)
    manifold.save(model.folder, reference, checkpoint=model.fingerprint, identity=images.identity)
    skipped = counted(len(fed.unreadable), "file")
    counts = (counted(reference.images, "image"), counted(reference.cells, "cell"), skipped)
    print(f"{', '.join(counts)} skipped")
    print(f"written: {model.folder / manifold.FILE}")
    if learned is None:
        print("A single image says nothing of which codes stand beside which; name a set of two or more for that.")
    else:
        neighbours.save(model.folder, learned, checkpoint=model.fingerprint)
        print(f"written: {model.folder / neighbours.FILE}")
    return 0


def _learn(grids: Sequence[np.ndarray], model: OpenModel) -> neighbours.Neighbourhoods | None:
    """Which codes stand beside which; None where a single image was read."""
    if len(grids) < 2:
        return None
    pace = Pace(unit="step", stopped=STOPPED)
    with stoppable(pace), pace.bar:
        return neighbours.learn(grids, model.codebook, progress=pace)


def add_to(commands: Any) -> None:
    parser = add_command(commands, "fed", run, "learn what the decoder met in training, for the meter")
    add_engine(parser)
