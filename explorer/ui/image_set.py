"""Which set of images the codebook's usage is taken from: chosen, indexed when it has to be, and kept on disk."""

import threading
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from explorer import patches, sets
from explorer.folders import cache_folder
from explorer.patches import Index
from explorer.sets import ImageSet
from explorer.ui import cache, store, widgets
from explorer.ui.page import Page
from vqvae.errors import BadInput

WORKING_SIZE = 256  # pixels on the long side, at which sets are indexed
STOPPED = "indexing-stopped"
NAMED = "named-sets"


@dataclass(frozen=True, eq=False)
class UsedSet:
    """A set of images and the index of which of its cells have which code."""

    images: ImageSet
    index: Index

    @property
    def label(self) -> str:
        return self.images.label

    @property
    def key(self) -> str:
        """Names the set's index for caches."""
        return f"{self.index.checkpoint[:16]}-{self.images.identity[:16]}"


def choose(page: Page) -> UsedSet:
    """The set that the person chose, indexed; the bundled samples where theirs cannot be had."""
    with st.popover("Images counted", icon=":material/photo_library:"):
        st.caption("Usage is counted over a set of images. Each set is encoded once and kept.")
        known = _known_sets(page)
        identities = list(known)
        current = store.read().image_set
        chosen = st.selectbox(
            "Set",
            identities,
            index=identities.index(current) if current in known else 0,
            format_func=lambda identity: known[identity].label,
        )
        store.write(store.read().with_image_set(chosen))
        path = st.text_input("Add a folder, tar or zip", placeholder="/path/to/images", help="A path on this computer.")
        added = _add(path, set(known)) if path else None
    images = added or known[chosen]
    try:
        return UsedSet(images, _indexed(page, images))
    except BadInput as refusal:
        widgets.refuse(str(refusal))
        samples = sets.sample_set()
        return UsedSet(samples, _indexed(page, samples))


def _known_sets(page: Page) -> dict[str, ImageSet]:
    """The samples, the sets indexed on this machine that are still there, and those that this visitor named."""
    samples = cache.sample_set()
    known = {samples.identity: samples}
    for index in patches.list_indexes(cache_folder(), checkpoint=page.fingerprint):
        if index.source == sets.SAMPLES:
            continue
        try:
            images = sets.open_set(Path(index.source), under=index.under)
        except BadInput:
            continue  # it has gone since
        known[images.identity] = images
    return known | st.session_state.setdefault(NAMED, {})


def _add(path: str, known: set[str]) -> ImageSet | None:
    try:
        images = sets.open_set(Path(path).expanduser())
    except BadInput as refusal:
        widgets.refuse(str(refusal))
        return None
    st.session_state[NAMED][images.identity] = images
    if images.identity not in known:
        store.write(store.read().with_image_set(images.identity))
    return images


def _indexed(page: Page, images: ImageSet) -> Index:
    """The index of a set, from disk or made now, with progress and a way to stop."""
    path = patches.index_path(cache_folder(), page.fingerprint, images.identity)
    codes = page.info.config.codes
    try:
        changed = path.stat().st_mtime_ns
        return cache.open_index(str(path), changed, page.fingerprint, images.identity, codes, WORKING_SIZE)
    except (OSError, BadInput):
        pass  # none yet, or damaged, or of another version or size: made again
    if st.session_state.get(STOPPED) == images.identity:
        st.info("Indexing was stopped. What was done is kept.")
        if not st.button("Go on"):
            st.stop()
        del st.session_state[STOPPED]
    place = st.empty()
    with place.container(), _lock(str(path)):
        bar = st.progress(0.0, f"Encoding {widgets.plain(images.label)}")
        st.button("Stop", on_click=lambda: st.session_state.update({STOPPED: images.identity}))

        def report(done: int, total: int) -> bool:
            bar.progress(done / total, f"Encoding {widgets.plain(images.label)}: {done:,} of {total:,} images")
            return True  # a click on Stop ends this run at the next report

        index = patches.build(
            page.tokenizer,
            images,
            checkpoint=page.fingerprint,
            working_size=WORKING_SIZE,
            path=path,
            progress=report,
        )
    place.empty()
    assert index is not None
    if index.unreadable:
        with st.expander(f"{len(index.unreadable):,} files could not be read"):
            for name, reason in index.unreadable[:100]:
                st.caption(widgets.plain(f"{name}: {reason}"))
    return index


@st.cache_resource
def _lock(path: str) -> threading.Lock:
    """One build of an index at a time, whoever asks."""
    return threading.Lock()
