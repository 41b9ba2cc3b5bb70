"""The curve of the sample photos over all blends, computed once per checkpoint when it is asked for."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.inputs import blending
from explorer.inputs.blending import Band
from explorer.ui import background, cache, store, widgets
from explorer.ui.image_set import WORKING_SIZE


def choose(model: OpenModel) -> Band | None:
    """A switch for the band of the sample photos; the first time it is computed beside the page."""
    bands, key = _bands(), f"band-{model.fingerprint[:16]}"
    if (job := background.find(key)) and job.state == "ended":
        if job.result is not None:
            bands[model.fingerprint] = job.result
        else:
            store.keep(store.read().on("inputs", shows_band=False))  # it was stopped
        background.forget(key)
    shows_band = store.read().inputs.shows_band
    st.toggle(
        "Sample photos as a band",
        help="Half of the sample photos lie within it.",
        **widgets.bound("sample-band", shows_band, lambda on: store.read().on("inputs", shows_band=on)),
    )
    if not shows_band:
        background.forget(key)
        return None
    if model.fingerprint not in bands and background.find(key) is None:
        tokenizer, images = model.tokenizer, cache.sample_set()
        background.start(
            key,
            lambda report: blending.band_of_set(tokenizer, images, working_size=WORKING_SIZE, progress=report),
        )
    background.follow(key, "Sample photos")
    return bands.get(model.fingerprint)


@st.cache_resource
def _bands() -> dict[str, Band]:
    """By checkpoint; shared by all visitors."""
    return {}
