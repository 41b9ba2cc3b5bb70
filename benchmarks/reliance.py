"""The reliance test of one image against its bare decodes: python -m benchmarks.reliance"""

import argparse
import sys

import torch

from benchmarks.stages import noise_image, open_model
from benchmarks.timing import Timing, clock_name, compare, print_table
from explorer.inputs.reliance import Subject, measure
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.model import VQVAE

SIZES = (128, 256, 512)  # pixels along a side


def measure_test(model: VQVAE, size: int) -> list[Timing]:
    """One image of `size` × `size` pixels, each ablation of both inputs; the bare variant only decodes as often."""
    image = noise_image(size)
    with torch.inference_mode():
        encoding = model.encode(image)
    original = to_pixels(image)[0]
    subject = Subject.alone(encoding, partner=encoding)

    @torch.inference_mode()
    def bare() -> None:
        for _ in (None, *subject.ablations):
            model.decode(encoding.quantized, encoding.embedding)

    return compare(
        {"decodes, bare": bare},
        {
            "reliance test": lambda: measure(model, subject, original),
            "its statistics and test": lambda: measure(model, Subject.alone(encoding, partner=encoding), original),
        },
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliance", description=__doc__)
    parser.add_argument("--checkpoint", help="a name in checkpoints/, or a folder (default: an untrained model)")
    options = parser.parse_args(arguments)
    try:
        model = open_model(options.checkpoint)
    except BadInput as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    for size in SIZES:
        print_table(f"{size} px, one thread ({clock_name()})", measure_test(model, size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
