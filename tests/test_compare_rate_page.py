"""The Rate–distortion view: what its chart and its table say is what was computed, and who fails costs a row alone."""

import html
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from explorer.base.open_model import open_folder
from explorer.compare import charts
from explorer.compare.charts import Drawn, rate_chart, spread
from explorer.compare.measure import measure
from explorer.compare.rate import COUNTS, Curve, Point, Rates, as_csv, at_equal_bits, curves, rates_of
from explorer.compare.records import Settings
from explorer.images.sets import ImageSet, open_set
from explorer.ui import cache, jobs
from explorer.ui.session import Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toys import toy_model, write_toy_photos
from vqvae import checkpoint

NAMES = ("one", "two")


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, name in enumerate(NAMES):
        model = toy_model(seed, channels=(4, 8)[: 2 - seed], blocks=(1, 1)[: 2 - seed])  # strides 4 and 2
        checkpoint.save(tmp_path / "checkpoints" / name, model, {})
    monkeypatch.setattr(cache, "ROOT", tmp_path / "checkpoints")
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    jobs.shelf.clear()


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    return open_set(write_toy_photos(tmp_path / "photos", count=3, height=96, width=104))


@pytest.fixture
def rates(images: ImageSet) -> Rates:
    return rates_of(measure([open_folder(cache.ROOT / name) for name in NAMES], images, Settings()))


def on_rate(images: ImageSet | None, *models: str, **changes: object) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    on = {"measured_on": "set", "measured_path": images.source} if images else {"measured_on": "picture"}
    session = Session(checkpoint="one", working_size=128)
    app.session_state[SESSION_KEY] = session.on("compare", models=models, view="rate", **{**on, **changes})
    return at_rest(app.run())


def rows(app: AppTest) -> dict[str, list[str]]:
    """The table's rows by the models' names: what each cell says, without its markup."""
    (table,) = [one.proto.body for one in app.get("html") if 'class="compared rates"' in one.proto.body]
    found = re.findall(r'<tr role="row"><th role="rowheader" scope="row">.*?</tr>', table)
    parted = [re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row) for row in found]
    plain = [[html.unescape(re.sub(r"<[^>]+>", " ", cell)).split() for cell in row] for row in parted]
    return {label[1]: [" ".join(cell) for cell in row] for label, *row in plain}


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_table_says_what_was_computed(images: ImageSet, rates: Rates) -> None:
    app = on_rate(images, *NAMES)
    assert not app.exception and not app.error
    equal = at_equal_bits(rates, images, None, count="fixed", headers=True, kept=None)
    for place, name in enumerate(NAMES):
        point, estimate = rates.points[place], rates.estimates[place, "psnr"]
        assert isinstance(point, Point)
        fixed, order0, near, psnr, *codecs = rows(app)[name]
        assert fixed == f"{rates.bits_per_pixel(point, 'fixed'):.4f}"
        assert order0.startswith(f"{rates.bits_per_pixel(point, 'order0'):.4f}")
        assert near.startswith(f"{rates.bits_per_pixel(point, 'conditioned'):.4f}")
        assert psnr == f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
        for said, one in zip(codecs, equal[place], strict=False):
            assert said == "none this small" if not one.fits else f"{np.nanmean(one.closeness['psnr']):.2f}" in said
    drawn = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert {trace.get("name") for trace in drawn["data"]} >= {*NAMES, "JPEG", "log2 K"}


def test_what_is_chosen_is_drawn_and_measured(images: ImageSet, rates: Rates) -> None:
    app = on_rate(images, *NAMES)
    app.button_group(key="rate-measure").set_value("ssim").run()
    app.button_group(key="rate-bits").set_value("conditioned").run()
    app.toggle(key="rate-headers").set_value(False).run()
    at_rest(app)
    chosen = app.session_state[SESSION_KEY].compare
    assert (chosen.closeness, chosen.bits_by, chosen.counts_headers) == ("ssim", "conditioned", False)
    equal = at_equal_bits(rates, images, None, count="conditioned", headers=False, kept=None)
    for place, name in enumerate(NAMES):
        ssim = rates.estimates[place, "ssim"]
        said = rows(app)[name]
        assert said[3].startswith(f"{ssim.value:.3f} [")
        jpeg = equal[place][0]
        assert f"{np.nanmean(jpeg.closeness['ssim']):.3f}" in said[4] if jpeg.fits else said[4] == "none this small"
    assert "headers are not counted" in " ".join(one.proto.body for one in app.get("html"))


def test_one_picture_has_no_interval_and_a_model_that_is_not_there_has_its_row() -> None:
    app = on_rate(None, "one", "gone", "two")
    assert not app.exception
    found = rows(app)
    assert found["gone"] == ["There is no checkpoint of this name here; choose another."]
    assert not any("[" in cell for cell in found["one"] + found["two"])
    assert "One picture: no interval" in " ".join(one.proto.body for one in app.get("html"))


