"""VQ-VAEs whose decoder takes two inputs: the quantized vectors and the encoder's continuous embedding.

Torch only: nothing in this package knows of the app that shows it. `vqvae.adapt` makes a tokenizer of any model.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqvae.adapting import adapt

__all__ = ["adapt"]

# OpenMP reads this when torch is imported. Threads that spin while they wait cost whoever else computes on the machine
# most of a core: beside a training run, two threads were up to 19 times slower without it (benchmarks/nearest.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    """`adapt`, imported when it is asked for: importing this package costs nothing."""
    if name == "adapt":
        from vqvae.adapting import adapt

        return adapt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
