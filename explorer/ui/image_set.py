"""Which set of images the codebook's usage is taken from: chosen, indexed when it has to be, and kept on disk."""

import os.path
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.folders import cache_folder
from explorer.base.job import Progress, turn, unheard
from explorer.base.open_model import OpenModel
from explorer.images import manifest, sets
from explorer.images.sets import ImageSet
from explorer.index import read
from explorer.index.format import index_path
from explorer.index.made import find_or_build, in_memory
from explorer.index.read import Index, list_indexes
from explorer.ui import cache, exports, jobs, store, typed_path, widgets
from explorer.ui.session import NamedSet, Session, TestedOn
from vqvae.errors import BadInput, Unreachable
from vqvae.formats import KINDS
from vqvae.words import counted

WORKING_SIZE = 256  # pixels on the long side, at which sets are indexed
INDEXING = "indexing"
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


def choose(model: OpenModel, *, news: DeltaGenerator) -> UsedSet | None:
    """The set that the person chose, indexed; what is told of that, progress and Stop too, goes into `news`.

    While it is not indexed, or cannot be, it is the set that was shown before, else the bundled samples. None where
    there are not even these yet.
    """
    known = _known_sets(model)
    session = store.read()
    current = next((source for source in known if source.place == session.codebook.image_set), SAMPLE_PHOTOS)
    with st.popover(widgets.plain(current.label), icon=":material/photo_library:"):
        st.caption("Usage is counted over a set of images. Each set is encoded once and kept.")
        st.selectbox(
            "Set",
            known,
            format_func=lambda source: source.label,
            **widgets.bound("image-set", current, lambda source: store.read().on("codebook", image_set=source.place)),
        )
        typed_path.field("Add a set by its path", what=KINDS, example="images", key=PATH, on_change=_add)
        unreadable = st.container()
    before = [source for source in known if source.place == session.codebook.shown_set and source != current]
    with news:
        if session.codebook.set_refusal:
            widgets.refuse(session.codebook.set_refusal)
            store.keep(store.read().on("codebook", set_refusal=""))
        used = _chosen(model, current)
        if used is None and (used := _at_hand(model, [*before, SAMPLE_PHOTOS])):
            st.caption(widgets.plain(f"Until then this page shows the usage over {used.label}."))
        if used and used.index.remark:
            widgets.warn(used.index.remark)
    if used is None:
        return None
    store.keep(store.read().on("codebook", shown_set=used.images.source + used.images.under))
    with unreadable:
        _show_manifest(model, used)
        if failed := used.index.unreadable:
            st.caption(f"{counted(len(failed), 'file')} could not be read:")
        for name, reason in used.index.unreadable[:20]:
            st.caption(widgets.plain(f"{name}: {reason}"))
    return used


def to_measure_on() -> dict[TestedOn, str]:
    """What a person can have figures measured on, and what it is called."""
    found: dict[TestedOn, str] = {"picture": "This picture", "samples": "Sample photos"}
    return found | {"set": "A set by its path"} if typed_path.may_be() else found


def field_for_set(path: str, *, key: str, take: Callable[[str], Session]) -> None:
    """A field for the path of the images to measure on; `take` makes the session with the one that was typed."""
    typed_path.field(
        "Images", what=KINDS, example="images", **widgets.bound(key, path, lambda typed: take(typed.strip()))
    )


def open_typed(path: str) -> ImageSet:
    """The set at a path that was typed; raises BadInput, OSError, ValueError."""
    return cache.open_set(str(sets.typed_path(typed_path.checked(path))), "")


def say_what_is_read(images: ImageSet) -> None:
    """In which format a set at a path is, how many images it has, and what of the path is not read."""
    if images.format:
        st.caption(widgets.plain(f"{manifest.named(images.format)}: {counted(len(images.names), 'image')}"))
    for remark in images.remarks:
        widgets.warn(remark)


def _show_manifest(model: OpenModel, used: UsedSet) -> None:
    """What the index was read from, in a line and as a file."""
    try:
        found = cache.manifest_of(used.key, used.images, used.index)
    except (OSError, Unreachable):  # the files are gone since they were listed: whoever reads them says so
        return
    st.caption(widgets.plain(manifest.in_a_line(found)))
    for remark in found.remarks:
        widgets.warn(remark)
    st.download_button(
        "Manifest",
        lambda: manifest.as_json(found).encode(),
        file_name=f"{exports.saved_as('Manifest', model.name, used.label)}.json",
        mime="application/json",
        on_click="ignore",
        icon=":material/download:",
        help="What was read: format, files, images by label, what was skipped and why.",
        key="image-set-manifest",
    )


