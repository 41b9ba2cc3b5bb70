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
    most = max(1, int(np.count_nonzero(counts)))
    typed = _points(session.codebook.usage_ranks, most)
    event = exports.chart(
        charts.rank_frequency(counts, training.counts if training else None, log=log, sample=used.label, marked=typed),
        key="usage-curve",
        label="Usage by rank",
        of=of,
        rows=lambda: usage.ranked(counts, training.counts if training else None),
        on_select=_heed_curve,
        selection_mode=("points", "box"),
    )
    chosen = list(typed or ()) if session.codebook.usage_typed else widgets.selected_points(event)
    _type_ranks(chosen, most)
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
        st.caption("Click a point, draw a box, or type the ranks, to see the codes there.")
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


def _points(ranks: tuple[int, int] | None, most: int) -> range | None:
    """The points of the curve from a first to a last rank; None where there are none."""
    return (range(ranks[0] - 1, min(ranks[1], most)) or None) if ranks else None


def _type_ranks(chosen: list[int], most: int) -> None:
    """Two fields for the first and the last rank; they show those of the chosen points, where no rank is left out."""
    whole = bool(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen)
    first, last = (chosen[0] + 1, chosen[-1] + 1) if whole else (None, None)

    def begin(rank: int | None) -> Session:
        return _typed((rank, max(rank, last or rank)) if rank else None)

    def end(rank: int | None) -> Session:
        return _typed((min(rank, first or 1), rank) if rank else None)

    with st.container(horizontal=True):
        st.number_input("From rank", 1, most, None, width=140, **widgets.bound("usage-first", first, begin))
        st.number_input("To rank", 1, most, None, width=140, **widgets.bound("usage-last", last, end))


def _typed(ranks: tuple[int, int] | None) -> Session:
    return store.read().on("codebook", usage_ranks=ranks, usage_typed=True)


def _heed_curve() -> None:
    """What was just selected on the curve counts, and no longer the ranks that were typed before."""
    store.write(store.read().on("codebook", usage_typed=False))
