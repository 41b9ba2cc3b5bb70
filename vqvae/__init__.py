"""VQ-VAEs whose decoder takes two inputs: the quantized vectors and the encoder's continuous embedding.

Torch only: nothing in this package knows of the app that shows it.
"""

import os

# OpenMP reads this when torch is imported. Threads that spin while they wait cost whoever else computes on the machine
# most of a core: beside a training run, two threads were up to 19 times slower without it (benchmarks/nearest.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
