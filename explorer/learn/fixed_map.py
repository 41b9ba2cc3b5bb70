"""The codebook on a map that stays as it is while the codes move."""

from dataclasses import dataclass

import numpy as np

from explorer.codebook.projection import principal_axes
from explorer.learn.lab import Snapshot


@dataclass(frozen=True, eq=False)
class FixedMap:
    """A plane through the space of the embeddings, and the window of it that is drawn."""

    centre: np.ndarray  # float64 [D]
    axes: np.ndarray  # float64 [D, 2], unit columns
    half: float  # of the window's side; it reaches so far from the centre
    share: float  # how much of the spread of the vectors it was made for lies in it, in [0, 1]

    @classmethod
    def of(cls, vectors: np.ndarray) -> "FixedMap":
        """The plane in which vectors, float32 [N, D], vary most; all of them lie in the window."""
        centre = vectors.astype(np.float64).mean(0)
        axes = principal_axes(vectors)
        away = vectors - centre
        spread = float(np.square(away).sum())
        placed = away @ axes
        half = 1.1 * float(np.abs(placed).max()) or 1.0
        return cls(centre, axes, half, float(np.square(placed).sum()) / spread if spread else 1.0)

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> "FixedMap":
        """The plane in which the codes and the cells of a snapshot vary most."""
        return cls.of(np.concatenate([snapshot.codebook, snapshot.embeddings]))

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [N, D] -> float64 [N, 2], in units of the window: −1…1 lies within, both axes alike."""
        return (vectors - self.centre) @ self.axes / self.half
