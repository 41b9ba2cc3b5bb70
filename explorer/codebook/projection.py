"""The codebook as a map: each code a point of a plane, by PCA at once or by UMAP; and maps kept on disk.

UMAP stays out of the process that serves: it costs many seconds to import and to compile, and numba ends the whole
process when two threads enter its workqueue layer. `projection_job.start_job` runs it in a worker process.
"""

import hashlib
import json
import threading
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch

from explorer.base import beside
from explorer.base.job import Progress, unheard
from vqvae import checkpoint
from vqvae.errors import BadInput, shown
from vqvae.search import Codebook

FORMAT_VERSION = 1  # of the algorithm and of the file: a new number makes every stored projection absent
SUFFIX = ".projection.safetensors"
SHIPPED_FILE = beside.MAP
PCA_ROWS = 20_000  # the basis is taken from at most this many codes
PATCH_CODES = 5  # codes that say where a patch lies
_ROWS_PER_CHUNK = 1 << 15

Method = Literal["pca", "umap"]
Metric = Literal["euclidean", "cosine"]


@dataclass(frozen=True)
class ProjectionSettings:
    """How a map is made. Raises BadInput when a value is out of bounds; `from_dict` also minds the names."""

    method: Method = "umap"
    neighbours: int = 15  # 2…200; few show fine structure, many the whole
    minimum_distance: float = 0.1  # 0…0.99; how tightly UMAP may pack points
    metric: Metric = "euclidean"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("method", get_args(Method)), ("metric", get_args(Metric))):
            if getattr(self, name) not in choices:
                raise BadInput(f'The setting {name!r} has to be "{choices[0]}" or "{choices[1]}".')
        for name, lower, upper in (("neighbours", 2, 200), ("seed", 0, 2**32 - 1)):
            value = getattr(self, name)
            if type(value) is not int or not lower <= value <= upper:
                raise BadInput(
                    f"The setting {name!r} has to be a whole number from {lower} to {upper:,}, and is {shown(value)}."
                )
        if type(self.minimum_distance) not in (int, float) or not 0 <= self.minimum_distance <= 0.99:
            raise BadInput(
                f"The setting 'minimum_distance' has to be a number from 0 to 0.99, and is "
                f"{shown(self.minimum_distance)}."
            )
        object.__setattr__(self, "minimum_distance", float(self.minimum_distance))  # 0 and 0.0 are one key

    @classmethod
    def from_dict(cls, settings: object) -> Self:
        """Settings from JSON values, all of them named; raises BadInput at the first fault."""
        names = list(asdict(cls()))
        if not isinstance(settings, dict) or sorted(map(str, settings)) != sorted(names):
            raise BadInput(f"The settings of a map have to be {', '.join(names)}, each once and nothing else.")
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Projection:
    """Where each code lies in the plane."""

    points: np.ndarray  # float32 [K, 2], centred, the largest absolute coordinate is 1 (0 when all codes are equal)
    settings: ProjectionSettings  # what was in fact done: its method is "pca" where UMAP had too few codes


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest codes of each vector, nearest first."""

    indices: np.ndarray  # int64 [N, n]
    distances: np.ndarray  # float32 [N, n], Euclidean


def projection_key(codebook: np.ndarray, settings: ProjectionSettings) -> str:
    """SHA-256, in hex, over the version, the settings, and the codebook's shape and bytes."""
    codebook = np.ascontiguousarray(codebook, np.dtype("<f4"))
    about = {"version": FORMAT_VERSION, "settings": settings.to_dict(), "shape": codebook.shape}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode() + b"\n")
    digest.update(codebook.data)
    return digest.hexdigest()


# The maps


def pca(codebook: np.ndarray) -> Projection:
    """The two directions in which the codes [K, D] vary most; any K ≥ 1 and D ≥ 1, in milliseconds.

    An axis along which nothing varies stays 0. Signs are set so that each direction's largest component is positive.
    The directions are those of at most `PCA_ROWS` codes, evenly spaced over the codebook.
    """
    codebook = checked_codebook(codebook)
    axes = principal_axes(codebook)
    points = np.empty((len(codebook), 2))
    for start in range(0, len(codebook), _ROWS_PER_CHUNK):
        points[start : start + _ROWS_PER_CHUNK] = codebook[start : start + _ROWS_PER_CHUNK].astype(np.float64) @ axes
    return Projection(_centred_and_scaled(points), ProjectionSettings(method="pca"))


