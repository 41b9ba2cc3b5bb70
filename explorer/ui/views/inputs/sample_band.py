"""The curve of the sample photos over all blends, computed once per checkpoint when it is asked for."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.inputs import blending
from explorer.inputs.blending import Band
from explorer.ui import cache, jobs, store, widgets
from explorer.ui.image_set import WORKING_SIZE


def choose(model: OpenModel) -> Band | None:
    """A switch for the band of the sample photos; the first time it is computed beside the page."""
    bands, key = jobs.shelf("bands"), f"band-{model.fingerprint[:16]}"
    if (job := jobs.find(key)) and job.state != "running":
        if job.result is not None:
            bands.put(key, job.result)
        else:
            store.keep(store.read().on("inputs", shows_band=False))  # it was stopped
        jobs.forget(key)
    shows_band = store.read().inputs.shows_band
    st.toggle(
        "Sample photos as a band",
        help="Half of the sample photos lie within it.",
        **widgets.bound("sample-band", shows_band, lambda on: store.read().on("inputs", shows_band=on)),
    )
    if not shows_band:
        jobs.forget(key)
        return None
    if (band := bands.find(key)) is not None:
        return band
    tokenizer, images = model.tokenizer, cache.sample_set()
    job = jobs.find(key) or jobs.start(
        key, lambda progress: blending.band_of_set(tokenizer, images, working_size=WORKING_SIZE, progress=progress)
    )
    jobs.follow(job, "Sample photos", key=key)
    return None
