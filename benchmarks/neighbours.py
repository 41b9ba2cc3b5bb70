"""How well the meter's line for neighbourhoods is calibrated: python -m benchmarks.neighbours PHOTOS --under val"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from explorer.base.folders import checkpoints_folder
from explorer.base.open_model import OpenModel, open_folder
from explorer.cli.shared import find_checkpoint, find_set, working_size
from explorer.images.sets import ImageSet
from explorer.inputs import neighbours
from explorer.inputs.neighbours import GRADES, Neighbourhoods
from vqvae.errors import BadInput
from vqvae.formats import KINDS
from vqvae.images import fit_to, load_image, to_tensor

Change = Callable[[np.ndarray], np.ndarray]


def grids_of(model: OpenModel, images: ImageSet, size: int) -> list[np.ndarray]:
    """The codes of each image that can be read, int64 [h, w]."""
    found = []
    for name in images.names:
        try:
            image = to_tensor(fit_to(load_image(images.read(name), name), size, model.spec.sizes.only))
        except BadInput:
            continue
        with torch.inference_mode():
            found.append(model.tokenizer.encode(image).grid[0].numpy())
    return found


def graded(grids: Iterable[np.ndarray], learned: Neighbourhoods) -> str:
    """How many of the grids are good, fair and poor, in per cent, and the share of rare cells in them."""
    found = [neighbours.measure(grid, learned) for grid in grids]
    shares = [sum(one.verdict.grade == grade for one in found) / len(found) for grade in GRADES]
    rare = np.quantile([one.rare for one in found], [0, 0.5, 1])
    return "".join(f"{share:8.1%}" for share in shares) + "".join(f"{part:8.1%}" for part in rare)


def edited(grids: Iterable[np.ndarray], learned: Neighbourhoods, change: Change) -> float:
    """The share of cells that are odd once they, and they alone, have another code: all cells in turn."""
    odd: list[np.ndarray] = []
    for grid in grids:
        around = neighbours.neighbours_of(torch.from_numpy(grid), outside=len(learned.codebook))
        lifts = learned.log_lifts_amid(around, torch.from_numpy(change(grid)).flatten())
        odd.append(lifts.numpy() < learned.odd)
    return float(np.concatenate(odd).mean())


def report(model: OpenModel, images: ImageSet, size: int) -> None:
    learned = neighbours.load(model.folder, model.codebook, checkpoint=model.fingerprint)
    if learned is None:
        print(f"{model.name}: {neighbours.unknown(model.argument)}")
        return
    random, codes = np.random.default_rng(0), len(learned.codebook)
    usage = learned.log_usage.double().exp().numpy()
    points = learned.codebook.code_points
    farthest = torch.cdist(points, points).argmax(1).numpy() if codes <= 1 << 14 else None
    grids = grids_of(model, images, size)
    print(f"\n{model.name}: {len(grids)} images; odd is {neighbours.in_times(learned.odd)} or more")
    print(f"  {'':34}{'good':>8}{'fair':>8}{'poor':>8}   rare: least, median, most")
    rows: dict[str, Change] = {
        "as they are": lambda grid: grid,
        "codes shuffled": lambda grid: random.permutation(grid.ravel()).reshape(grid.shape),
        "random codes": lambda grid: random.integers(0, codes, grid.shape),
        "random codes, as often as in use": lambda grid: random.choice(codes, grid.shape, p=usage / usage.sum()),
    }
    for name, change in rows.items():
        print(f"  {name:34}{graded(map(change, grids), learned)}")
    edits: dict[str, Change] = {
        "its own code": lambda grid: grid,
        "a random code": lambda grid: random.integers(0, codes, grid.shape),
    }
    if farthest is not None:
        edits["the code farthest from its own"] = lambda grid: farthest[grid]
    for name, change in edits.items():
        print(f"  one cell odd, given {name}: {edited(grids, learned, change):.1%}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description=__doc__)
    parser.add_argument("data", help=f"photos that the models were not trained on: {KINDS}")
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=working_size, default=256, help="pixels on the long side (default: 256)")
    parser.add_argument("--checkpoint", action="append", help="a name or a folder; may be given again (default: all)")
    options = parser.parse_args(arguments)
    shipped = sorted(file.parent.name for file in checkpoints_folder().glob(f"*/{neighbours.FILE}"))
    try:
        images = find_set(options.data, options.under)
        for name in options.checkpoint or shipped:
            report(open_folder(Path(find_checkpoint(name))), images, options.size)
    except BadInput as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
