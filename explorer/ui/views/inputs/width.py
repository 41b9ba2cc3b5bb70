"""What a narrow second input costs and brings, as it was measured for the checkpoint that is shipped with one."""

import streamlit as st

from explorer.inputs.reliance import charts
from explorer.inputs.reliance import width as widths
from explorer.ui import cache, exports, widgets

SHIPPED = "photos-both"


def show() -> None:
    """The figure, where the file of its figures is there."""
    found = widths.load(cache.ROOT / SHIPPED)
    if found is None:
        return
    widgets.heading(
        "How wide should the second input be?",
        "A code is a function of its embedding: a decoder that is given all of it needs no codes. Through few numbers "
        "a cell it needs both.",
    )
    exports.chart(
        charts.width_curve(found.widths),
        key="width-curve",
        label="Width of the second input",
        of=(SHIPPED,),
        config=exports.STILL,
    )
    st.caption(
        widgets.plain(
            f"{found.about} A code costs {found.code_bits:g} bits a cell, a number of the second input 32 as float32."
        )
    )
