"""Where a reconstruction differs from its original, in the colours that the pages draw it in."""

from __future__ import annotations

import numpy as np

STOPS = ((8, 6, 20), (92, 24, 110), (226, 82, 66), (253, 231, 160))  # dark to bright, as in components/canvas/parts.js
FULL = 64  # mean absolute difference, in levels of 255, from which on it is drawn brightest
MEANING = "Mean absolute difference over red, green and blue, in levels of 255"


def error_map(original: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The mean absolute difference of two pictures over the channels, as colours: all uint8 [H, W, 3]."""
    difference = np.abs(original.astype(int) - drawn.astype(int)).sum(axis=-1) / 3
    return _RAMP[np.minimum(255, np.floor(difference / FULL * 255 + 0.5)).astype(int)]


def _ramp() -> np.ndarray:
    """The colours of differences from 0 to FULL, in 256 steps, piecewise linear between STOPS: uint8 [256, 3]."""
    stops = np.array(STOPS, np.float64)
    place = np.arange(256) / 255 * (len(stops) - 1)
    low = np.minimum(place.astype(int), len(stops) - 2)
    colours = stops[low] + (place - low)[:, None] * (stops[low + 1] - stops[low])
    return colours.astype(np.uint8)  # the canvas floors, too


_RAMP = _ramp()
