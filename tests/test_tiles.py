"""The orders of the wall and the texts of the map; the tiles themselves are tested in test_explorer.py."""

import colorsys
import math
import re
from itertools import pairwise

import numpy as np
import pytest

from explorer.codebook.tiles import MOST_PAINTED, hover_texts, mean_colours, order_by

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


# --- hover texts ------------------------------------------------------------------------------------------------------


def blocks(codes: int, side: int = 4) -> np.ndarray:
    """Tiles of side × side blocks in colours of their own: uint8 [K, side, side, 3]."""
    return np.random.default_rng(0).integers(0, 256, (codes, side, side, 3), dtype=np.uint8)


def painted(text: str) -> list[list[list[int]]]:
    """The colours of the lines of blocks that a text begins with."""
    lines = text.split("<br>")[:-2]
    return [[[int(part) for part in rgb] for rgb in re.findall(r"rgb\((\d+),(\d+),(\d+)\)", line)] for line in lines]


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_blocks_have_the_colours_of_the_tile(scale: int) -> None:
    small = blocks(3)
    texts = hover_texts(small.repeat(scale, axis=1).repeat(scale, axis=2), np.array([1, 2, 3]))
    assert texts is not None
    assert [painted(text) for text in texts] == small.tolist()


@pytest.mark.parametrize("side", [8, 16, 32])
def test_a_block_is_the_pixel_in_the_middle_of_its_part(side: int) -> None:
    tiles = blocks(1, side)
    texts = hover_texts(tiles, np.array([1]))
    assert texts is not None
    assert painted(texts[0]) == tiles[0, side // 8 :: side // 4, side // 8 :: side // 4].tolist()


@pytest.mark.parametrize("side", [1, 2])
def test_a_tile_of_few_pixels_is_enlarged(side: int) -> None:
    small = blocks(2, side)
    texts = hover_texts(small, np.array([1, 2]))
    assert texts is not None
    enlarged = small.repeat(4 // side, axis=1).repeat(4 // side, axis=2)
    assert [painted(text) for text in texts] == enlarged.tolist()


def test_the_figures_of_each_code() -> None:
    texts = hover_texts(blocks(3), np.array([0, 1500, 500]))
    assert texts is not None
    lines = [text.split("<br>")[-2:] for text in texts]
    assert lines == [
        ["<b>Code 0</b>", "0 cells · 0.00%"],
        ["<b>Code 1</b>", "1,500 cells · 75.00%"],
        ["<b>Code 2</b>", "500 cells · 25.00%"],
    ]


@pytest.mark.parametrize("counts", [[0], [0, 0], [7]])
def test_without_cells_or_with_one_code_there_are_texts_too(counts: list[int]) -> None:
    texts = hover_texts(blocks(len(counts)), np.array(counts))
    assert texts is not None
    assert len(texts) == len(counts)
    assert all(text.endswith("100.00%" if sum(counts) else "0.00%") for text in texts)


def test_there_is_no_markup_but_blocks_bold_and_breaks() -> None:
    texts = hover_texts(blocks(20), np.arange(20) * 10_000)
    assert texts is not None
    for text in texts:
        left = re.sub(r"<span style='color:rgb\(\d{1,3},\d{1,3},\d{1,3}\)'>██</span>|<br>|</?b>", "", text)
        assert re.fullmatch(r"Code \d+[\d,]+ cells · \d+\.\d\d%", left)
        assert len(re.findall("<span", text)) == len(re.findall("</span>", text)) == 16


def test_beyond_the_limit_there_are_none() -> None:
    tiles = np.zeros((MOST_PAINTED + 1, 1, 1, 3), np.uint8)
    counts = np.zeros(MOST_PAINTED + 1, int)
    assert MOST_PAINTED == 4096
    assert hover_texts(tiles, counts) is None
    texts = hover_texts(tiles[:-1], counts[:-1])
    assert texts is not None
    assert len(texts) == MOST_PAINTED
