"""A figure as a table: what is drawn, in full, under the titles of its axes."""

import numpy as np
import plotly.graph_objects as go

from explorer.base.charts import plain_text, table_of, unchecked


def test_lines_have_a_row_for_each_point_with_their_name_and_interval() -> None:
    figure = go.Figure()
    x, y = np.array([0.1, 1 / 3]), np.array([1e-9, 2.0])
    error = {"array": [1.0, 2.0], "arrayminus": [0.5, 0.25]}
    figure.add_scatter(x=x, y=y, name=plain_text("a <b> & c"), error_y=error)
    figure.add_scattergl(x=["one"], y=[3], yaxis="y2", text=["k"])
    figure.update_layout(xaxis_title="blend", yaxis_title="PSNR, dB", yaxis2={"title": {"text": "share"}})
    assert table_of(figure) == [
        {
            "series": "a <b> & c",
            "blend": x[0],
            "PSNR, dB": 1e-9,
            "PSNR, dB, low": 1e-9 - 0.5,
            "PSNR, dB, high": 1e-9 + 1,
        },
        {"series": "a <b> & c", "blend": x[1], "PSNR, dB": 2.0, "PSNR, dB, low": 1.75, "PSNR, dB, high": 4.0},
        {"blend": "one", "share": 3, "name": "k"},
    ]


def test_bars_that_plotly_did_not_check_are_read_as_well() -> None:
    bars = {"type": "bar", "x": np.arange(3) / 7, "y": np.arange(3)}
    rows = table_of(unchecked([bars], height=100, xaxis={"title": {"text": "distance"}}))
    assert rows == [{"distance": place / 7, "y": place} for place in range(3)]


def test_a_map_has_a_row_for_each_cell() -> None:
    values = np.arange(6, dtype=np.float64).reshape(2, 3) / 9
    rows = table_of(go.Figure(go.Heatmap(z=values)).update_layout(title="Codes"))
    assert [(row["row"], row["column"]) for row in rows] == list(np.ndindex(2, 3))
    assert [row["Codes"] for row in rows] == values.ravel().tolist()
