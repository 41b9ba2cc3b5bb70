"""The dots of the map and which codes are shown: against what the words mean, counted one by one."""

import numpy as np
import pytest

from explorer.codebook import dots
from explorer.codebook.shown import shown_codes, usual_least
from explorer.ui.components.dots import outline_of

COUNTS = [[5, 0, 1, 100, 0, 1], [0, 0, 0], [1, 2], [0], [9], [7, 7, 7]]


def used(counts: list[int], seed: int = 0) -> dots.Usage:
    """The usage of codes with so many cells each, at random distances."""
    distances = np.random.default_rng(seed).random(sum(counts)).astype(np.float16)
    return dots.usage_of(np.array(counts), np.concatenate([[0], np.cumsum(counts)]), distances)


@pytest.mark.parametrize("counts", COUNTS)
def test_the_rank_counts_the_codes_with_more_cells_and_unused_codes_have_none(counts: list[int]) -> None:
    wanted = [1 + sum(other > count for other in counts) if count else 0 for count in counts]
    assert used(counts).ranks.tolist() == wanted


@pytest.mark.parametrize("counts", COUNTS)
def test_the_distance_of_a_code_is_the_mean_over_its_own_cells(counts: list[int]) -> None:
    distances = np.random.default_rng(0).random(sum(counts)).astype(np.float16)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    found = dots.usage_of(np.array(counts), offsets, distances).own_distance
    for code, count in enumerate(counts):
        own = [float(distance) for distance in distances[offsets[code] : offsets[code + 1]]]
        assert (np.isnan(found[code]) and not count) or found[code] == pytest.approx(sum(own) / count)


@pytest.mark.parametrize("counts", COUNTS)
def test_used_codes_lie_on_top_of_unused_ones_and_small_dots_on_large_ones(counts: list[int]) -> None:
    codes = np.arange(len(counts))
    order = dots.drawing_order(np.array(counts), codes).tolist()
    assert sorted(order) == codes.tolist()
    drawn = [counts[code] for code in order]
    first_used = next((place for place, count in enumerate(drawn) if count), len(drawn))
    assert not any(drawn[:first_used]) and all(drawn[first_used:])
    assert drawn[first_used:] == sorted(drawn[first_used:], reverse=True)


def test_the_area_of_a_dot_grows_with_its_usage() -> None:
    sizes = dots.radii(np.array([0, 1, 25, 100, 0]), np.arange(5)).astype(float)
    assert sizes[0] == sizes[4] == dots.UNUSED < dots.SMALLEST
    grown = sizes[1:4] - dots.SMALLEST
    np.testing.assert_allclose((grown / grown[2]) ** 2, [0.01, 0.25, 1], rtol=1e-4)
    assert (dots.radii(np.zeros(3, int), np.arange(3)) == dots.UNUSED).all()


def test_many_dots_are_smaller_and_never_vanish() -> None:
    sizes = [dots.crowding(number) for number in (0, 1, dots.FEW, 2 * dots.FEW, 16_384, 262_144)]
    assert sizes[:3] == [1, 1, 1] and sizes == sorted(sizes, reverse=True) and sizes[-1] == 0.25
    assert (sizes[3] ** 2) * 2 == pytest.approx(1)  # as much of the screen is covered


def test_shades_go_from_dark_to_light_and_what_is_not_finite_is_grey() -> None:
    values = np.array([3.0, np.inf, -1.0, 1.0, np.nan])
    colours, low, high = dots.shades(values)
    assert (low, high) == (-1, 3)
    assert colours[1].tolist() == colours[4].tolist() == list(dots.UNKNOWN)
    ends = [tuple(int(stop[at : at + 2], 16) for at in (1, 3, 5)) for stop in (dots.VIRIDIS[0], dots.VIRIDIS[-1])]
    assert (tuple(colours[2]), tuple(colours[0])) == tuple(ends)
    lightness = [colour @ (0.2126, 0.7152, 0.0722) for colour in dots.shades(np.linspace(0, 1, 50))[0]]
    assert lightness == sorted(lightness)
    assert dots.shades(np.full(3, np.inf))[0].tolist() == [list(dots.UNKNOWN)] * 3
    assert len({tuple(colour) for colour in dots.shades(np.full(3, 2.0))[0]}) == 1


