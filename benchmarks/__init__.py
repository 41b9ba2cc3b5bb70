"""How fast the parts are, as ratios to what they cannot do without, measured in one run."""

import vqvae  # noqa: F401  # before torch, because it says how OpenMP's threads shall wait
