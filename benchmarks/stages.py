"""Encode, quantize and decode one image, each against the bare forward pass: python -m benchmarks.stages"""

import argparse
import sys

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Timing, clock_name, compare, print_table
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import to_tensor
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.places import find_checkpoint
from vqvae.tokenizer import prepare

SIZES = (128, 256, 512)  # pixels along a side
THREADS = (1, 2)


def open_model(name: str | None) -> VQVAE:
    """A checkpoint, by its name in checkpoints/ or its folder; without one, a model of the default size, untrained.

    Raises BadInput when it cannot be read, or when it is of a family that has no bare forward pass to compare with.
    """
    if name is None:
        torch.manual_seed(0)
        return prepare(VQVAE(VQVAEConfig()))
    folder = find_checkpoint(name)
    model = checkpoint.load(folder)
    if not isinstance(model, VQVAE):
        raise BadInput(f"{folder} is not a VQVAE of this project; name one that is.")
    return model


def noise_image(size: int) -> Tensor:
    """[1, 3, size, size] in [0, 1], laid out in memory as the app's pictures are."""
    return to_tensor(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8))


@torch.inference_mode()
def measure(model: VQVAE, size: int) -> list[Timing]:
    """The stages for one image of `size` × `size` pixels; encode and quantize against the encoder's forward pass,
    decode against the decoder's.
    """
    image = noise_image(size)
    encoding = model.encode(image)
    embedding, quantized = encoding.embedding, encoding.quantized
    encoding_timings = compare(
        {"encoder, bare": lambda: model.encoder(image)},
        {"encode": lambda: model.encode(image), "quantize": lambda: model.quantizer.nearest(embedding)},
    )
    decoding_timings = compare(
        {"decoder, bare": lambda: model.decoder(quantized, embedding)},
        {"decode": lambda: model.decode(quantized, embedding)},
    )
    return encoding_timings + decoding_timings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--checkpoint", help="a name in checkpoints/, or a folder (default: an untrained model)")
    options = parser.parse_args(arguments)
    try:
        model = open_model(options.checkpoint)
    except BadInput as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    print(f"{options.checkpoint or 'untrained'}: {model.config}\n")
    for threads in THREADS:
        torch.set_num_threads(threads)
        for size in SIZES:
            print_table(f"{size} px, threads: {threads} ({clock_name()})", measure(model, size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