def test_what_is_said_of_a_code() -> None:
    distances = np.repeat([0.5, 0.25, 1], [30, 1, 969]).astype(np.float16)
    usage = dots.usage_of(np.array([30, 1, 0, 969]), np.array([0, 30, 31, 31, 1000]), distances)
    said = [dots.said_of(code, usage, nearest) for code, nearest in enumerate([1.25, np.nan, 2, np.inf])]
    assert said == [
        "Code 0 · 30 cells · 3.00%\nrank 2 · its cells lie 0.50 from it · nearest code 1.25 away",
        "Code 1 · 1 cell · 0.10%\nrank 3 · its cells lie 0.25 from it",
        "Code 2 · no cell here has it\nnearest code 2.00 away",
        "Code 3 · 969 cells · 96.90%\nrank 1 · its cells lie 1.00 from it",
    ]


def test_inside_an_outline_is_where_it_winds_around_an_odd_number_of_times() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, (400, 2))
    box = [(-0.5, -0.25), (0.5, -0.25), (0.5, 0.75), (-0.5, 0.75)]
    wanted = (abs(points[:, 0]) < 0.5) & (points[:, 1] > -0.25) & (points[:, 1] < 0.75)
    assert np.array_equal(dots.inside(points, box), wanted)
    assert np.array_equal(dots.inside(points, box[::-1]), wanted)
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    radius = np.hypot(*points.T)
    clear = abs(radius - 0.7) > 0.001  # an outline of 500 points is not quite a circle
    circle = list(zip(0.7 * np.cos(angles), 0.7 * np.sin(angles), strict=True))
    assert np.array_equal(dots.inside(points, circle)[clear], (radius < 0.7)[clear])
    assert not dots.inside(points, [(0.0, 0.0), (1.0, 1.0)]).any()  # a line holds nothing


CORNERS = [[0, 0.5], [1, -2], [3, 4]]


@pytest.mark.parametrize(
    "said",
    [
        None,
        "outline",
        {"x": 1},
        CORNERS[:2],
        [*CORNERS, [1]],
        [*CORNERS, [1, 2, 3]],
        [*CORNERS, [1, None]],
        [*CORNERS, [True, 2]],
        [*CORNERS, [float("nan"), 2]],
        [*CORNERS, [10**400, 2]],
        [*CORNERS, "12"],
        CORNERS * 200,
    ],
)
def test_an_outline_that_makes_no_sense_gathers_nothing(said: object) -> None:
    assert outline_of(said) == []


def test_an_outline_is_taken_corner_by_corner() -> None:
    assert outline_of(CORNERS) == [(0.0, 0.5), (1.0, -2.0), (3.0, 4.0)]


# --- which codes are shown --------------------------------------------------------------------------------------------


def test_a_code_is_shown_when_it_passes_every_filter() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 5, 60)
    starred, pictured = random.permutation(60)[:20], random.permutation(60)[:30]
    for least in range(6):
        for among in ([], [starred], [starred, pictured]):
            wanted = [counts[code] >= least and all(code in codes for codes in among) for code in range(60)]
            assert shown_codes(counts, least=least, among=among).tolist() == wanted
    assert shown_codes(np.array([1, 2]), among=[np.array([1, 7])]).tolist() == [False, True]  # a star of another size


@pytest.mark.parametrize(
    ("used_codes", "codes", "least"), [(186, 262_144, 1), (0, 100, 0), (4, 100, 1), (5, 100, 0), (700, 1024, 0)]
)
def test_only_used_codes_are_shown_at_first_where_nearly_all_are_unused(
    used_codes: int, codes: int, least: int
) -> None:
    counts = np.zeros(codes, int)
    counts[:used_codes] = 3
    assert usual_least(counts) == least
