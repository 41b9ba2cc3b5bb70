"""What is kept between reruns: open models, and what was computed with them.

Keys are content hashes and settings: a model counts by its fingerprint, a picture by its key; arguments with a leading
underscore only carry what is needed to compute. What is kept is shared by all sessions and read-only: unpickling an
array on every hit, as `st.cache_data` does, costs more than most pages.
"""

import logging
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import streamlit as st

from explorer.base import beside
from explorer.base.cell import Cell
from explorer.base.collector import pass_over_what_is_loaded
from explorer.base.figure import Figure
from explorer.base.folders import cache_folder
from explorer.base.open_model import OpenModel, open_folder
from explorer.base.open_model import open_plugin as open_model_of_plugin
from explorer.base.recent import Recent
from explorer.base.soundness import Soundness
from explorer.codebook import dossier, dots, geometry, projection, tiles
from explorer.codebook.per_code import PerCode
from explorer.codebook.projection import Projection, ProjectionSettings
from explorer.compare import answers, one_picture, sequence
from explorer.compare.answers import Answered, Paces
from explorer.compare.one_picture import Price
from explorer.images import manifest, pictures, reconstruction, sets
from explorer.images.manifest import Manifest
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, Quality
from explorer.images.samples import sample_photos
from explorer.images.sets import ImageSet
from explorer.index import read, usage
from explorer.index.read import Index, Occurrences
from explorer.index.training_usage import FILE as USAGE_FILE
from explorer.index.training_usage import TrainingUsage, load_training_usage
from explorer.inputs import blending, manifold, neighbours
from explorer.inputs.blending import CellOrder, Through
from explorer.inputs.neighbours import Neighbourhoods
from explorer.inputs.reliance import ablations, boundary
from explorer.inputs.reliance.ablations import Ablation, Subject
from explorer.inputs.reliance.boundary import Border
from explorer.learn import claims, tasks
from explorer.learn.answers import Facts, Listening, facts_of, listen
from explorer.learn.claims import Finding
from explorer.learn.walk import all_gaps as gaps_of_cells
from explorer.training import logged
from explorer.training.logged import MOST_FRAMES, Samples
from explorer.ui import plugin
from vqvae import checkpoint, doctor
from vqvae.doctor import Report
from vqvae.images import fit_within, load_image, to_png
from vqvae.places import checkpoints_folders, checkpoints_here, find_checkpoint
from vqvae.plugin import Request
from vqvae.training.log import JSONL as LOG_FILE
from vqvae.training.log import Log
from vqvae.training.log import read_log as read_run

ROOT, *MORE_ROOTS = checkpoints_folders()
MOST_OPEN = 4  # models that stay open though they are on no screen
F = TypeVar("F", bound=Callable[..., Any])

# Sockets and the server's start use the caches, too, where no script runs that could show a spinner: Streamlit warns.
logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").setLevel(logging.ERROR)


def _kept(entries: int, *, spinner: str | bool = False, **options: Any) -> Callable[[F], F]:
    """Keep so many results of a function, the least recently used go first."""
    by_content: dict[str | type, Callable[[Any], Any]] = {
        OpenModel: lambda model: model.fingerprint,
        Picture: lambda picture: picture.key,
    }
    return cast(
        Callable[[F], F],
        st.cache_resource(max_entries=entries, show_spinner=spinner, hash_funcs=by_content, **options),
    )


def _with_model(make: Callable[[OpenModel], PerCode]) -> Callable[[OpenModel], PerCode]:
    """Make something of a model once, and keep it for as long as the model is open: it must not hold the model."""
    made: WeakKeyDictionary[OpenModel, PerCode] = WeakKeyDictionary()
    lock = threading.RLock()

    @wraps(make)
    def of(model: OpenModel) -> PerCode:
        with lock:
            if (found := made.get(model)) is None:
                found = made[model] = make(model)
            return found

    return of


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


# --- models


def roots() -> tuple[Path, ...]:
    """Where checkpoints are looked for, the first goes before the others; one made since the app began counts, too."""
    return tuple(dict.fromkeys((ROOT, *MORE_ROOTS, *checkpoints_folders()[1:])))


