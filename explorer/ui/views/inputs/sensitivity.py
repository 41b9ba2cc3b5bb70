"""Maps of how much the picture changes with each input, cell by cell; made when they are asked for."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.images.pictures import Picture
from explorer.inputs import charts
from explorer.inputs.sensitivity import SensitivityMap
from explorer.ui import cache, store, widgets
from vqvae.errors import BadInput


def show(model: OpenModel, picture: Picture) -> None:
    """Cell by cell, how much the picture changes with each input; made when it is asked for."""
    st.html("<h2 class='code'>Cell by cell</h2>")
    st.caption(
        "How much a cell's own pixels change for a small change of each input, by automatic differentiation, on the "
        "picture chosen above and at the blend of the view Blend. Yellow cells change most; the first two maps share a "
        "scale, in shares of full brightness per unit. In the third, the decoder listens more to the codes in red "
        "cells and more to the embedding in blue ones, each step by a factor of two. A unit is as long for either, and "
        "the embedding adds less than one code differs from another: both can count although one map is darker."
    )
    session = store.read()
    weight, shows_maps = session.weight_for(model.inputs), session.inputs.shows_maps
    st.toggle(
        "Show the maps",
        **widgets.bound("reliance-maps", shows_maps, lambda on: store.read().on("inputs", shows_maps=on)),
    )
    if not shows_maps:
        return
    try:
        found: SensitivityMap = cache.sensitivity_map(model, picture, weight)
    except BadInput as refusal:
        st.info(widgets.plain(str(refusal)))
        return
    with st.container(key="stack_maps"):
        columns = st.columns(3, gap="medium")
    largest = float(max(found.quantized.max(), 0 if found.embedding is None else found.embedding.max()))
    with columns[0]:
        st.plotly_chart(charts.sensitivity_heat(found.quantized, title="Codes", largest=largest), key="heat-codes")
    if found.embedding is None or found.ratio is None:
        columns[1].info("This decoder has one input, so there is nothing to compare it with.")
        return
    with columns[1]:
        st.plotly_chart(
            charts.sensitivity_heat(found.embedding, title="Embedding", largest=largest), key="heat-embedding"
        )
    with columns[2]:
        st.plotly_chart(charts.sensitivity_ratio(found.ratio), key="heat-ratio")
