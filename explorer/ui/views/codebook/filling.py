"""What has to be measured of many codes: for a moment at once, and what is left then beside the page."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.open_model import OpenModel
from explorer.codebook.per_code import PerCode
from explorer.ui import cache, jobs, widgets
from explorer.ui.image_set import UsedSet
from vqvae.words import counted

AT_ONCE = 0.4  # seconds
WAIT_EVERY = 1.0  # seconds, where nobody sees how far the work is


def fill(store: PerCode, codes: np.ndarray, *, what: str, name: str, slot: DeltaGenerator) -> bool:
    """Measure codes, the first ones first; whether all of them are known.

    What takes longer goes on beside the page, with how far it is and a way to stop; the page runs again at its end.
    `what` says in words what is done, `name` names the work for this visitor. `slot` is an `st.empty()` to say it in:
    a fragment that runs by itself would otherwise stay on the screen when the one around it runs without it.
    """
    if store.fill(codes, seconds=AT_ONCE):
        jobs.forget(name)
        return True
    job = jobs.find(name)
    if job is None or job.state == "done":  # it was asked for fewer codes then
        left = store.missing(codes)
        job = jobs.start(name, lambda progress: store.fill(left, progress=progress))
    if job.state == "running":
        with slot.container():
            jobs.follow(job, what, key=name, unit="codes")
        return False
    reason = f"{what} failed: {job.message}" if job.state == "failed" else f"{what} was stopped."
    rest = counted(len(store.missing(codes)), "code is", "codes are")
    with slot.container(horizontal=True, vertical_alignment="center"):
        st.caption(widgets.plain(f"{reason} {rest} left."))
        st.button("Go on", key=f"go-on-{name}", on_click=jobs.forget, args=(name,))
    return False


def compare_beside(model: OpenModel, used: UsedSet) -> None:
    """Have the nearest other code of each code found without anybody waiting: of all, or of those in use if too many.

    It begins once the browser has the page, which runs again when it is known.
    """
    store = cache.nearest_store(model)
    every = model.codes <= cache.MOST_COMPARED
    codes = np.arange(model.codes) if every else np.flatnonzero(used.index.counts)[: cache.MOST_COMPARED]
    if len(store.missing(codes)):
        name = f"comparing-{model.fingerprint[:16]}-{'' if every else used.key}"
        st.fragment(_compare, run_every=WAIT_EVERY)(count(), store, codes, name)


def _compare(looks: Iterator[int], store: PerCode, codes: np.ndarray, name: str) -> None:
    if next(looks) == 0:
        return
    job = jobs.find(name) or jobs.start(name, lambda progress: store.fill(codes, progress=progress))
    if job.state == "done":
        st.rerun()
