"""What the figures draw, taken out of them again: which point is which code, and what is too little to draw."""

import html
import json

import numpy as np
import plotly.graph_objects as go
import pytest

from explorer.codebook import charts
from explorer.images.reconstruction import Quality
from explorer.index.usage import Places
from explorer.inputs import charts as input_charts
from explorer.inputs.blending import Band, Curve


def drawn(figure: go.Figure) -> go.Figure:
    """The figure, having gone the way to the browser: strict JSON, and no wider a type than plotly takes."""
    json.loads(figure.to_json(), parse_constant=pytest.fail)
    return figure


def trace(figure: go.Figure, name: str) -> go.Scattergl:
    (found,) = (one for one in figure.data if one.name == name)
    return found


# --- rank and frequency -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [None, np.array([5, 5, 0, 0, 90, 0])])
def test_each_point_of_the_ranks_knows_its_code_and_what_no_cell_has_is_none(training: np.ndarray | None) -> None:
    counts = np.array([3, 0, 10, 3, 0, 4])
    for log in (False, True):
        figure = drawn(charts.rank_frequency(counts, training, log=log, sample="toys"))
        points = figure.data[0]  # the page asks for what is selected of this one
        assert points.name == "in toys"
        assert list(points.customdata) == [2, 5, 0, 3]  # equal counts by number
        assert list(points.x) == [1, 2, 3, 4]
        for code, share in zip(points.customdata, points.y, strict=True):
            assert share == counts[code] / 20
        assert len(figure.data) == (1 if training is None else 2)
        assert figure.layout.xaxis.type == figure.layout.yaxis.type == ("log" if log else "linear")


def test_ranks_that_are_typed_are_marked_as_a_box_would() -> None:
    counts = np.array([3, 0, 10, 3, 0, 4])
    marked = drawn(charts.rank_frequency(counts, None, log=True, sample="toys", marked=range(1, 3))).data[0]
    assert list(marked.selectedpoints) == [1, 2]
    assert charts.rank_frequency(counts, None, log=True, sample="toys").data[0].selectedpoints is None


def test_the_training_photos_are_shares_by_rank_of_their_own() -> None:
    figure = charts.rank_frequency(np.array([1, 2, 3]), np.array([10, 0, 30]), log=False, sample="toys")
    assert list(trace(figure, "in training").y) == [0.75, 0.25]
    assert trace(figure, "in training").customdata is None  # so a click there is no code


def test_the_name_of_a_set_is_no_markup() -> None:
    figure = charts.rank_frequency(np.array([1]), None, log=False, sample="<b>a & b</b>")
    assert figure.data[0].name == "in &lt;b&gt;a &amp; b&lt;/b&gt;"


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("counts", [[0], [7], [0, 0, 0]])
def test_ranks_of_very_little(counts: list[int], log: bool) -> None:
    for training in (None, np.zeros(len(counts), np.int64), np.ones(len(counts), np.int64)):
        figure = drawn(charts.rank_frequency(np.array(counts), training, log=log, sample="toys"))
        assert list(trace(figure, "in toys").customdata) == [code for code, count in enumerate(counts) if count]
        assert len(figure.data) == (2 if training is not None and training.any() else 1)


# --- one of a thing ---------------------------------------------------------------------------------------------------


def said_of_first(trace: go.Scattergl | go.Bar) -> str:
    """What is said where the first point is pointed at; of formats only the one of the histogram is known."""
    said = trace.hovertemplate.replace("%{x:.3f}", f"{trace.x[0]:.3f}")
    for name in ("x", "y", "text", "customdata"):
        values = getattr(trace, name)
        said = said.replace(f"%{{{name}}}", "" if values is None else str(values[0]))
    assert "%{" not in said
    return said.removesuffix("<extra></extra>")


def test_one_of_a_thing_is_not_said_to_be_several() -> None:
    (curve,) = charts.distinct_curve(np.array([1]), codes=8).data
    assert said_of_first(curve) == "images seen: 1<br>distinct codes: 1"
    (points,) = charts.codes_per_image(np.array([1]), ["a.png"]).data
    assert said_of_first(points) == "a.png<br>distinct codes: 1"
    (bars,) = charts.histogram(np.array([0.0, 24.0, 24.0]), title="distance").data
    assert said_of_first(bars) == "1 cell around 0.500"
    assert bars.customdata[-1] == "2 cells"


