"""The formats that sets of images come in: one registry, one function for each, labels where there are any."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqvae.formats import archives, arrays, folder, parquet, webdataset
from vqvae.formats.contents import Contents
from vqvae.remote import readable


@dataclass(frozen=True)
class Format:
    """One format of sets of images."""

    name: str  # for people, as in "Parquet"
    find: Callable[[Path], Any]  # what of a path is in this format; something false where nothing is
    open: Callable[[Any, str], Contents]  # what was found, and the folder to keep to; raises BadInput
    in_pieces: bool = True  # whether it can be read at an address, a piece at a time; else its files are mapped


def _file(is_it: Callable[[Path], bool]) -> Callable[[Path], Path | None]:
    return lambda source: source if source.is_file() and is_it(source) else None


# The first that finds something opens it. A folder is of image files where it is of nothing else: so it was before
# there were other formats.
FORMATS = (
    Format("WebDataset", webdataset.shards_of, webdataset.open_shards),
    Format("Parquet", parquet.files_of, parquet.open_parquet),
    Format("idx", arrays.idx_files, arrays.open_idx, in_pieces=False),
    Format("CIFAR", arrays.cifar_files, arrays.open_cifar, in_pieces=False),
    Format("NumPy", _file(arrays.is_npy), arrays.open_npy, in_pieces=False),
    Format("NumPy, packed", _file(arrays.holds_arrays), arrays.open_npz, in_pieces=False),
    Format("tar", _file(lambda path: tarfile.is_tarfile(readable(path))), archives.open_tar),
    Format("zip", _file(lambda path: zipfile.is_zipfile(readable(path))), archives.open_zip),
    Format("WebDataset", webdataset.shards_below, webdataset.open_shards),
    Format("folder", lambda source: source if source.is_dir() else None, folder.open_folder),
)
KINDS = (  # what a set can be, as every help and refusal says it
    "a folder, a tar or a zip of images, WebDataset shards such as shard-{0000..0099}.tar, Parquet, idx files, CIFAR's "
    "binary batches, .npy or .npz"
)
