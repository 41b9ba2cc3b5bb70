"""The ranges in which other people's networks want their pixels; ours, outside of the adapters, is [0, 1]."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vqvae.errors import BadInput, shown

RANGES: dict[str, tuple[float, float]] = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "-0.5..0.5": (-0.5, 0.5)}


def pixel_range(settings: Mapping[str, Any]) -> str:
    """The setting 'pixels', one of RANGES; raises BadInput otherwise."""
    pixels = settings["pixels"]
    if not isinstance(pixels, str) or pixels not in RANGES:
        known = ", ".join(f'"{name}"' for name in RANGES)
        raise BadInput(f"The setting 'pixels' has to be one of {known}, and is {shown(pixels)}.")
    return pixels


def from_unit(images: Tensor, pixels: str) -> Tensor:
    """[0, 1] -> the named range."""
    low, high = RANGES[pixels]
    return images * (high - low) + low


def to_unit(images: Tensor, pixels: str) -> Tensor:
    """The named range -> [0, 1], clamped."""
    return rescaled(images, pixels).clamp(0, 1)


def rescaled(images: Tensor, pixels: str) -> Tensor:
    """The named range -> [0, 1]; what lies outside of it stays outside."""
    low, high = RANGES[pixels]
    return (images - low) / (high - low)