# --- distinct codes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distinct", [[4], [3, 5, 5, 6]])
def test_the_curve_of_distinct_codes(distinct: list[int]) -> None:
    figure = drawn(charts.distinct_curve(np.array(distinct), codes=8))
    (curve,) = figure.data
    assert list(curve.x) == list(range(1, len(distinct) + 1))
    assert list(curve.y) == distinct
    assert "markers" in curve.mode  # one image is a point, and a line of one point is nothing
    (line,) = figure.layout.shapes
    assert (line.y0, line.y1) == (8, 8)


@pytest.mark.parametrize("distinct", [[4], [3, 9, 5, 9]])
def test_each_image_is_a_point_with_its_name(distinct: list[int]) -> None:
    names = ["a.png", "<b>b</b>.png", "c & d.png", "d.png"][: len(distinct)]
    (points,) = drawn(charts.codes_per_image(np.array(distinct), names)).data
    assert list(points.y) == sorted(distinct, reverse=True)
    assert [int(x) for x in points.x] == list(range(1, len(distinct) + 1))
    found = {html.unescape(name): int(number) for name, number in zip(points.text, points.y, strict=True)}
    assert found == dict(zip(names, distinct, strict=True))
    assert not any("<" in name for name in points.text)


# --- small ones -------------------------------------------------------------------------------------------------------


def test_a_histogram_counts_everything_once() -> None:
    values = np.random.default_rng(0).normal(size=500).astype(np.float32)
    (bars,) = drawn(charts.histogram(values, title="distance")).data
    step = (values.max() - values.min()) / len(bars.x)
    for middle, height in list(zip(bars.x, bars.y, strict=True))[1:-1]:
        assert height == pytest.approx(((values >= middle - step / 2) & (values < middle + step / 2)).sum(), abs=1)
    assert sum(bars.y) == 500
    assert (np.array(bars.width) < step).all()  # so that the bars do not overlap


@pytest.mark.parametrize("values", [[], [0.0], [2.5] * 9])
def test_a_histogram_of_very_little(values: list[float]) -> None:
    (bars,) = drawn(charts.histogram(np.array(values, np.float32), title="distance")).data
    assert sum(bars.y) == len(values)


@pytest.mark.parametrize(("share", "top"), [(np.zeros((8, 8)), 2), (np.eye(8) * 8, 8), (np.full((1, 1), 1.0), 2)])
def test_where_a_code_sits_is_drawn_from_the_top_and_chance_is_not_the_top_of_the_scale(
    share: np.ndarray, top: float
) -> None:
    figure = drawn(charts.position_heat(Places(share, share / 2, share * 3, cells=1)))
    (heat,) = figure.data
    np.testing.assert_array_equal(np.array(heat.z), share)
    np.testing.assert_array_equal(np.array(heat.customdata), np.stack([share / 2, share * 3], -1))
    assert "interval" in heat.hovertemplate and "from 1 cell<" in heat.hovertemplate
    assert (heat.zmin, heat.zmax) == (0, top)
    assert figure.layout.yaxis.autorange == "reversed"


# --- blends -----------------------------------------------------------------------------------------------------------

WEIGHTS = np.array([-0.5, 0.0, 0.5, 1.0, 1.5])
PSNR = np.array([18.0, 24.0, 30.0, 32.0, 20.0])
QUALITY = Quality(24.0, None)  # of what is shown
BAND = Band(7, WEIGHTS, np.stack([PSNR - 2, PSNR + 1, PSNR + 3]), None)


def test_the_curve_of_the_blend_marks_where_the_slider_is() -> None:
    figure = drawn(input_charts.blend_curve(Curve(WEIGHTS, PSNR, None), None, now=0.25, quality=Quality(28.5, None)))
    assert list(trace(figure, "this picture").x) == [-0.5, 0.0, 0.25, 0.5, 1.0, 1.5]
    assert list(trace(figure, "this picture").y) == [18.0, 24.0, 28.5, 30.0, 32.0, 20.0]  # through what is shown
    assert (list(trace(figure, "now").x), list(trace(figure, "now").y)) == ([0.25], [28.5])
    assert len(figure.data) == 2
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "line"] == [(0.25, 0.25)]


@pytest.mark.parametrize(
    ("weights", "now", "shaded"),
    [
        ([-0.5, 0, 1, 1.5], 0.5, [(-0.5, 0), (1, 1.5)]),
        ([0, 0.5, 1], 0.5, []),
        ([0, 1], 1.2, [(1, 1.2)]),
        ([0, 1], -0.25, [(-0.25, 0)]),
        ([1.25, 1.5], 1.25, [(1.25, 1.5)]),
    ],
)
def test_exactly_the_extrapolation_is_shaded(
    weights: list[float], now: float, shaded: list[tuple[float, float]]
) -> None:
    curve = Curve(np.array(weights), np.arange(len(weights), dtype=float), None)
    figure = drawn(input_charts.blend_curve(curve, None, now=now, quality=QUALITY))
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "rect"] == shaded
    assert tuple(figure.layout.xaxis.range) == (min([*weights, now]), max([*weights, now]))


