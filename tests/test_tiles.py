"""The orders of the wall; the tiles themselves are tested in test_explorer.py."""

import colorsys
import math
from itertools import pairwise

import numpy as np
import pytest

from explorer.codebook.tiles import mean_colours, order_by

MEASURES = ["number", "norm", "brightness", "hue"]


def measured(measure: str, code: int, codebook: np.ndarray, colours: np.ndarray) -> tuple[float, ...]:
    """By what a code is sorted, in plain words."""
    red, green, blue = (int(part) for part in colours[code])
    if measure == "norm":
        return (math.hypot(*codebook[code].tolist()),)
    if measure == "brightness":
        return (0.299 * red + 0.587 * green + 0.114 * blue,)
    if measure == "hue":
        chroma = max(red, green, blue) - min(red, green, blue)
        if chroma < 0.08 * 255:
            return (0, max(red, green, blue) + min(red, green, blue))  # greys first, from dark to light
        return (1, colorsys.rgb_to_hsv(red, green, blue)[0])
    return (code,)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("codes", [1, 2, 300])
def test_each_order_is_a_permutation_that_is_sorted(codes: int, measure: str) -> None:
    random = np.random.default_rng(codes)
    codebook = random.normal(size=(codes, 4)).astype(np.float32)
    colours = random.integers(0, 256, (codes, 3), dtype=np.uint8)
    colours[::5] = colours[::5, :1]  # some greys
    order = order_by(measure, codebook, colours)
    assert sorted(order.tolist()) == list(range(codes))
    values = [measured(measure, code, codebook, colours) for code in order.tolist()]
    for one, next_one in pairwise(values):
        assert one <= (*next_one[:-1], next_one[-1] + 1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_codes_stay_in_the_order_of_their_numbers(measure: str) -> None:
    order = order_by(measure, np.ones((50, 4), np.float32), np.full((50, 3), 77, np.uint8))
    assert order.tolist() == list(range(50))


def test_greys_come_before_all_hues_even_white_before_red() -> None:
    colours = {
        "red": (255, 0, 0),
        "white": (255, 255, 255),
        "blue": (0, 0, 255),
        "black": (0, 0, 0),
        "green": (0, 255, 0),
        "grey": (128, 128, 128),
    }
    order = order_by("hue", np.zeros((6, 2)), np.array(list(colours.values()), np.uint8))
    assert [list(colours)[code] for code in order] == ["black", "grey", "white", "red", "green", "blue"]


def test_brightness_is_as_eyes_see_it() -> None:
    green_blue_red = np.array([(0, 255, 0), (0, 0, 255), (255, 0, 0)], np.uint8)
    assert order_by("brightness", np.zeros((3, 2)), green_blue_red).tolist() == [1, 2, 0]


def test_an_unknown_order_is_a_fault() -> None:
    with pytest.raises(ValueError, match="'luck'"):
        order_by("luck", np.zeros((3, 2)), np.zeros((3, 3), np.uint8))


def test_mean_colours_are_rounded_not_cut() -> None:
    tiles = np.zeros((2, 2, 2, 3), np.uint8)
    tiles[0, 0, 0] = (3, 255, 2)
    tiles[1] = 255
    assert mean_colours(tiles).tolist() == [[1, 64, 0], [255, 255, 255]]
