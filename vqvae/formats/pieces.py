"""Where the images of a file, or of several, lie in it: a few bytes each beside the name, for millions of them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field


@dataclass(eq=False)
class Pieces:
    """Pieces of numbered files, by their names."""

    places: dict[str, int] = field(default_factory=dict)  # of each name in the arrays
    files: array[int] = field(default_factory=lambda: array("l"))
    offsets: array[int] = field(default_factory=lambda: array("q"))  # bytes
    sizes: array[int] = field(default_factory=lambda: array("q"))

    def add(self, name: str, file: int, offset: int, size: int) -> None:
        """Add a piece; of a name that is there already it takes the place."""
        self.places[name] = len(self.files)
        self.files.append(file)
        self.offsets.append(offset)
        self.sizes.append(size)

    def size_of(self, name: str) -> int:
        return self.sizes[self.places[name]]