def test_the_band_lies_between_its_quartiles() -> None:
    figure = drawn(input_charts.blend_curve(Curve(WEIGHTS, PSNR, None), BAND, now=0.0, quality=QUALITY))
    outline = trace(figure, "half of the set")
    assert list(outline.x) == [*WEIGHTS, *WEIGHTS[::-1]]
    assert list(outline.y) == [*(PSNR + 3), *(PSNR - 2)[::-1]]
    assert list(trace(figure, "median of 7").y) == list(PSNR + 1)
    assert list(trace(figure, "this picture").y) == list(PSNR)
    assert [one.name for one in figure.data][-2:] == ["this picture", "now"]  # in front


def test_what_has_no_figure_is_a_gap() -> None:
    endless = np.array([18.0, 24.0, np.inf, 32.0, np.inf])
    band = Band(1, WEIGHTS, np.stack([endless] * 3), None)
    figure = drawn(input_charts.blend_curve(Curve(WEIGHTS, endless, None), band, now=0.0, quality=QUALITY))
    assert np.isnan(trace(figure, "this picture").y).tolist() == [False, False, True, False, True]
    assert list(trace(figure, "half of the set").x) == [-0.5, 0.0, 1.0, 1.0, 0.0, -0.5]
    figure = drawn(input_charts.blend_curve(Curve(WEIGHTS, PSNR, None), BAND, now=0.0, quality=QUALITY, measure="ssim"))
    assert np.isnan(trace(figure, "this picture").y).all() and np.isnan(trace(figure, "now").y).all()
    ssim = PSNR / 40
    here = Quality(30.0, 0.75)
    figure = drawn(input_charts.blend_curve(Curve(WEIGHTS, PSNR, ssim), None, now=0.5, quality=here, measure="ssim"))
    assert list(trace(figure, "this picture").y) == list(ssim)
    assert list(trace(figure, "now").y) == [0.75]


def test_until_there_is_a_curve_the_one_before_stands_there_and_now_is_where_it_is() -> None:
    curve = Curve(WEIGHTS, PSNR, None)
    figure = drawn(input_charts.blend_curve(None, BAND, now=0.3, quality=Quality(13.0, None), before=curve))
    assert [one.name for one in figure.data][-2:] == ["before the last change", "now"]
    assert list(trace(figure, "before the last change").y) == list(PSNR)
    assert (list(trace(figure, "now").x), list(trace(figure, "now").y)) == ([0.3], [13.0])
    figure = drawn(input_charts.blend_curve(None, None, now=0.3, quality=QUALITY))
    assert [one.name for one in figure.data] == ["now"]
    assert tuple(figure.layout.xaxis.range) == (-0.5, 1.5)


# --- sensitivity ------------------------------------------------------------------------------------------------------


def heat(values: list[list[float]], largest: float) -> go.Figure:
    return input_charts.sensitivity_heat(np.array(values), np.array(values) / 10, title="Codes", largest=largest)


def ratio(values: list[list[float]]) -> go.Figure:
    return input_charts.sensitivity_ratio(np.array(values, np.float32), np.array(values, np.float32) / 10)


@pytest.mark.parametrize(
    ("figure", "values", "scale"),
    [
        (heat([[1, 2, 0.5]], 4), [[1, 2, 0.5]], (0, 4)),
        (heat([[0, 0, 0], [0, 0, 0]], 0), [[0] * 3] * 2, (0, 1)),
        (ratio([[1.0, -3.0]]), [[1, -3]], (-3, 3)),
        (ratio([[0.5]]), [[0.5]], (-1, 1)),
    ],
)
def test_a_map_over_the_cells_has_a_scale_that_starts_at_nothing_or_is_even(
    figure: go.Figure, values: list, scale: tuple[float, float]
) -> None:
    (heat,) = drawn(figure).data
    np.testing.assert_array_equal(np.array(heat.z), values)
    np.testing.assert_allclose(np.array(heat.customdata), np.array(values) / 10, rtol=1e-6)
    assert "± %{customdata" in heat.hovertemplate
    assert (heat.zmin, heat.zmax) == scale
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.title.text
