"""VQ-VAEs whose decoder takes two inputs: the quantized vectors and the encoder's continuous embedding.

Torch only: nothing in this package knows of the app that shows it. `vqvae.load` opens a checkpoint, `vqvae.adapt` makes
a tokenizer of any model; both offer what `vqvae.Tokenizer` says.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqvae.adapting import adapt
    from vqvae.errors import BadInput
    from vqvae.library import load, read_image, write_image
    from vqvae.metrics import psnr, ssim
    from vqvae.tokenizer import Encoding, Tokenizer, blend, reconstruct

__all__ = [
    "BadInput",
    "Encoding",
    "Tokenizer",
    "adapt",
    "blend",
    "load",
    "psnr",
    "read_image",
    "reconstruct",
    "ssim",
    "write_image",
]
_MODULES = {
    "adapting": ("adapt",),
    "errors": ("BadInput",),
    "library": ("load", "read_image", "write_image"),
    "metrics": ("psnr", "ssim"),
    "tokenizer": ("Encoding", "Tokenizer", "blend", "reconstruct"),
}

# OpenMP reads this when torch is imported. Threads that spin while they wait cost whoever else computes on the machine
# most of a core: beside a training run, two threads were up to 19 times slower without it (benchmarks/nearest.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Torch's profiler, which measures memory (explorer/base/memory.py), reads this then, too: it would log each use of it.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def __getattr__(name: str) -> Any:
    """What programs need, imported when it is asked for: importing this package costs nothing."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"vqvae.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
