"""The reliance test of one image against its bare decodes: python -m benchmarks.reliance"""

import argparse
import sys

import torch

from benchmarks.stages import noise_image, open_model
from benchmarks.timing import Timing, clock_name, compare, print_table
from explorer.inputs.reliance.ablations import ablations, means_of
from explorer.inputs.reliance.boundary import border_of
from explorer.inputs.reliance.boundary import measure as move_across
from explorer.inputs.reliance.measure import EncodedImage, Settings, Tested, measure_image
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.model import VQVAE
from vqvae.search import Codebook

SIZES = (128, 256, 512)  # pixels along a side


class Counting:
    """A model that counts what it decodes."""

    def __init__(self, model: VQVAE) -> None:
        self.spec, self.encode, self.lookup, self.vectors = model.spec, model.encode, model.lookup, model.vectors
        self.model, self.number = model, 0

    def decode(self, quantized: torch.Tensor, embedding: torch.Tensor | None = None) -> torch.Tensor:
        self.number += 1
        return self.model.decode(quantized, embedding)

    def pixels_of(self, quantized: torch.Tensor, embedding: torch.Tensor | None = None) -> torch.Tensor:
        self.number += 1
        return self.model.pixels_of(quantized, embedding)


def measure_test(model: VQVAE, size: int) -> list[Timing]:
    """One image of `size` × `size` pixels with the usual partners; the bare variant only decodes as often."""
    image = noise_image(size)
    with torch.inference_mode():
        encoding = model.encode(image)
    one = EncodedImage("it", to_pixels(image)[0], encoding)
    codebook, settings, means = Codebook.of(model), Settings(), means_of([encoding])
    others = [one] * settings.partners

    def whole(tokenizer: VQVAE | Counting) -> object:
        return measure_image(Tested(tokenizer, codebook), one, others, means=means, settings=settings)

    counting = Counting(model)
    whole(counting)

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(counting.number):
            model.decode(encoding.quantized, encoding.embedding)

    return compare(
        {f"{counting.number} decodes, bare": bare},
        {
            f"reliance test, {len(ablations(inputs=2))} replacements": lambda: whole(model),
            "of it, the borders": lambda: move_across(
                model, encoding, border_of(codebook, encoding), blends=settings.blends
            ),
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
