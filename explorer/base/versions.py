"""With which versions a figure was made: those of the packages that it depends on."""

import sys
from functools import cache
from importlib.metadata import distributions

import explorer

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pillow")


def versions() -> dict[str, str]:
    """By package, the app's own first; from any thread."""
    return {"vqvae-explorer": explorer.__version__, **{name: _installed(name) for name in PACKAGES}}


@cache
def _installed(name: str) -> str:
    """From a copy of the path: Streamlit changes it at each run of a page, and who goes through it misses a place."""
    found, *_ = distributions(name=name, path=list(sys.path))
    return found.version