def _chosen(model: OpenModel, source: NamedSet) -> UsedSet | None:
    """A set with its index; None while that is being made, was stopped, or cannot be had, which is said."""
    try:
        images = cache.open_set(source.source, source.under)
        index = _indexed(model, images)
        return UsedSet(images, index) if index else None
    except (BadInput, OSError) as fault:
        widgets.refuse(str(fault))
    try:
        return UsedSet(cache.sample_set(), sample_index(model))
    except (BadInput, OSError) as second:
        widgets.refuse(f"The sample photos could not be indexed either. {second}")
        return None


def _at_hand(model: OpenModel, sources: list[NamedSet]) -> UsedSet | None:
    """The first of some sets whose index is on disk."""
    for source in sources:
        with suppress(BadInput, OSError):
            images = cache.open_set(source.source, source.under)
            if isinstance(index := _opened(model, images), Index):
                return UsedSet(images, index)
    return None


def sample_index(model: OpenModel) -> Index:
    """The index of the bundled samples; a dozen images, so it is made at once where there is none. Raises BadInput."""
    images = cache.sample_set()
    return _made(model, images, _lock(model, images))


def _known_sets(model: OpenModel) -> list[NamedSet]:
    """The samples, the sets indexed on this machine, and those that this visitor named; from headers alone."""
    indexed = list_indexes(cache_folder(), checkpoint=model.fingerprint)
    found = [SAMPLE_PHOTOS, *(NamedSet(index.source, index.under, index.label) for index in indexed)]
    by_place = {(source.source, source.under): source for source in [*found, *store.read().codebook.named_sets]}
    return [source for source in by_place.values() if sets.is_there(source.source)]


def _add() -> None:
    """Open the path that was typed and choose it; what is wrong with it is said in place."""
    path = widgets.take_text(PATH).strip()
    if not path:
        return
    try:
        place = sets.typed_path(typed_path.checked(path))
        images = cache.open_set(os.path.realpath(place), "")  # kept, so that it is listed once
    except (BadInput, OSError, ValueError) as fault:
        widgets.put_back_text(PATH, path)
        store.keep(store.read().on("codebook", set_refusal=str(fault)))
        return
    store.write(store.read().with_named_set(NamedSet(images.source, images.under, images.label)))


def _opened(model: OpenModel, images: ImageSet) -> Index | str:
    """The index on disk, or why there is none that can be used; empty when none was made yet."""
    path = index_path(cache_folder(), model.fingerprint, images.identity)
    if kept := in_memory(path):
        return kept
    try:
        read.refuse_if_damaged(path)
        changed = path.stat().st_mtime_ns
        return cache.open_index(str(path), changed, model.fingerprint, images.identity, model.codes)
    except OSError:
        return ""
    except BadInput as fault:
        return str(fault)


def _indexed(model: OpenModel, images: ImageSet) -> Index | None:
    """The index of a set, from disk; None while it is made, with progress and a way to stop. Raises BadInput."""
    key = f"{INDEXING}-{model.fingerprint[:16]}-{images.identity[:16]}"
    jobs.forget_others(key, prefix=INDEXING)
    opened = _opened(model, images)
    if isinstance(opened, Index):
        jobs.forget(key)
        return opened
    lock = _lock(model, images)
    job = jobs.find(key) or jobs.start(key, lambda progress: _made(model, images, lock, progress))
    if job.result is not None:  # it came to be on disk just now
        return job.result
    if job.state == "failed":
        raise BadInput(job.message)
    if job.state == "running":
        if opened:
            st.caption(widgets.plain(f"{opened} It is made again."))
        jobs.follow(job, f"Encoding {widgets.plain(images.label)}", key=key, unit="images")
    else:
        st.info("Indexing was stopped. What was done is kept.")
        st.button("Go on", on_click=jobs.forget, args=(key,))
    return None


def _made(model: OpenModel, images: ImageSet, lock: threading.Lock, progress: Progress = unheard) -> Index:
    """The index of a set, made unless another visitor has just done so. Raises Cancelled, BadInput."""
    path = index_path(cache_folder(), model.fingerprint, images.identity)
    with turn(lock, progress):
        return find_or_build(
            model.tokenizer,
            images,
            checkpoint=model.fingerprint,
            working_size=WORKING_SIZE,
            path=path,
            progress=progress,
        )


def _lock(model: OpenModel, images: ImageSet) -> threading.Lock:
    """One build of an index at a time, whoever asks."""
    return _lock_of(model.fingerprint, images.identity)


@st.cache_resource
def _lock_of(fingerprint: str, identity: str) -> threading.Lock:
    return threading.Lock()
