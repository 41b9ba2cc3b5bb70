"""What is kept between reruns: tokenizers, and what was computed with them.

Keys are content hashes and settings; arguments with a leading underscore only carry what is needed to compute.
"""

from pathlib import Path

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.folders import cache_folder, checkpoints_folder
from explorer.codebook import dossier, geometry, projection, tiles
from explorer.codebook.projection import Projection, ProjectionSettings
from explorer.images import pictures, reconstruction, sets
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, Quality
from explorer.images.sets import ImageSet
from explorer.index import read, usage
from explorer.index.read import Index, Occurrences
from explorer.index.training_usage import FILE as USAGE_FILE
from explorer.index.training_usage import TrainingUsage, load_training_usage
from explorer.inputs import blending, manifold, reliance
from explorer.inputs.blending import CellOrder, Curve, Through
from explorer.inputs.reliance import Reliance, RelianceMap, Subject
from explorer.learn.answers import Listening, listen
from explorer.learn.walk import all_gaps as gaps_of_cells
from vqvae import checkpoint
from vqvae.images import fit_within, load_image, to_png
from vqvae.tokenizer import Encoding, Tokenizer

ROOT = checkpoints_folder()


def find_checkpoints() -> list[checkpoint.CheckpointInfo | checkpoint.BrokenCheckpoint]:
    """Every checkpoint folder, sound or broken; looked up again when a file in one of them changes."""
    return _find(str(ROOT), _stamps(ROOT))


def fingerprint(folder: Path) -> str:
    """The content hash of a checkpoint, computed once for as long as its files stay as they are."""
    return _fingerprint(str(folder), _stamps(folder))


@st.cache_resource(max_entries=4, show_spinner=False)
def load_tokenizer(folder: Path, fingerprint: str) -> Tokenizer:
    """A tokenizer in evaluation mode, shared by all sessions and never changed; raises BadInput."""
    return checkpoint.load(folder)


@st.cache_data(max_entries=64, show_spinner=False)
def open_picture(digest: str, working_size: int, _data: bytes, _name: str) -> Picture:
    """An image file by the SHA-256 of its bytes; raises BadInput."""
    return pictures.open_picture(_data, _name, working_size=working_size)


@st.cache_data(max_entries=128, show_spinner=False)
def thumbnail(digest: str, _data: bytes, _name: str) -> bytes:
    """A small PNG of an image file; raises BadInput."""
    return to_png(np.asarray(fit_within(load_image(_data, _name), 160)))


@st.cache_data(max_entries=32, show_spinner=False)
def encode(fingerprint: str, picture_key: str, _tokenizer: Tokenizer, _picture: Picture) -> EncodedPicture:
    return reconstruction.encode_picture(_tokenizer, _picture)


@st.cache_data(max_entries=32, show_spinner=False)
def codes_only(
    fingerprint: str, picture_key: str, _tokenizer: Tokenizer, _encoded: EncodedPicture, _picture: Picture
) -> Quality:
    """How good the picture is with the embedding off."""
    return reconstruction.render(_tokenizer, _encoded, _picture, weight=0).quality


@st.cache_data(max_entries=32, show_spinner=False)
def size_figures(
    fingerprint: str, picture_key: str, codes: int, _picture: Picture, _encoded: EncodedPicture
) -> list[Figure]:
    return reconstruction.size_figures(_picture, _encoded, codes=codes)


@st.cache_data(max_entries=128, show_spinner="Measuring what the decoder listens to")
def listening(
    fingerprint: str, picture_key: str, inputs: int, _tokenizer: Tokenizer, _encoded: EncodedPicture, _picture: Picture
) -> Listening:
    """What a picture comes out as with each of the decoder's inputs on, off and wrong."""
    return listen(_tokenizer, _encoded, _picture, inputs=inputs)


@st.cache_data(max_entries=32, show_spinner=False)
def all_gaps(fingerprint: str, picture_key: str, _tokenizer: Tokenizer, _encoded: EncodedPicture) -> np.ndarray:
    """How nearly each cell of a picture took another code: float64 [h, w]."""
    return gaps_of_cells(_tokenizer, _encoded)


