"""The codebook on a map that stays as it is while the codes move."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.codebook.projection import principal_axes
from explorer.learn.lab import Snapshot

ASPECT = 1.5  # width of the window over its height
SETTLED = 100  # steps; before that the encoder turns so much that no plane holds what comes later


@dataclass(frozen=True, eq=False)
class FixedMap:
    """A plane through the space of the embeddings, and the window of it that is drawn."""

    centre: np.ndarray  # float64 [D]
    axes: np.ndarray  # float64 [D, 2], unit columns
    half: float  # of the window's width; it reaches so far from the centre on either side
    share: float  # how much of the spread of the vectors it was made for lies in it, in [0, 1]

    @classmethod
    def of(cls, vectors: np.ndarray) -> "FixedMap":
        """The plane in which vectors, float32 [N, D], vary most; all of them lie in the window."""
        centre = vectors.astype(np.float64).mean(0)
        axes = principal_axes(vectors)
        away = vectors - centre
        spread = float(np.square(away).sum())
        placed = away @ axes
        half = 1.1 * float((np.abs(placed) * (1, ASPECT)).max()) or 1.0
        return cls(centre, axes, half, float(np.square(placed).sum()) / spread if spread else 1.0)

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> "FixedMap":
        """The plane in which the codes and the cells of a snapshot vary most."""
        return cls.of(np.concatenate([snapshot.codebook, snapshot.embeddings]))

    @classmethod
    def of_run(cls, snapshots: Sequence[Snapshot], *, ended: bool) -> "FixedMap":
        """The map of a run: of its end; while it runs of the first snapshot once it has settled, until then the last.

        The plane of the start holds a twelfth of the spread of the end, that of step 100 more than half of it.
        """
        settled = (snapshot for snapshot in snapshots if snapshot.step >= SETTLED)
        return cls.of_snapshot(snapshots[-1] if ended else next(settled, snapshots[-1]))

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [N, D] -> float64 [N, 2], in units of half the window's width, on both axes alike."""
        return (vectors - self.centre) @ self.axes / self.half