def test_other_models_on_the_same_images_find_the_curves_that_are_drawn(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_rate(images, *NAMES)
    monkeypatch.setattr("explorer.ui.views.compare.rate.curves", lambda *_, **__: pytest.fail("drawn again"))
    app = on_rate(images, "two", "one")
    assert not app.exception and not app.error
    assert "JPEG" in app.get("plotly_chart")[0].proto.spec


# --- the chart --------------------------------------------------------------------------------------------------------

LOOKS = [Drawn(1, "one", "#111111"), Drawn(2, "<b>two", "#222222")]


def chart(rates: Rates, drawn: tuple[Curve, ...] = (), name: str = "psnr", headers: bool = True) -> go.Figure:
    return rate_chart(
        rates, LOOKS, drawn, measure=name, headers=headers, told=lambda place, count: f"{place} <{count}>\nbelow"
    )


def traces(figure: go.Figure, name: str) -> list:
    return [one for one in figure.data if one.name == name]


def test_a_models_three_counts_are_on_one_line_with_its_interval_and_say_what_they_are(rates: Rates) -> None:
    figure = chart(rates)
    json.loads(figure.to_json(), parse_constant=pytest.fail)
    (line,) = traces(figure, "one")
    point, estimate = rates.points[0], rates.estimates[0, "psnr"]
    assert isinstance(point, Point)
    assert list(line.x) == [rates.bits_per_pixel(point, count) for count in COUNTS]
    assert list(line.y) == [estimate.value] * 3
    assert len(set(line.marker.symbol)) == 3
    assert line.customdata[1] == "0 &lt;order0&gt;<br>below"
    (interval,) = [one for one in figure.data if one.error_y.array is not None and one.x[0] == line.x[0]]
    assert interval.y[0] + interval.error_y.array[0] == pytest.approx(estimate.high)
    assert interval.y[0] - interval.error_y.arrayminus[0] == pytest.approx(estimate.low)
    assert [one.name for one in figure.data if one.showlegend is None] == ["log2 K", "Order 0", "By neighbours"]
    assert traces(figure, "&lt;b&gt;two")  # a name is no markup


@pytest.mark.parametrize("headers", [True, False])
def test_curves_go_through_their_files_and_are_named_where_they_end(
    rates: Rates, images: ImageSet, headers: bool
) -> None:
    drawn = curves(rates, images, None, kept=None)
    for name in ("psnr", "ssim", "colour_difference"):
        figure = chart(rates, drawn, name, headers)
        for curve in drawn:
            line, files = traces(figure, curve.codec.name)
            assert list(files.x) == list(curve.bits_per_pixel[headers])
            assert list(files.y) == list(curve.closeness[name])
            left, right = (10**end for end in figure.layout.xaxis.range)
            assert all(left * 0.999 <= x <= right * 1.001 for x in line.x)
            within = {x for x in files.x if left < x < right and x < max(files.x) and x > min(files.x)}
            assert within <= set(line.x)
        names = [one.text for one in figure.layout.annotations]
        assert names[: len(drawn)] == [curve.codec.name for curve in drawn if traces(figure, curve.codec.name)[0].x]
        bottom, top = figure.layout.yaxis.range
        assert (bottom > top) == (name == "colour_difference")  # up is closer
    if not headers:
        assert all((curve.bits_per_pixel[False] < curve.bits_per_pixel[True]).all() for curve in drawn)


def test_models_of_equal_bits_stand_side_by_side_and_their_names_in_a_column(images: ImageSet) -> None:
    twins = rates_of(measure([open_folder(cache.ROOT / "one")] * 2, images, Settings()))
    figure = chart(twins)
    first, second = traces(figure, "one")[0], traces(figure, "&lt;b&gt;two")[0]
    assert 1 < second.x[0] / first.x[0] < 1.03
    chips = [one for one in figure.layout.annotations if one.bgcolor]
    assert chips[0].x == chips[1].x
    assert abs(chips[0].yshift - chips[1].yshift) >= charts._GAP - 0.1


def test_names_are_moved_apart_only_where_they_meet() -> None:
    beside = [(0.0, 50.0), (100.0, 50.0)]
    assert spread([10.0, 12.0], beside) == [10.0, 12.0]
    for heights in ([10.0, 12.0], [12.0, 10.0], [5.0, 5.0], [0.0, 100.0], [3.0, 4.0, 5.0, 6.0]):
        found = spread(heights, [(0.0, 50.0)] * len(heights))
        ordered = sorted(found)
        assert all(above - below >= charts._GAP - 0.1 for below, above in itertools.pairwise(ordered))
        order = np.argsort(heights, kind="stable")
        assert len(set(heights)) < len(heights) or list(np.argsort(found)) == list(order)
        assert sum(found) == pytest.approx(sum(heights), abs=1)


def test_the_csv_has_every_model_measure_and_codec(rates: Rates, images: ImageSet) -> None:
    equal = at_equal_bits(rates, images, None, count="fixed", headers=False, kept=None)
    lines = as_csv(rates, equal, count="fixed", headers=False).split("\r\n")
    assert len(lines) == 1 + 2 * 3 * len(equal[0]) + 1
    heads, first = (line.split(",") for line in lines[:2])
    row = dict(zip(heads, first, strict=True))
    assert (row["model"], row["measure"], row["codec"]) == ("one", "psnr", "JPEG")
    assert float(row["value"]) == rates.estimates[0, "psnr"].value
    if equal[0][0].fits:
        jpeg = float(np.nanmean(equal[0][0].closeness["psnr"]))
        assert float(row["codec_value"]) == pytest.approx(jpeg)
        assert math.isfinite(float(row["difference"]))
