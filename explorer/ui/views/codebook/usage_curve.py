"""How unevenly the codes are used: the rank–frequency curve, and whether the sample was large enough."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.open_model import OpenModel
from explorer.codebook import charts
from explorer.index import usage
from explorer.ui import cache, exports, store, widgets
from explorer.ui.components import tiles
from explorer.ui.image_set import UsedSet
from explorer.ui.session import Session
from explorer.ui.views.codebook import wall
from vqvae.words import counted


def show(model: OpenModel, used: UsedSet, session: Session, bar: DeltaGenerator) -> None:
    """The curve, the codes of a range of it, and how many distinct codes so many images have."""
    counts = used.index.counts
    log = session.codebook.usage_by_powers
    bar.toggle(
        "Logarithmic",
        help="Both axes by powers of ten; codes that are unused here have no rank on either.",
        **widgets.bound("usage-by-powers", log, lambda on: store.read().on("codebook", usage_by_powers=on)),
    )
    training = cache.training_usage(model)
    of = (model.name, used.label)
    event = exports.chart(
        charts.rank_frequency(counts, training.counts if training else None, log=log, sample=used.label),
        key="usage-curve",
        label="Usage by rank",
        of=of,
        rows=lambda: usage.ranked(counts, training.counts if training else None),
        on_select="rerun",
        selection_mode=("points", "box"),
    )
    chosen = widgets.selected_points(event)
    if chosen:
        codes = np.argsort(-counts, kind="stable")[chosen][: tiles.MOST_TILES]
        st.caption(f"{counted(len(codes), 'code')}, {counts[codes].sum() / max(1, counts.sum()):.1%} of the cells")
        tiles.show(
            cache.tiles_of(model, codes),
            ids=codes.tolist(),
            key="usage-tiles",
            label="Codes in the chosen range",
            titles=wall.titles(model, used, codes),
            height=160,
            opens=True,
            of=of,
        )
    else:
        st.caption("Click a point, or draw a box, to see the codes there.")
    st.html("<p class='label'>Distinct codes against images seen <span>· while it rises, look at more</span></p>")
    exports.chart(
        charts.distinct_curve(usage.distinct_curve(used.index), codes=len(counts)),
        key="distinct",
        label="Distinct codes against images seen",
        of=of,
    )
    st.html("<p class='label'>Distinct codes of each image</p>")
    exports.chart(
        charts.codes_per_image(usage.distinct_by_image(used.index), used.index.names),
        key="codes-per-image",
        label="Distinct codes of each image",
        of=of,
    )
