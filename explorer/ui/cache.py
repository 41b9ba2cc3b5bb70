"""What is kept between reruns: tokenizers, and what was computed with them.

Keys are content hashes and settings; arguments with a leading underscore only carry what is needed to compute.
"""

import os
from pathlib import Path

import numpy as np
import streamlit as st

from explorer import codes, pictures, reconstruction
from explorer.pictures import Picture
from explorer.reconstruction import EncodedPicture, Figure, Quality
from vqvae import checkpoint
from vqvae.images import fit_within, load_image, to_png
from vqvae.tokenizer import Tokenizer

ROOT = Path(os.environ.get("VQVAE_EXPLORER_CHECKPOINTS", Path(__file__).parents[2] / "checkpoints"))


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


@st.cache_data(max_entries=8, show_spinner=False)
def code_colours(fingerprint: str, _tokenizer: Tokenizer) -> np.ndarray:
    """The mean colour that each code decodes to: uint8 [K, 3]."""
    return codes.mean_colours(codes.code_tiles(_tokenizer))


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