def homes() -> tuple[Path, ...]:
    """Where a checkpoint that a person makes goes: into the first of these that can be written to.

    What is the person's own goes before what came with the app. Where that is all, the working directory's folder can
    be made.
    """
    first, *more = roots()
    here = checkpoints_here()
    return (first, here) if here and not more else (*more, first)


def find_checkpoints() -> list[checkpoint.CheckpointInfo | checkpoint.BrokenCheckpoint]:
    """Every checkpoint folder, sound or broken; looked up again when a file in one of them changes."""
    found: dict[str, checkpoint.CheckpointInfo | checkpoint.BrokenCheckpoint] = {}
    for root in roots():
        for entry in _soundness().sort(_find(str(root), _stamps(root))):
            found.setdefault(entry.name, entry)
    return list(found.values())


def find_named(name: str, *, by_path: bool = False) -> Path:
    """The folder of a checkpoint, or of a run's snapshot, RUN@STEP; raises BadInput where there is none.

    by_path: whether a path is meant, too, which a visitor typed.
    """
    return find_checkpoint(name, roots(), by_path=by_path)


def fingerprint(folder: Path) -> str:
    """The content hash of a checkpoint, computed once for as long as its files stay as they are."""
    return _fingerprint(str(folder), _stamps(folder))


def open_model(folder: Path) -> OpenModel:
    """A checkpoint's model in evaluation mode, shared by all sessions and never changed; raises BadInput.

    It stays open while it is among the last `MOST_OPEN` that were asked for, or anybody's screen shows it.
    """
    return _models().get((str(folder), fingerprint(folder)), lambda: open_folder(folder))


@st.cache_resource
def _models() -> Recent[OpenModel]:
    return Recent(MOST_OPEN, pass_over_what_is_loaded)


def open_plugin() -> OpenModel:
    """The code of one's own that was named, run once a server and never let go of; raises BadInput."""
    asked = plugin.request()
    assert asked is not None
    return _open_plugin(asked.named, asked.device)


@_kept(4)
def _open_plugin(named: str, device: str | None) -> OpenModel:
    return open_model_of_plugin(Request(named, device))


@_kept(16, spinner="Examining")
def doctor_report(model: OpenModel) -> Report:
    """Everything that is wrong with an open model."""
    photos = sample_photos()
    if model.settings:
        return doctor.examine(model.folder, photos=photos)
    return doctor.examine_tokenizer(model.tokenizer, name=model.name, photos=photos)


@_kept(8)
def _fingerprint(folder: str, stamps: tuple) -> str:
    return checkpoint.content_hash(Path(folder))


@_kept(4)
def _find(root: str, stamps: tuple) -> list[checkpoint.CheckpointInfo | checkpoint.BrokenCheckpoint]:
    return checkpoint.find(Path(root))


@st.cache_resource
def _soundness() -> Soundness:
    return Soundness()


