"""With which versions a figure was made: those of the packages that it depends on."""

from importlib.metadata import version

import explorer

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pillow")


def versions() -> dict[str, str]:
    """By package, the app's own first."""
    return {"vqvae-explorer": explorer.__version__, **{name: version(name) for name in PACKAGES}}
