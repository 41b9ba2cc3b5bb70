"""What a program needs, in a few names: `import vqvae`, and see "As a library" in the README."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqvae import checkpoint
from vqvae.images import load_image, to_pixels, to_png, to_tensor
from vqvae.places import find_checkpoint
from vqvae.plugin import on_device
from vqvae.tokenizer import Tokenizer


def load(name: str | Path, *, device: str | None = None) -> Tokenizer:
    """The tokenizer of a checkpoint, ready to serve: named as in the app, or the path of its folder; raises BadInput.

    On a `device`, such as "cuda", it computes there; images and results stay on the CPU.
    """
    tokenizer = checkpoint.load(find_checkpoint(str(name)))
    return tokenizer if device is None else on_device(tokenizer, device)


def read_image(path: str | Path) -> Tensor:
    """A PNG, JPEG, WebP, GIF, BMP or TIFF file -> [1, 3, H, W] in [0, 1]; raises BadInput, and OSError without it."""
    return to_tensor(load_image(Path(path).read_bytes(), Path(path).name))


def write_image(path: str | Path, image: Tensor | np.ndarray) -> None:
    """Write a PNG: [1, 3, H, W] in [0, 1], rounded to 8 bits, or uint8 [H, W, 3] as it is. Whole, or not at all."""
    pixels = to_pixels(image)[0] if isinstance(image, torch.Tensor) else image
    checkpoint.write_atomically(Path(path), to_png(pixels))
