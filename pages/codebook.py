"""Codebook: is it healthy, what do its codes look like, and what does each of them mean."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base import beside
from explorer.base.figure import Figure
from explorer.base.open_model import OpenModel
from explorer.codebook import charts
from explorer.codebook.health import geometry_figures, judge, usage_figures
from explorer.index import usage
from explorer.ui import cache, image_set, store, widgets
from explorer.ui.components import tiles
from explorer.ui.image_set import UsedSet
from explorer.ui.page import guarded, open_page
from explorer.ui.session import CodebookView, Session
from explorer.ui.views.codebook import codebook_map, dossier

VIEWS: dict[CodebookView, str] = {"wall": "Wall", "map": "Map", "usage": "Usage"}
ORDERS = ("usage", "hue", "brightness", "norm", "similarity", "number")


@guarded
def main() -> None:
    model = open_page("Codebook", "Which codes are used, what they look like, and what each of them means.")
    heading = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    verdict_place = heading.container(width="stretch")
    with heading:
        used = image_set.choose(model)
    session = open_code(model, used)
    with verdict_place:
        show_health(model, used)
    browse, detail = st.container(key="browse_row").columns([1.2, 1], gap="large")
    with browse.container(key="browse"):
        session = browse_codes(model, used, session)
    with detail:
        dossier.show(model, used, session)


def open_code(model: OpenModel, used: UsedSet) -> Session:
    """The session with a code that exists: the one of the link, else the most used."""
    session = store.read()
    code = session.codebook.code
    if code is not None and code >= model.codes:
        st.warning(f"Code {code} is not in this codebook, which ends at {model.codes - 1}.")
        code = None
    if code is None:
        code = int(used.index.counts.argmax())
    return store.write(session.on("codebook", code=code))


def show_health(model: OpenModel, used: UsedSet) -> None:
    """The verdict in words and figures, over the training photos where their counts are known."""
    here = usage.summarise(used.index.counts, images=used.index.images)
    here_in_words = f"{used.label} ({here.images:,} images)"
    training = cache.training_usage(model)
    if training is None:
        counted, sample = here, here_in_words
    else:
        counted = usage.summarise(training.counts, images=training.images)
        sample = f"the {training.images:,} training photos"
    verdict = judge(counted, sample=sample)
    shown = usage_figures(counted, sample=sample)
    duplicates = cache.near_duplicates(model)
    shown += geometry_figures(model.codebook.array, duplicates)
    if training is not None:
        meaning = f"Codes that at least one cell of {here_in_words} took: {here.cells:,} cells."
        shown.append(Figure("Used here", f"{here.active:,}", meaning))
        meaning = f"How varied the codes of {here_in_words} are: {here.cells:,} cells."
        shown.append(Figure("Perplexity here", f"{here.perplexity:,.0f}", meaning))
    widgets.verdict(verdict.grade, verdict.sentence)
    if training is not None and not used.is_sample:
        chosen = judge(here, sample=here_in_words)
        widgets.verdict(chosen.grade, chosen.sentence)
    widgets.figure_row(shown)
    if training is None:
        if said := cache.damage(model, beside.USAGE):
            widgets.warn(said)
            return
        st.caption(
            "How often training used each code is not known here; "
            f"`python -m explorer usage PHOTOS {model.argument}` adds it."
        )


def browse_codes(model: OpenModel, used: UsedSet, session: Session) -> Session:
    """Wall, map or usage curve; what is clicked there becomes the open code."""
    bar = st.container(horizontal=True, vertical_alignment="center")
    view = session.codebook.view
    bar.segmented_control(
        "View",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
        label_visibility="collapsed",
        **widgets.bound("codebook-view", view, lambda chosen: store.read().on("codebook", view=chosen or "wall")),
    )
    if view == "wall":
        return show_wall(model, used, session, bar)
    if view == "map":
        codebook_map.show(model, used, session, bar)
        return store.read()
    return show_usage(model, used, session, bar)


def show_wall(model: OpenModel, used: UsedSet, session: Session, bar: DeltaGenerator) -> Session:
    """Every code as a tile of what it decodes to; its controls go into the bar."""
    counts = used.index.counts
    with bar:
        whole = model.codes <= cache.MOST_DECODED
        orders = [order for order in ORDERS if whole or order not in ("hue", "brightness")]
        chosen = session.codebook.wall_order
        order_name = chosen if chosen in orders else "usage"
        st.selectbox(
            "Sorted by",
            orders,
            width=190,
            format_func="Sorted by {}".format,
            label_visibility="collapsed",
            **widgets.bound("wall-order", order_name, lambda order: store.read().on("codebook", wall_order=order)),
        )
        order = cache.code_order(model, order_name, used.key, counts)
        pages = -(-len(order) // tiles.MOST_TILES)
        number = min(session.codebook.wall_page, pages)
        if pages > 1:
            st.number_input(
                f"Page of {pages}",
                1,
                pages,
                width=140,
                **widgets.bound("wall-page", number, lambda page: store.read().on("codebook", wall_page=page)),
            )
        dead = int((counts == 0).sum())
        if dead:
            st.caption(f"Struck through: {dead:,} codes unused in these images.")
    part = order[(number - 1) * tiles.MOST_TILES : number * tiles.MOST_TILES]
    total = max(1, int(counts.sum()))
    picked = tiles.show(
        cache.tiles_of(model, part),
        ids=part.tolist(),
        key="wall",
        label="All codes",
        titles=[f"Code {code} · {counts[code]:,} cells · {counts[code] / total:.2%}" for code in part],
        selected=session.codebook.code,
        faint=counts[part] == 0,
        side=28,
        height=560,
    )
    return open_picked(session, picked)


def open_picked(session: Session, code: int | None) -> Session:
    """The session with the code whose tile was clicked, if one was."""
    return session if code is None else store.write(session.on("codebook", code=code))


def show_usage(model: OpenModel, used: UsedSet, session: Session, bar: DeltaGenerator) -> Session:
    """The rank–frequency curve, the codes of a range of it, and whether the sample was large enough."""
    counts = used.index.counts
    log = session.codebook.usage_by_powers
    bar.toggle(
        "Logarithmic",
        help="Both axes by powers of ten; codes that are never used fall away.",
        **widgets.bound("usage-by-powers", log, lambda on: store.read().on("codebook", usage_by_powers=on)),
    )
    training = cache.training_usage(model)
    event = st.plotly_chart(
        charts.rank_frequency(counts, training.counts if training else None, log=log, sample=used.label),
        key="usage-curve",
        on_select="rerun",
        selection_mode=("points", "box"),
        config=widgets.PLOT,
    )
    chosen = widgets.selected_points(event)
    if chosen:
        codes = np.argsort(-counts, kind="stable")[chosen][: tiles.MOST_TILES]
        st.caption(f"{len(codes):,} codes, {counts[codes].sum() / max(1, counts.sum()):.1%} of the cells")
        picked = tiles.show(
            cache.tiles_of(model, codes),
            ids=codes.tolist(),
            key="usage-tiles",
            label="Codes in the chosen range",
            titles=[f"Code {code} · {counts[code]:,} cells" for code in codes],
            height=160,
        )
        session = open_picked(session, picked)
    else:
        st.caption("Click a point, or draw a box, to see the codes there.")
    st.html("<p class='label'>Distinct codes against images seen <span>· while it rises, look at more</span></p>")
    st.plotly_chart(
        charts.distinct_curve(usage.distinct_curve(used.index), codes=len(counts)), key="distinct", config=widgets.PLOT
    )
    st.html("<p class='label'>Distinct codes of each image</p>")
    st.plotly_chart(
        charts.codes_per_image(usage.distinct_by_image(used.index), used.index.names),
        key="codes-per-image",
        config=widgets.PLOT,
    )
    return session


main()
