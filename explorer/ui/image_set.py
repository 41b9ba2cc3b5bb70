"""Which set of images the codebook's usage is taken from: chosen, indexed when it has to be, and kept on disk."""

import threading
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from explorer.base.folders import cache_folder
from explorer.base.open_model import OpenModel
from explorer.images import sets
from explorer.images.sets import ImageSet
from explorer.index.build import build
from explorer.index.format import index_path
from explorer.index.read import Index, list_indexes
from explorer.ui import cache, store, widgets
from explorer.ui.session import NamedSet
from vqvae.errors import BadInput

WORKING_SIZE = 256  # pixels on the long side, at which sets are indexed
PATH = "image-set-path"


@dataclass(frozen=True, eq=False)
class UsedSet:
    """A set of images and the index of which of its cells have which code."""

    images: ImageSet
    index: Index

    @property
    def label(self) -> str:
        return self.images.label

    @property
    def is_sample(self) -> bool:
        """Whether these are the bundled photos."""
        return self.images.source == sets.SAMPLES

    @property
    def key(self) -> str:
        """Names the set's index for caches."""
        return f"{self.index.checkpoint[:16]}-{self.images.identity[:16]}"


SAMPLE_PHOTOS = NamedSet(sets.SAMPLES, "", "Sample photos")


def choose(model: OpenModel) -> UsedSet:
    """The set that the person chose, indexed; the bundled samples where theirs cannot be had."""
    known = _known_sets(model)
    current = next((source for source in known if source.place == store.read().codebook.image_set), SAMPLE_PHOTOS)
    with st.popover(widgets.plain(current.label), icon=":material/photo_library:"):
        st.caption("Usage is counted over a set of images. Each set is encoded once and kept.")
        st.selectbox(
            "Set",
            known,
            format_func=lambda source: source.label,
            **widgets.bound("image-set", current, lambda source: store.read().on("codebook", image_set=source.place)),
        )
        st.text_input(
            "Add a folder, tar or zip",
            placeholder="/path/to/images",
            help="A path on this computer.",
            key=PATH,
            on_change=_add,
        )
        unreadable = st.container()
    if refusal := store.read().codebook.set_refusal:
        widgets.refuse(refusal)
        store.keep(store.read().on("codebook", set_refusal=""))
    try:
        used = _used(model, current)
    except (BadInput, OSError) as fault:
        widgets.refuse(str(fault))
        try:
            used = _used(model, SAMPLE_PHOTOS)
        except (BadInput, OSError) as second:
            widgets.refuse(f"The sample photos could not be indexed either. {second}")
            st.stop()
    with unreadable:
        if used.index.unreadable:
            st.caption(f"{len(used.index.unreadable):,} files could not be read:")
        for name, reason in used.index.unreadable[:20]:
            st.caption(widgets.plain(f"{name}: {reason}"))
    return used


def _used(model: OpenModel, source: NamedSet) -> UsedSet:
    images = cache.open_set(source.source, source.under)
    return UsedSet(images, _indexed(model, images))


def sample_index(model: OpenModel) -> Index:
    """The index of the bundled samples; a dozen images, so it is made at once where there is none. Raises BadInput."""
    images = cache.sample_set()
    path = index_path(cache_folder(), model.fingerprint, images.identity)
    with _lock(str(path)):
        opened = _opened(model, images)
        if isinstance(opened, Index):
            return opened
        built = build(model.tokenizer, images, checkpoint=model.fingerprint, working_size=WORKING_SIZE, path=path)
    assert built is not None
    return built


def _known_sets(model: OpenModel) -> list[NamedSet]:
    """The samples, the sets indexed on this machine, and those that this visitor named; from headers alone."""
    indexed = list_indexes(cache_folder(), checkpoint=model.fingerprint)
    found = [SAMPLE_PHOTOS, *(NamedSet(index.source, index.under, index.label) for index in indexed)]
    by_place = {(source.source, source.under): source for source in [*found, *store.read().codebook.named_sets]}
    return [source for source in by_place.values() if source.source == sets.SAMPLES or Path(source.source).exists()]


def _add() -> None:
    """Open the path that was typed and choose it; what is wrong with it is said in place."""
    path = widgets.take_text(PATH).strip()
    if not path:
        return
    try:
        images = sets.open_set(Path(path).expanduser())
    except (BadInput, OSError, ValueError) as fault:
        store.keep(store.read().on("codebook", set_refusal=str(fault)))
        return
    store.write(store.read().with_named_set(NamedSet(images.source, images.under, images.label)))


def _stop(images: ImageSet) -> None:
    """Have the set that is being indexed wait until the person goes on with it."""
    store.keep(store.read().on("codebook", stopped_set=images.identity))


def _opened(model: OpenModel, images: ImageSet) -> Index | str:
    """The index on disk, or why there is none that can be used; empty when none was made yet."""
    path = index_path(cache_folder(), model.fingerprint, images.identity)
    try:
        changed = path.stat().st_mtime_ns
        return cache.open_index(str(path), changed, model.fingerprint, images.identity, model.codes)
    except OSError:
        return ""
    except BadInput as fault:
        return str(fault)


def _indexed(model: OpenModel, images: ImageSet) -> Index:
    """The index of a set, from disk or made now, with progress and a way to stop."""
    opened = _opened(model, images)
    if isinstance(opened, Index):
        return opened
    if store.read().codebook.stopped_set == images.identity:
        st.info("Indexing was stopped. What was done is kept.")
        if not st.button("Go on"):
            st.stop()
        store.keep(store.read().on("codebook", stopped_set=""))
    path = index_path(cache_folder(), model.fingerprint, images.identity)
    place = st.empty()
    with place.container():
        if opened:
            st.caption(widgets.plain(f"{opened} It is made again."))
        bar = st.progress(0.0, f"Encoding {widgets.plain(images.label)}")
        st.button("Stop", on_click=_stop, args=(images,))

        def report(done: int, total: int) -> bool:
            bar.progress(done / total, f"Encoding {widgets.plain(images.label)}: {done:,} of {total:,} images")
            return True  # a click on Stop ends this run at the next report

        with _lock(str(path)):  # whoever waited for another session's work finds it done
            again = _opened(model, images)
            if isinstance(again, Index):
                index: Index | None = again
            else:
                index = build(
                    model.tokenizer,
                    images,
                    checkpoint=model.fingerprint,
                    working_size=WORKING_SIZE,
                    path=path,
                    progress=report,
                )
    place.empty()
    assert index is not None  # `report` never says stop
    return index


@st.cache_resource
def _lock(path: str) -> threading.Lock:
    """One build of an index at a time, whoever asks."""
    return threading.Lock()
