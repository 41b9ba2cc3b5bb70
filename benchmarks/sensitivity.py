"""The maps of how much each input counts: what a probe costs, how many are taken, how alike two maps come out.

python -m benchmarks.sensitivity
"""

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.stages import open_model
from explorer.images.pictures import open_picture
from explorer.images.samples import SAMPLES
from explorer.inputs.sensitivity import sensitivity_map
from vqvae.errors import BadInput
from vqvae.model import VQVAE
from vqvae.search import Codebook

COLUMNS = f"{'':<12}{'input':<12}{'probes':>8}{'decodes':>10}{'error':>10}{'seeds apart':>14}{'correlation':>14}"


def measure(model: VQVAE, name: str, size: int) -> Iterator[str]:
    """A line for each input, over two seeds: probes, CPU time in decodes, the error that the map says of itself, how
    far the two maps are apart by that measure, and their correlation over the cells.
    """
    sample = next(sample for sample in SAMPLES if sample.name == name)
    picture = open_picture(sample.read(), sample.file, working_size=size)
    with torch.inference_mode():
        encoding = model.encode(picture.image)
        started = time.process_time()
        for _ in range(5):
            model.decode(encoding.quantized, encoding.embedding)
        decode = (time.process_time() - started) / 5
    started = time.process_time()
    maps = [sensitivity_map(model, Codebook.of(model), encoding, seed=seed) for seed in (0, 1)]
    decodes = (time.process_time() - started) / decode / sum(one.probes for found in maps for one in found.inputs)
    for label, one, other in zip(("codes", "embedding"), maps[0].inputs, maps[1].inputs, strict=False):
        apart = np.sqrt(np.mean((one.values - other.values) ** 2) / 2 / np.mean(one.values**2))
        alike = np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1]
        yield (
            f"{name:<12}{label:<12}{one.probes:>8}{decodes:>9.2f}×{one.relative_error:>10.2%}{apart:>14.2%}{alike:>14.4f}"
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sensitivity", description=__doc__)
    parser.add_argument("--checkpoint", default="photos", help="a name in checkpoints/, or a folder")
    parser.add_argument("--size", type=int, default=256, help="pixels on the long side")
    parser.add_argument("--samples", type=int, default=2, help="of the sample photos")
    options = parser.parse_args(arguments)
    try:
        model = open_model(options.checkpoint)
    except BadInput as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    print(f"{options.checkpoint}, {options.size} px; CPU time of a probe in decodes\n{COLUMNS}")
    for sample in SAMPLES[: options.samples]:
        for line in measure(model, sample.name, options.size):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
