"""Codebook: is it healthy, what do its codes look like, and what does each of them mean."""

import streamlit as st

from explorer.base.figure import Figure
from explorer.base.open_model import OpenModel
from explorer.codebook.health import geometry_figures, judge, usage_figures
from explorer.index import usage
from explorer.ui import cache, image_set, store, widgets
from explorer.ui.image_set import UsedSet
from explorer.ui.page import guarded, open_page
from explorer.ui.views.codebook import browse, dossier, filling


@guarded
def main() -> None:
    model = open_page("Codebook", "Which codes are used, what they look like, and what each of them means.")
    heading = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    verdict_place = heading.container(width="stretch")
    with heading:
        used = image_set.choose(model)
    open_a_code(model, used)
    with verdict_place:
        show_health(model, used)
    browse_place, detail = st.container(key="browse_row").columns([1.2, 1], gap="large")
    with browse_place.container(key="browse"):
        browse.show(model, used)
    with detail:
        dossier.show(model, used)
    filling.compare_beside(model, used)


def open_a_code(model: OpenModel, used: UsedSet) -> None:
    """See to it that a code is open that exists: the one of the link, else the most used."""
    session = store.read()
    code = session.codebook.code
    if code is not None and code >= model.codes:
        st.warning(f"Code {code} is not in this codebook, which ends at {model.codes - 1}.")
        code = None
    if code is None:
        code = int(used.index.counts.argmax())
    store.write(session.on("codebook", code=code))


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
        st.caption(
            "How often training used each code is not known here; "
            f"`python -m explorer usage PHOTOS {model.argument}` adds it."
        )


main()