def _stamps(folder: Path) -> tuple:
    """Name, size and time of change of each checkpoint file in a folder and the folders below it."""
    names = (checkpoint.CONFIG_FILE, *checkpoint.WEIGHTS_FILES, *(f"*{suffix}" for suffix in checkpoint.PICKLES))
    patterns = [pattern for name in names for pattern in (name, f"*/{name}")]
    files = (file for pattern in (*patterns, "*.safetensors") for file in sorted(folder.glob(pattern)))
    return tuple((str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files)


# --- trainings


def read_log(folder: Path) -> Log:
    """The log of a run, read again when it has grown; raises BadInput where there is none."""
    try:
        stat = (folder / LOG_FILE).stat()
    except (OSError, ValueError):  # a ValueError: a path that no file system takes
        return read_run(folder)  # which says that there is none
    return _read_log(str(folder), stat.st_mtime_ns, stat.st_size)


@_kept(4)
def _read_log(folder: str, changed: int, size: int) -> Log:
    return read_run(Path(folder))


def read_samples(step: int, path: Path) -> Samples | None:
    """A sheet of samples of a run, read again when it has changed; None where it cannot be."""
    return _read_samples(step, str(path), _changed(path))


@_kept(2 * MOST_FRAMES)
def _read_samples(step: int, path: str, changed: int) -> Samples | None:
    return logged.read_samples(step, Path(path))


def runs_with_snapshots() -> list[str]:
    """The names of the runs that have some, among the checkpoints."""
    return sequence.runs_in(roots())


def runs_with_logs() -> list[Path]:
    """The folders of the runs that have a log, among the checkpoints, the one that was written to last first."""
    return logged.runs_in(roots())


def find_sequence(run: str, *, by_path: bool = False) -> sequence.Run:
    """The snapshots of a run, by its name; raises BadInput where it has none.

    by_path: whether the path of its folder is meant, too, which a visitor typed.
    """
    return sequence.find(run, roots(), by_path=by_path)


@st.cache_resource
def moments() -> sequence.Kept:
    """What snapshots were seen to make of pictures."""
    return sequence.Kept()


# --- pictures


@_kept(64)
def open_picture(digest: str, working_size: int, only: tuple[int, int] | None, _data: bytes, _name: str) -> Picture:
    """An image file by the SHA-256 of its bytes; raises BadInput."""
    return pictures.open_picture(_data, _name, working_size=working_size, only=only)


@_kept(128)
def thumbnail(digest: str, _data: bytes, _name: str) -> bytes:
    """A small PNG of an image file; raises BadInput."""
    return to_png(np.asarray(fit_within(load_image(_data, _name), 160)))


@_kept(32)
def encode(model: OpenModel, picture: Picture) -> EncodedPicture:
    return reconstruction.encode_picture(model.tokenizer, picture)


@_kept(96)
def quality_at(model: OpenModel, picture: Picture, weight: float) -> Quality:
    """How good the picture is at a blend; at 0 from the codes alone."""
    return reconstruction.render(model.tokenizer, encode(model, picture), picture, weight=weight).quality


@_kept(32)
def size_figures(model: OpenModel, picture: Picture) -> list[Figure]:
    return reconstruction.size_figures(picture, encode(model, picture), codes=model.codes)


@_kept(32, spinner="Writing JPEG, WebP and AVIF of as many bytes")
def price(model: OpenModel, picture: Picture) -> Price:
    """What the picture's codes cost, and what others make of as many bytes."""
    return one_picture.price(picture.pixels, encode(model, picture).indices, model.codes)


@_kept(128, spinner="Measuring what the decoder listens to")
def listening(model: OpenModel, picture: Picture) -> Listening:
    """What a picture comes out as with each of the decoder's inputs on, off and wrong."""
    return listen(model.tokenizer, encode(model, picture), picture)


@_kept(32)
def all_gaps(model: OpenModel, picture: Picture) -> np.ndarray:
    """How nearly each cell of a picture took another code: float32 [h, w]."""
    return _read_only(gaps_of_cells(model.codebook, encode(model, picture)))


# --- several models on one picture


@_kept(32)
def answered(model: OpenModel, picture: Picture, weight: float) -> Answered:
    """What a model makes of a picture at a blend; raises what the model raises."""
    encoded = encode(model, picture)
    found = answers.answered(encoded, reconstruction.render(model.tokenizer, encoded, picture, weight=weight))
    paces().note(model, picture, found)
    return found


@st.cache_resource
def paces() -> Paces:
    """How fast models were so far."""
    return Paces()


# --- the lesson


@_kept(128, spinner="Measuring what the picture costs")
def facts(model: OpenModel, picture: Picture) -> Facts:
    """What the answers of the lesson speak of."""
    encoded = encode(model, picture)
    return facts_of(model.tokenizer, model.codebook, encoded, picture, listening(model, picture))


@_kept(64, spinner="Putting it to the test")
def finding(model: OpenModel, picture: Picture, claim: str) -> Finding:
    """What the test of a claim gives, by the claim's name."""
    here = listening(model, picture)
    subject = claims.Subject(model.tokenizer, model.codebook, encode(model, picture), picture, here)
    return claims.find(claim).test(subject)


@_kept(64, spinner="Looking for a blend that brings half of the gain")
def half_way(model: OpenModel, picture: Picture) -> int | None:
    """A blend in percent that brings half of what the embedding adds; None where none was found."""
    encoded = encode(model, picture)

    def psnr_at(percent: int) -> float:
        return reconstruction.render(model.tokenizer, encoded, picture, weight=percent / 100).quality.psnr

    return tasks.half_way(psnr_at, listening(model, picture))


@_kept(64, spinner="Looking for an edit that the decoder ignores")
def ignored_edit(
    model: OpenModel, picture: Picture, _codes: np.ndarray, _colours: np.ndarray
) -> tuple[Cell, int] | None:
    """A cell and a code, of those that can be picked, that the decoder ignores there while the embedding is kept."""
    return tasks.ignored_edit(model.tokenizer, encode(model, picture).encoding, _codes, _colours)


# --- the decoder's inputs


@_kept(6, spinner="Decoding the way from one picture to the other")
def frames_between(
    model: OpenModel, a: Picture, b: Picture, through: Through, order: CellOrder, weight: float, steps: int
) -> list[np.ndarray]:
    """The pictures from A to B, uint8 [H, W, 3] each, as large as A."""
    return blending.frames(
        model.tokenizer,
        model.codebook,
        encode(model, a).encoding,
        encode(model, b).encoding,
        steps=steps,
        through=through,
        order=order,
        weight=weight,
        size=a.pixels.shape[:2],
    )


@_kept(32)
def border_of(model: OpenModel, picture: Picture) -> Border:
    """The cells of a picture at the border between two codes."""
    return boundary.border_of(model.codebook, encode(model, picture).encoding)


@_kept(8)
def reliance_pictures(
    model: OpenModel,
    subject_key: tuple[str, ...],
    size: tuple[int, int],
    _shown: tuple[Ablation, ...],
    _subject: Subject,
) -> list[bytes]:
    """What the decoder drew for both inputs whole and for each ablation with its first draw, as PNG files."""
    fed = [_subject.whole()]
    for ablation in _shown:
        (_, draw), *_ = _subject.draws(ablation)
        fed.append(_subject.replaced(ablation, draw).fed)
    return [to_png(ablations.drawn(model.tokenizer, one, size=size)) for one in fed]


def fed_reference(model: OpenModel) -> manifold.Reference | None:
    """What the model's decoder was fed in training, where there are figures of it."""
    return _fed_reference(model, _changed(model.folder / manifold.FILE))


@_kept(8)
def _fed_reference(model: OpenModel, changed: int) -> manifold.Reference | None:
    return manifold.load(model.folder, checkpoint=model.fingerprint)


def neighbourhoods(model: OpenModel) -> Neighbourhoods | None:
    """Which codes stood beside which in training, where that was learned."""
    return _neighbourhoods(model, _changed(model.folder / neighbours.FILE))


@_kept(8)
def _neighbourhoods(model: OpenModel, changed: int) -> Neighbourhoods | None:
    return neighbours.load(model.folder, model.codebook, checkpoint=model.fingerprint)


def damage(model: OpenModel, file: str) -> str:
    """What to say where a file beside the model is damaged, in one sentence; nothing of a sound one or of none."""
    return _damage(model, file, _changed(model.folder / file))


@_kept(32)
def _damage(model: OpenModel, file: str, changed: int) -> str:
    return beside.damage(model.folder, file, model.argument)


def _changed(file: Path) -> int:
    """When a file was last written to; 0 where there is none."""
    return file.stat().st_mtime_ns if file.exists() else 0


# --- the codebook


MOST_DECODED = 16_384  # codes of a codebook whose tiles are all kept; of a larger one, only those that are shown
MOST_COMPARED = 16_384  # codes of a codebook that are all compared with all without being asked for
_SCORES_AT_ONCE = 1 << 24


def tiles_of(model: OpenModel, which: np.ndarray | list[int]) -> np.ndarray:
    """What some codes decode to, alone: [N] -> uint8 [N, f, f, 3]."""
    return tile_store(model).of(np.asarray(which, np.int64))


def colours_of(model: OpenModel, indices: np.ndarray) -> np.ndarray:
    """The mean colour of what the code of each cell decodes to: [h, w] -> uint8 [h, w, 3]."""
    distinct, place = np.unique(indices, return_inverse=True)
    return colour_store(model).of(distinct.astype(np.int64))[place].reshape(*indices.shape, 3)


@_with_model
def tile_store(model: OpenModel) -> PerCode:
    """What codes decode to, alone: uint8 [f, f, 3] each."""
    tokenizer = model.tokenizer
    return PerCode(
        model.codes,
        np.dtype(np.uint8),
        lambda codes: tiles.code_tiles(tokenizer, codes),
        (model.stride, model.stride, 3),
        tiles.CODES_PER_BATCH,
    )


@_with_model
def colour_store(model: OpenModel) -> PerCode:
    """The mean colours of what codes decode to: uint8 [3] each."""
    tokenizer, kept = model.tokenizer, tile_store(model) if model.codes <= MOST_DECODED else None

    def measure(codes: np.ndarray) -> np.ndarray:
        return tiles.mean_colours(tiles.code_tiles(tokenizer, codes) if kept is None else kept.of(codes))

    return PerCode(model.codes, np.dtype(np.uint8), measure, (3,), tiles.CODES_PER_BATCH)


@_with_model
def nearest_store(model: OpenModel) -> PerCode:
    """The nearest other code of codes, and how far it is: geometry.NEAREST each."""
    codebook = model.codebook
    chunk = max(1, _SCORES_AT_ONCE // model.codes)
    return PerCode(model.codes, geometry.NEAREST, lambda codes: geometry.nearest_table(codebook, codes), (), chunk)


@_kept(64)
def in_context(model: OpenModel, picture: Picture, code: int) -> dossier.InContext:
    """A picture around its middle, before and after a code is put there."""
    encoded = encode(model, picture)
    after = dossier.middle(model.tokenizer, encoded, code)
    return dossier.InContext(_middle(model, picture), after, dossier.code_of_middle(encoded))


@_kept(8)
def _middle(model: OpenModel, picture: Picture) -> np.ndarray:
    """A picture around its middle, from its own codes."""
    return _read_only(dossier.middle(model.tokenizer, encode(model, picture)))


@_kept(8)
def counts_by_label(set_key: str, _index: Index) -> dict[str, np.ndarray]:
    return usage.counts_by_label(_index)


@_kept(32)
def code_order(model: OpenModel, by: str, set_key: str, _counts: np.ndarray) -> np.ndarray:
    """The codes in an order for the wall that needs no decoding: int64 [K]."""
    if by == "usage":
        return _read_only(np.argsort(-_counts, kind="stable"))
    if by == "similarity":
        return _read_only(np.argsort(pca(model).points[:, 0], kind="stable"))
    return _read_only(tiles.order_by(by, model.codebook.array, np.empty((0, 3), np.uint8)))


@_kept(8)
def code_usage(set_key: str, _index: Index) -> dots.Usage:
    """How much each code is used in a set of images."""
    return dots.usage_of(_index.counts, _index.offsets, np.asarray(_index.distances))


@_kept(8)
def pca(model: OpenModel) -> Projection:
    return projection.pca(model.codebook.array)


@_kept(8)
def best_projection(model: OpenModel) -> Projection:
    """The map of the codes in its default layout where it is on disk, else PCA."""
    key = projection_key(model, ProjectionSettings())
    return projection.load_projection([model.folder, cache_folder()], key, codes=model.codes) or pca(model)


@_kept(32)
def projection_key(model: OpenModel, settings: ProjectionSettings) -> str:
    return projection.projection_key(model.codebook.array, settings)


def near_duplicates(model: OpenModel) -> int | None:
    """How many pairs of codes are almost the same; None where all codes were not compared with all, yet or at all."""
    store = nearest_store(model)
    if model.codes > store.chunk and len(store.missing(np.arange(model.codes))):
        return None
    return _close_pairs(model)


@_kept(8)
def _close_pairs(model: OpenModel) -> int:
    table = nearest_store(model).of(np.arange(model.codes))
    return len(geometry.close_pairs(geometry.NearestOthers.of_table(table)))


def training_usage(model: OpenModel) -> TrainingUsage | None:
    """The usage of the training photos, where it lies beside the model."""
    return _training_usage(model, _changed(model.folder / USAGE_FILE))


def usual_counts(model: OpenModel) -> np.ndarray | None:
    """How often each code was used in training, [K], where that lies beside the model."""
    found = training_usage(model)
    return found.counts if found else None


@_kept(8)
def _training_usage(model: OpenModel, changed: int) -> TrainingUsage | None:
    return load_training_usage(model.folder, checkpoint=model.fingerprint, codes=model.codes)


# --- sets of images


@st.cache_resource
def sample_set() -> ImageSet:
    return sets.sample_set()


@_kept(8)
def open_index(path: str, changed: int, checkpoint: str, identity: str, number_of_codes: int) -> Index:
    """An index, mapped into memory; raises BadInput."""
    return read.open_index(Path(path), checkpoint=checkpoint, identity=identity, codes=number_of_codes)


def open_set(source: str, under: str) -> ImageSet:
    """A set by where it lies, listed again from time to time; raises BadInput."""
    if source == sets.SAMPLES:
        return sample_set()
    listed = _listed(source, under)
    if listed.is_at_hand():
        return listed.images()
    with st.spinner("Listing the images"):
        return listed.images()


@_kept(16, ttl=3600)  # so that a set that nobody looks at goes, with a million names
def _listed(source: str, under: str) -> sets.Listed:
    return sets.Listed(source, under)


@_kept(8)
def manifest_of(set_key: str, _images: ImageSet, _index: Index) -> Manifest:
    """What an index was read from. Raises OSError where the files are gone."""
    return manifest.manifest_of(_images, _index.unreadable)


@_kept(64)
def set_picture(set_key: str, image: int, only: tuple[int, int] | None, _images: ImageSet, _index: Index) -> Picture:
    """One picture of an indexed set, as it was encoded."""
    name = _index.names[image]
    return pictures.read_picture(_images, name, working_size=_index.working_size, only=only)


@_kept(64)
def picture_of(set_identity: str, name: str, size: int, only: tuple[int, int] | None, _images: ImageSet) -> Picture:
    """One picture of a set at a working size; raises BadInput."""
    return pictures.read_picture(_images, name, working_size=size, only=only)


@_kept(8)
def colours_of_cells(
    content: tuple, codes: int, stride: int, _pictures: Callable[[], list[np.ndarray]], _grids: list[np.ndarray]
) -> np.ndarray:
    """The mean colour of what each code covers in pictures, NaN where that is nothing: float64 [K, 3].

    content: names model, level and pictures.
    """
    return _read_only(dossier.colours_of_cells(_pictures(), _grids, codes=codes, stride=stride))


@_kept(256)
def patch_pictures(
    model: OpenModel, set_key: str, code: int, kind: str, _images: ImageSet, _index: Index, _found: Occurrences
) -> np.ndarray:
    """The patches of some occurrences of a code, with their surroundings: uint8 [N, 5f, 5f, 3]."""
    shown = [set_picture(set_key, int(image), model.spec.sizes.only, _images, _index).pixels for image in _found.image]
    cells = list(zip(_found.row.tolist(), _found.column.tolist(), strict=True))
    return _read_only(dossier.patch_pictures(shown, cells, stride=model.stride))


@_kept(4, spinner="Encoding a sample of patches")
def patch_sample(model: OpenModel, set_key: str, most: int, _images: ImageSet, _index: Index) -> dossier.PatchSample:
    """Embeddings of up to so many cells of a set, evenly over its images, and their codes."""
    shown = (
        set_picture(set_key, image, model.spec.sizes.only, _images, _index).image for image in range(_index.images)
    )
    return dossier.sample_embeddings(model.tokenizer, shown, images=_index.images, most=most)