# --- the decoder's inputs


@st.cache_data(max_entries=32, show_spinner="Decoding at every blend")
def curve(fingerprint: str, picture_key: str, _tokenizer: Tokenizer, _picture: Picture) -> Curve:
    """How close a picture comes to the original at every blend."""
    encoding = reconstruction.encode_picture(_tokenizer, _picture).encoding
    found = blending.curve(_tokenizer, encoding, _picture.pixels)
    assert found is not None  # nothing stops it
    return found


@st.cache_data(max_entries=6, show_spinner="Decoding the way from one picture to the other")
def frames_between(
    fingerprint: str,
    picture_keys: tuple[str, str],
    through: Through,
    order: CellOrder,
    weight: float,
    steps: int,
    _tokenizer: Tokenizer,
    _a: Encoding,
    _b: Encoding,
    _size: tuple[int, int],
) -> list[np.ndarray]:
    """The pictures from A to B, uint8 [H, W, 3] each."""
    found = blending.frames(_tokenizer, _a, _b, steps=steps, through=through, order=order, weight=weight, size=_size)
    assert found is not None  # nothing stops it
    return found


@st.cache_data(max_entries=32, show_spinner="Replacing one input after the other")
def reliance_of(
    fingerprint: str, picture_keys: tuple[str, str], _tokenizer: Tokenizer, _subject: Subject, _picture: Picture
) -> Reliance:
    """The reliance test of one picture, with another as the other image."""
    found = reliance.measure(_tokenizer, _subject, _picture.pixels)
    assert found is not None  # nothing stops it
    return found


@st.cache_data(max_entries=8, show_spinner=False)
def reliance_pictures(
    fingerprint: str, subject_key: tuple[str, ...], _tokenizer: Tokenizer, _subject: Subject, _size: tuple[int, int]
) -> list[bytes]:
    """What the decoder drew for both inputs whole and for each of the subject's ablations, as PNG files."""
    cases = (None, *_subject.ablations)
    return [to_png(reliance.picture_of(_tokenizer, _subject, case, size=_size)) for case in cases]


@st.cache_data(max_entries=16, show_spinner="Following the changes back through the decoder")
def reliance_map(
    fingerprint: str, picture_key: str, weight: float, inputs: int, _tokenizer: Tokenizer, _encoding: Encoding
) -> RelianceMap:
    return reliance.reliance_map(_tokenizer, _encoding, weight=weight, inputs=inputs)


def fed_reference(folder: Path, fingerprint: str) -> manifold.Reference | None:
    """What the checkpoint's decoder was fed in training, where the checkpoint says so."""
    file = folder / manifold.FILE
    return _fed_reference(str(folder), file.stat().st_mtime_ns if file.exists() else 0, fingerprint)


@st.cache_data(max_entries=8, show_spinner=False)
def _fed_reference(folder: str, changed: int, fingerprint: str) -> manifold.Reference | None:
    return manifold.load(Path(folder), checkpoint=fingerprint)


# --- the codebook


MOST_DECODED = 16_384  # codes of a codebook that are all decoded at once; of a larger one, only those that are shown
MOST_COMPARED = 16_384  # codes of a codebook that are all compared with all


def tiles_of(fingerprint: str, tokenizer: Tokenizer, which: np.ndarray | list[int]) -> np.ndarray:
    """What some codes decode to, alone: [N] -> uint8 [N, f, f, 3]."""
    if len(tokenizer.codebook) <= MOST_DECODED:
        return all_tiles(fingerprint, tokenizer)[which]
    return _some_tiles(fingerprint, np.asarray(which, np.int64).tobytes(), tokenizer)


def colours_of(fingerprint: str, tokenizer: Tokenizer, indices: np.ndarray) -> np.ndarray:
    """The mean colour of what the code of each cell decodes to: [h, w] -> uint8 [h, w, 3]."""
    distinct, place = np.unique(indices, return_inverse=True)
    return tiles.mean_colours(tiles_of(fingerprint, tokenizer, distinct))[place].reshape(*indices.shape, 3)


