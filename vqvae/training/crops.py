"""What a run learns from: photos decoded as they are needed, and random crops of them."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vqvae.dataset import ImageFiles
from vqvae.errors import BadInput
from vqvae.images import load_image, to_tensor
from vqvae.training.distributed import ALONE
from vqvae.training.settings import TrainingConfig

KEPT_BYTES = 512 << 20  # of decoded photos
ROOM = 2  # a JPEG is decoded at no less than so many times the largest size it is seen at; further up nothing changes


class PhotoList(Protocol):
    """Photos by number: a list of them, or `Photos`."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> Image.Image: ...


class Photos:
    """The photos of a set, decoded when they are asked for; those that were asked for last are kept.

    A large JPEG is decoded at a half, a quarter or an eighth of its size, which takes a fraction of the time and
    memory; at which of them depends on the photo and on `shortest` alone, so it is the same picture each time. One that
    cannot be read is named once on standard error, and the next one stands in its place: that, too, is the same each
    time. Raises Unreachable where none can be for the time being.
    """

    def __init__(
        self,
        files: ImageFiles,
        *,
        shortest: int | None,
        kept_bytes: int = KEPT_BYTES,
        tell: Callable[[str], None] = ALONE.tell,
    ) -> None:
        """shortest: pixels that the short side is not reduced below; None: nothing is reduced.

        tell: takes the sentence on a photo that cannot be read, from any thread.
        """
        self.files = files
        self.shortest = shortest
        self.tell = tell
        self.unreadable: set[int] = set()
        self._kept: OrderedDict[int, Image.Image] = OrderedDict()
        self._kept_bytes, self._most_bytes = 0, kept_bytes
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls,
        files: ImageFiles,
        config: TrainingConfig,
        *,
        kept_bytes: int = KEPT_BYTES,
        tell: Callable[[str], None] = ALONE.tell,
    ) -> Self:
        """Those of a run; raises BadInput where not one can be read."""
        photos = cls(files, shortest=ROOM * config.short_side[1], kept_bytes=kept_bytes, tell=tell)
        _ = photos[0]
        return photos

    def __len__(self) -> int:
        return len(self.files.names)

    def __getitem__(self, number: int, /) -> Image.Image:
        for place in range(number, number + len(self)):
            photo = self._photo(place % len(self))
            if photo is not None:
                return photo
        raise BadInput("No image of the set could be read; name a set that holds some.")

    def _photo(self, number: int) -> Image.Image | None:
        """The photo of that number; None where it cannot be read."""
        with self._lock:
            if number in self.unreadable:
                return None
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        name = self.files.names[number]
        try:
            photo = load_image(self.files.read(name), name, shortest=self.shortest)
        except BadInput as refusal:
            with self._lock:
                if number not in self.unreadable:
                    self.unreadable.add(number)
                    self.tell(f"skipped: {refusal}")
            return None
        with self._lock:
            if number not in self._kept:
                self._kept[number] = photo
                self._kept_bytes += _size(photo)
            while self._kept_bytes > self._most_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= _size(oldest)
        return photo


def _size(photo: Image.Image) -> int:
    """Bytes that Pillow holds of an RGB image: four a pixel."""
    return 4 * photo.width * photo.height


class Crops:
    """Random crops and flips of a set of photos; batch number n is the same in every run with the same seed."""

    def __init__(self, photos: PhotoList, config: TrainingConfig, *, share: range | None = None) -> None:
        """share: the places in a batch that are made, one after the other; None: all of them."""
        self.photos = photos
        self.config = config
        self.share = range(config.batch) if share is None else share

    def batch(self, step: int) -> Tensor:
        """[B, 3, crop, crop] in [0, 1]; of a share, what the whole batch has at its places."""
        random = np.random.default_rng((self.config.seed, step))
        for _ in range(self.share.start):
            self._pass_over(random)
        return torch.cat([to_tensor(self._crop(random)) for _ in self.share])

    def _pass_over(self, random: np.random.Generator) -> None:
        """Draw what `_crop` draws, and decode nothing."""
        random.integers(len(self.photos))
        random.random(4)

    def _crop(self, random: np.random.Generator) -> Image.Image:
        photo = self.photos[int(random.integers(len(self.photos)))]
        # Never enlarged: invented smoothness is not worth learning.
        scale = max(1.0, min(photo.size) / random.uniform(*self.config.short_side))
        side = min(self.config.crop * scale, *photo.size)
        left, top = random.uniform(0, photo.width - side), random.uniform(0, photo.height - side)
        size = (self.config.crop, self.config.crop)
        crop = photo.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
        return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else crop


def prefetch(crops: Crops, first: int, last: int, *, workers: int = 1) -> Iterator[Tensor]:
    """The batches first…last−1 in order, made a few steps ahead in other threads."""
    ahead = 2 * workers + 2
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Tensor]] = deque()
        try:
            for step in range(first, last):
                waiting.extend(pool.submit(crops.batch, later) for later in _due(step, first, last, ahead))
                yield waiting.popleft().result()
        finally:
            for batch in waiting:
                batch.cancel()


def _due(step: int, first: int, last: int, ahead: int) -> range:
    """The batches to be begun before that of a step is taken."""
    begun = first if step == first else step + ahead
    return range(begun, min(step + ahead + 1, last))


def codebook_batches(crops: Crops) -> list[Tensor]:
    """What the k-means start of a codebook is computed from: eight cells a code, of batches that no step sees."""
    config = crops.config
    enough = -(-8 * config.model.codes // (config.batch * (config.crop // config.model.stride) ** 2))
    return [crops.batch(-number - 1 + (1 << 40)) for number in range(enough)]