def umap(codebook: np.ndarray, settings: ProjectionSettings, *, progress: Progress = unheard) -> Projection:
    """UMAP of the codes [K, D] (McInnes et al. 2018): exact neighbours, PCA as the start, the same again with a seed.

    Equal codes are laid out once and share a point. With no more different codes than max(neighbours, 4), UMAP has
    nothing to work with: the result is then PCA, and its settings say so. `progress` is in percent. One thread at a
    time; `start_job` is the way to run it from a server.
    """
    codebook = checked_codebook(codebook)
    distinct, place = np.unique(codebook, axis=0, return_inverse=True)
    if len(distinct) <= max(settings.neighbours, 4):
        return Projection(pca(codebook).points, replace(settings, method="pca"))
    progress(5, 100, "Finding neighbours")
    neighbours = _neighbours(distinct, settings, progress)
    progress(20, 100, "Loading UMAP")
    with _one_layout, warnings.catch_warnings():
        # UMAP says at import that it has no TensorFlow, and with given neighbours that it cannot place new data later.
        # We use neither.
        warnings.filterwarnings("ignore", "Tensorflow not installed; ParametricUMAP will be unavailable", ImportWarning)
        warnings.filterwarnings(
            "ignore", r"precomputed_knn\[2\] \(knn_search_index\) is not an NNDescent object", UserWarning
        )
        from umap import UMAP

        progress(50, 100, "Building the graph")
        start = 10 * pca(distinct).points
        # As UMAP does with its own starts. It also keeps an axis without any spread from being divided by zero.
        start += np.random.default_rng(settings.seed).normal(scale=1e-4, size=start.shape).astype(np.float32)
        points = UMAP(
            n_neighbors=settings.neighbours,
            min_dist=settings.minimum_distance,
            metric=settings.metric,
            init=start,
            random_state=settings.seed,
            n_jobs=1,  # what a seed asks for
            precomputed_knn=(neighbours.indices.astype(np.int32), neighbours.distances),
            disconnection_distance=float("inf"),  # opposite codes have cosine distance 2, and would get no place
            tqdm_kwds={
                "disable": False,
                "file": _EpochListener(progress),
                "bar_format": "{n_fmt}/{total_fmt}",
                "mininterval": 0.2,
                "miniters": 1,
            },
        ).fit_transform(distinct)
    if not np.isfinite(points).all():
        raise FloatingPointError("UMAP gave places that are not finite.")
    return Projection(_centred_and_scaled(points[place].astype(np.float64)), replace(settings, method="umap"))


_one_layout = threading.Lock()  # numba ends the process when two threads enter its workqueue layer