@st.cache_data(max_entries=8, show_spinner="Decoding the codes")
def all_tiles(fingerprint: str, _tokenizer: Tokenizer) -> np.ndarray:
    """What every code decodes to, alone: uint8 [K, f, f, 3]; for codebooks of up to MOST_DECODED codes."""
    return tiles.code_tiles(_tokenizer)


@st.cache_data(max_entries=32, show_spinner="Decoding the codes")
def _some_tiles(fingerprint: str, which: bytes, _tokenizer: Tokenizer) -> np.ndarray:
    return tiles.code_tiles(_tokenizer, np.frombuffer(which, np.int64))


@st.cache_data(max_entries=64, show_spinner=False)
def in_context(
    fingerprint: str, picture_key: str, code: int, _tokenizer: Tokenizer, _encoded: EncodedPicture
) -> dossier.InContext:
    """A picture around its middle, before and after a code is put there."""
    return dossier.in_context(_tokenizer, _encoded, code)


@st.cache_data(max_entries=8, show_spinner=False)
def counts_by_label(set_key: str, _index: Index) -> dict[str, np.ndarray]:
    return usage.counts_by_label(_index)


@st.cache_data(max_entries=8, show_spinner=False)
def css_colours(fingerprint: str, _tokenizer: Tokenizer) -> list[str]:
    """The mean colour that each code decodes to, as CSS; for codebooks of up to MOST_DECODED codes."""
    colours = tiles.mean_colours(all_tiles(fingerprint, _tokenizer))
    return [f"rgb({red},{green},{blue})" for red, green, blue in colours.tolist()]


@st.cache_data(max_entries=32, show_spinner=False)
def code_order(fingerprint: str, by: str, set_key: str, _tokenizer: Tokenizer, _counts: np.ndarray) -> np.ndarray:
    """The codes in an order for the wall: int64 [K]."""
    if by == "usage":
        return np.argsort(-_counts, kind="stable")
    if by == "similarity":
        return np.argsort(pca(fingerprint, _tokenizer).points[:, 0], kind="stable")
    coloured = by in ("hue", "brightness")
    colours = tiles.mean_colours(all_tiles(fingerprint, _tokenizer)) if coloured else np.empty((0, 3), np.uint8)
    return tiles.order_by(by, _tokenizer.codebook.numpy(), colours)


@st.cache_data(max_entries=8, show_spinner=False)
def pca(fingerprint: str, _tokenizer: Tokenizer) -> Projection:
    return projection.pca(_tokenizer.codebook.numpy())


@st.cache_data(max_entries=8, show_spinner=False)
def best_projection(folder: Path, fingerprint: str, _tokenizer: Tokenizer) -> Projection:
    """The map of the codes in its default layout where it is on disk, else PCA."""
    codebook = _tokenizer.codebook.numpy()
    key = projection.projection_key(codebook, ProjectionSettings())
    stored = projection.load_projection([folder, cache_folder()], key, codes=len(codebook))
    return stored or projection.pca(codebook)


@st.cache_data(max_entries=32, show_spinner=False)
def projection_key(fingerprint: str, settings: ProjectionSettings, _tokenizer: Tokenizer) -> str:
    return projection.projection_key(_tokenizer.codebook.numpy(), settings)


@st.cache_data(max_entries=8, show_spinner=False)
def near_duplicates(fingerprint: str, _tokenizer: Tokenizer) -> int | None:
    """How many pairs of codes are almost the same; None where there are too many codes to compare all with all."""
    if len(_tokenizer.codebook) > MOST_COMPARED:
        return None
    return len(geometry.near_duplicates(_tokenizer.codebook.numpy()))


@st.cache_data(max_entries=8, show_spinner=False)
def nearest_distances(fingerprint: str, _tokenizer: Tokenizer) -> np.ndarray:
    """How far each code's nearest other code is: float32 [K]."""
    return geometry.nearest_others(_tokenizer.codebook.numpy()).distances