class _EpochListener:
    """A file for UMAP's progress bar to write to: hears "120/500" and tells it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str) -> None:
        done, slash, total = text.strip().partition("/")
        if slash and done.isdigit() and total.isdigit():
            self._progress(60 + 40 * int(done) // int(total), 100, f"Layout, epoch {done} of {total}")

    def flush(self) -> None:
        pass


def embed_patches(codebook: Codebook, projection: Projection, vectors: np.ndarray) -> np.ndarray:
    """Places for embeddings, vectors [N, D], in the plane of the codes: float32 [N, 2].

    A vector lies at the weighted mean of the points pᵢ of its n = 5 nearest codes,

        p = Σ wᵢ pᵢ / Σ wᵢ        wᵢ = (1 / dᵢ − 1 / dₙ₊₁)²        dᵢ its distance to the i-th nearest code

    which is Franke and Little's form of inverse distance weighting: a weight falls to 0 where its code leaves the
    nearest five, so p moves without jumps. A vector that equals a code lies exactly on that code's point. With five
    codes or fewer all of them take part and 1 / dₙ₊₁ is 0; six at equal distance weigh the same.
    """
    found = codebook.nearest_several(torch.from_numpy(np.ascontiguousarray(vectors, np.float32)), PATCH_CODES + 1)
    neighbours = Neighbours(found.indices.numpy(), found.distances.numpy())
    distances, indices = neighbours.distances[:, :PATCH_CODES], neighbours.indices[:, :PATCH_CODES]
    nearest = distances[:, :1]
    on_a_code = nearest == 0
    # Everything times the nearest distance, so that nothing overflows close to a code.
    weights = np.divide(nearest, distances, out=np.zeros_like(distances), where=~on_a_code)
    if neighbours.distances.shape[1] > PATCH_CODES:
        beyond = neighbours.distances[:, PATCH_CODES:]
        weights -= np.divide(nearest, beyond, out=np.zeros_like(nearest), where=~on_a_code)
    weights **= 2
    weights[weights.sum(1) == 0] = 1
    weights[on_a_code[:, 0]] = np.eye(1, weights.shape[1])
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("nk,nkc->nc", weights, projection.points[indices])


def _neighbours(codebook: np.ndarray, settings: ProjectionSettings, progress: Progress) -> Neighbours:
    """Each code's nearest codes in the metric of the settings, itself among them."""
    found = Codebook(torch.from_numpy(codebook), settings.metric).neighbours(
        torch.arange(len(codebook)),
        settings.neighbours,
        progress=lambda done, total: progress(5 + 15 * done // total, 100, "Finding neighbours"),
    )
    distances = found.distances.numpy()
    # 1 − cos(a, b) = ½ ‖a/‖a‖ − b/‖b‖‖². A code of length 0 has no direction and stays where it is, ½ from all others.
    return Neighbours(found.indices.numpy(), 0.5 * distances**2 if settings.metric == "cosine" else distances)


def principal_axes(codebook: np.ndarray) -> np.ndarray:
    """The two directions in which vectors vary most: float32 [K, D] -> float64 [D, 2], unit columns, or 0 for none."""
    sample = codebook[:: -(-len(codebook) // PCA_ROWS)]
    if (sample == sample[0]).all():  # a codebook of almost equal codes: look at those that differ
        sample = np.concatenate([sample[:1], codebook[(codebook != sample[0]).any(1)][: PCA_ROWS - 1]])
    # The first row goes before the mean does: equal rows become exactly 0, where a rounded mean would leave dust.
    centred = sample.astype(np.float64) - sample[0]
    centred -= centred.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    axes = np.zeros((codebook.shape[1], 2))
    for axis in range(min(2, len(values))):
        value, direction = values[-1 - axis], vectors[:, -1 - axis]  # eigh sorts the largest last
        if value > values[-1] * len(values) * np.finfo(np.float64).eps:
            axes[:, axis] = direction * np.sign(direction[np.argmax(np.abs(direction))])
    return axes


def _centred_and_scaled(points: np.ndarray) -> np.ndarray:
    points = points - points.mean(0)
    largest = np.abs(points).max()
    return (points / largest if largest > 0 else points).astype(np.float32)


def checked_codebook(codebook: np.ndarray) -> np.ndarray:
    codebook = np.ascontiguousarray(codebook, np.float32)
    if codebook.ndim != 2 or not codebook.size or not np.isfinite(codebook).all():
        raise BadInput("A map needs a codebook of at least one code, [K, D], all its values finite.")
    return codebook


# Kept on disk


def save_projection(folder: Path, key: str, projection: Projection) -> None:
    """Keep a map under its key; the file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.write_atomically(folder / f"{key}{SUFFIX}", to_bytes(key, projection))


def load_projection(folders: Sequence[Path], key: str, *, codes: int) -> Projection | None:
    """The map with that key of a codebook of `codes` codes, from the first of the folders that has it.

    Each folder may hold it under its key, or, being a checkpoint's, as codebook.projection.safetensors. A file that is
    damaged, cut off or of something else counts as absent.
    """
    for path in (folder / name for folder in folders for name in (f"{key}{SUFFIX}", SHIPPED_FILE)):
        if found := _read(path, key, codes):
            return found
    return None


def to_bytes(key: str, projection: Projection) -> bytes:
    about = {"version": str(FORMAT_VERSION), "key": key, "settings": json.dumps(projection.settings.to_dict())}
    return beside.to_bytes({"points": projection.points.astype(np.float32)}, about)


def _read(path: Path, key: str, codes: int) -> Projection | None:
    found = beside.read(path, {"points": (np.dtype(np.float32), (codes, 2))})
    if found is None or (found.about.get("version"), found.about.get("key")) != (str(FORMAT_VERSION), key):
        return None
    points = found.arrays["points"]
    formerly = found.about.get("sha256")  # of the points alone, in files without a checksum
    if not (np.abs(points) <= 1).all() or formerly not in (None, hashlib.sha256(points.data).hexdigest()):
        return None
    try:
        return Projection(points, ProjectionSettings.from_dict(json.loads(found.about["settings"])))
    except (ValueError, KeyError, RecursionError):
        return None