@st.cache_data(max_entries=8, show_spinner=False)
def hover_texts(fingerprint: str, set_key: str, _tokenizer: Tokenizer, _counts: np.ndarray) -> list[str] | None:
    """What the map says of each code, its tile painted in characters; None where there are too many."""
    if len(_tokenizer.codebook) > tiles.MOST_PAINTED:
        return None
    return tiles.hover_texts(all_tiles(fingerprint, _tokenizer), _counts)


def training_usage(folder: Path, fingerprint: str, number_of_codes: int) -> TrainingUsage | None:
    """The usage of the training photos that a checkpoint carries, if it does."""
    file = folder / USAGE_FILE
    changed = file.stat().st_mtime_ns if file.exists() else 0
    return _training_usage(str(folder), changed, fingerprint, number_of_codes)


def usual_counts(folder: Path, fingerprint: str, number_of_codes: int) -> np.ndarray | None:
    """How often each code was used in training, [K], where the checkpoint says so."""
    found = training_usage(folder, fingerprint, number_of_codes)
    return found.counts if found else None


@st.cache_data(max_entries=8, show_spinner=False)
def _training_usage(folder: str, changed: int, fingerprint: str, number_of_codes: int) -> TrainingUsage | None:
    return load_training_usage(Path(folder), checkpoint=fingerprint, codes=number_of_codes)


# --- sets of images


@st.cache_resource
def sample_set() -> ImageSet:
    return sets.sample_set()


@st.cache_resource(max_entries=8, show_spinner=False)
def open_index(path: str, changed: int, checkpoint: str, identity: str, number_of_codes: int) -> Index:
    """An index, mapped into memory; raises BadInput."""
    return read.open_index(Path(path), checkpoint=checkpoint, identity=identity, codes=number_of_codes)


@st.cache_resource(max_entries=16, ttl=60, show_spinner="Listing the images")
def open_set(source: str, under: str) -> ImageSet:
    """A set by where it lies, listed again after a minute; raises BadInput."""
    return sample_set() if source == sets.SAMPLES else sets.open_set(Path(source), under=under)


@st.cache_data(max_entries=64, show_spinner=False)
def set_picture(set_key: str, image: int, _images: ImageSet, _index: Index) -> Picture:
    """One picture of an indexed set, as it was encoded."""
    name = _index.names[image]
    return pictures.open_picture(_images.read(name), name, working_size=_index.working_size)


@st.cache_data(max_entries=256, show_spinner=False)
def patch_pictures(
    set_key: str, code: int, kind: str, stride: int, _images: ImageSet, _index: Index, _found: Occurrences
) -> np.ndarray:
    """The patches of some occurrences of a code, with their surroundings: uint8 [N, 5f, 5f, 3]."""
    shown = [set_picture(set_key, int(image), _images, _index).pixels for image in _found.image]
    cells = list(zip(_found.row.tolist(), _found.column.tolist(), strict=True))
    return dossier.patch_pictures(shown, cells, stride=stride)


@st.cache_data(max_entries=4, show_spinner="Encoding a sample of patches")
def patch_sample(
    set_key: str, _tokenizer: Tokenizer, _images: ImageSet, _index: Index, most: int
) -> dossier.PatchSample:
    """Embeddings of up to so many cells of a set, evenly over its images, and their codes."""
    pixels = (set_picture(set_key, image, _images, _index).image for image in range(_index.images))
    return dossier.sample_embeddings(_tokenizer, pixels, images=_index.images, most=most)


# --- looking up files


@st.cache_data(max_entries=4, show_spinner=False)
def _find(root: str, stamps: tuple) -> list[checkpoint.CheckpointInfo | checkpoint.BrokenCheckpoint]:
    return checkpoint.find(Path(root))


@st.cache_data(max_entries=16, show_spinner=False)
def _fingerprint(folder: str, stamps: tuple) -> str:
    return checkpoint.content_hash(Path(folder))


def _stamps(folder: Path) -> tuple:
    """Name, size and time of change of each checkpoint file in a folder and the folders below it."""
    files = (
        file
        for name in (checkpoint.CONFIG_FILE, checkpoint.WEIGHTS_FILE)
        for pattern in (name, f"*/{name}")
        for file in sorted(folder.glob(pattern))
    )
    return tuple((str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files)
