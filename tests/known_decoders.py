"""Decoders whose answer is known by how they are made."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from explorer.images.sets import ImageSet
from tests.toy_tokenizers import analysed, cosine_basis, drawn, looked_up
from tests.toys import toy_model
from vqvae.images import pad_to_multiple, to_tensor
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Level, Metric, Sizes, Spec, cells


def known(kind: str) -> VQVAE:
    """A toy whose answer is known by how its stem is made."""
    model = toy_model(decoder_inputs="quantized" if kind == "one input" else "both")
    with torch.no_grad():
        stem = model.decoder.stem
        if kind == "ignores the embedding":
            stem.from_embedding.weight.zero_()  # type: ignore[operator, union-attr]
        elif kind == "bypasses the codebook":
            stem.from_embedding.weight.copy_(stem.from_quantized.weight)  # type: ignore[operator, union-attr, arg-type]
        elif kind == "cannot tell":
            for parameter in stem.parameters():
                parameter.zero_()
    return model


# --- decoders written down as a function of the two inputs ------------------------------------------------------------

Draw = Callable[[Tensor, Tensor], Tensor]  # quantized, embedding [B, 9, h, w] each -> what is drawn of them, likewise


@dataclass(frozen=True, eq=False)
class Drawing:
    """A tokenizer of cosine coefficients: `draw` says what of its two inputs its decoder draws, each cell by itself.

    It computes in the precision of its codes, and says what it draws before it clamps.
    """

    draw: Draw
    codes: Tensor  # [K, 9]
    metric: Metric = "euclidean"
    decoded: list[int] = field(default_factory=list)  # how many pictures each call drew

    @property
    def spec(self) -> Spec:
        return Spec("toy that is written down", (Level("grid", *self.codes.shape, self.metric, 4),), 0, 2, Sizes(4))

    def encode(self, images: Tensor) -> Encoding:
        embedding = analysed(pad_to_multiple(images, 4) - 0.5, cosine_basis(4, 1)).to(self.codes.dtype)
        batch, _, height, width = embedding.shape
        found = Codebook(self.codes, self.metric).nearest(cells(embedding))
        indices = (found.unflatten(0, (batch, height, width)),)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        return looked_up(indices[0], self.codes)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return self.pixels_of(quantized, embedding).clamp(0, 1)

    def pixels_of(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        self.decoded.append(len(quantized))
        second = quantized if embedding is None else embedding
        return drawn(self.draw(quantized, second), cosine_basis(4, 1).to(quantized.dtype)) + 0.5


def _halves(quantized: Tensor, embedding: Tensor) -> Tensor:
    middle = quantized.shape[-1] // 2
    return torch.cat([quantized[..., :middle], embedding[..., middle:]], -1)


def _brighter_where_right(quantized: Tensor, embedding: Tensor) -> Tensor:
    """The embedding, a fifth too bright wherever the code is about its own."""
    right = (embedding - quantized).norm(dim=1, keepdim=True) < 0.5
    offset = functional.pad(torch.full((1, 3), 0.2 * 4), (0, quantized.shape[1] - 3)).to(quantized)
    return embedding + right * offset[..., None, None]


def _direction(quantized: Tensor, embedding: Tensor) -> Tensor:
    return embedding / embedding.norm(dim=1, keepdim=True).clamp(min=1e-6)


DRAWS: dict[str, Draw] = {
    "ignores the embedding": lambda quantized, embedding: quantized,
    "ignores the codes": lambda quantized, embedding: embedding,
    "ignores both": lambda quantized, embedding: torch.zeros_like(quantized),
    "mixes half and half": lambda quantized, embedding: 0.5 * quantized + 0.5 * embedding,
    "mixes 9 : 1": lambda quantized, embedding: 0.9 * quantized + 0.1 * embedding,
    "mixes 1 : 9": lambda quantized, embedding: 0.1 * quantized + 0.9 * embedding,
    "direction of the embedding": _direction,
    "codes left, embedding right": _halves,
    "second path negated": lambda quantized, embedding: quantized - (embedding - quantized),
    "codes negated": lambda quantized, embedding: embedding + (embedding - quantized),
    "second path scaled by 0.01": lambda quantized, embedding: quantized + 0.01 * (embedding - quantized),
    "residual alone": lambda quantized, embedding: embedding - quantized,
    "brighter where the code is right": _brighter_where_right,
}


def drawing(kind: str, *, dtype: torch.dtype = torch.float32, metric: Metric = "euclidean", codes: int = 32) -> Drawing:
    """One of `DRAWS`, with codes out of scenes that no set of scenes has."""
    return Drawing(DRAWS[kind], scene_codes(codes).to(dtype), metric)


def mixing(share: float, *, dtype: torch.dtype = torch.float32) -> Drawing:
    """One that draws (1 − share) of the code and share of the embedding."""
    return Drawing(lambda quantized, embedding: quantized.lerp(embedding, share), scene_codes(32).to(dtype))


def scene_codes(codes: int) -> Tensor:
    """[K, 9]: cells of a few scenes."""
    scenes = torch.cat([to_tensor(toy_scene(number)) for number in range(1000, 1004)])
    every = cells(analysed(scenes - 0.5, cosine_basis(4, 1)))
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(0))[:codes]].clone()


# --- pictures that are not flat ---------------------------------------------------------------------------------------


def toy_scene(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    """uint8 [H, W, 3]: soft blots of colour, and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    blots = torch.rand(1, 3, 5, 6, generator=generator)
    smooth = functional.interpolate(blots, size=(height, width), mode="bilinear", align_corners=False)[0]
    noisy = smooth + 0.03 * torch.randn(smooth.shape, generator=generator)
    return (noisy.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()


def flat_scene(level: int = 128, height: int = 40, width: int = 48) -> np.ndarray:
    """uint8 [H, W, 3], one grey everywhere."""
    return np.full((height, width, 3), level, np.uint8)


def scene_set(scenes: Iterable[np.ndarray | None], *, label: str = "scenes", names: str = "{}.png") -> ImageSet:
    """Pictures as a set of PNG files, named by number; None is a file that cannot be read."""
    files: dict[str, bytes] = {}
    for number, scene in enumerate(scenes):
        buffer = io.BytesIO(b"no picture")
        if scene is not None:
            Image.fromarray(scene).save(buffer, "PNG")
        files[names.format(number)] = buffer.getvalue()
    return ImageSet(label, "", "", tuple(files), "ab" * 32, files.__getitem__)


def toy_scenes(count: int, *, first: int = 0, height: int = 40, width: int = 48) -> list[np.ndarray]:
    return [toy_scene(first + number, height, width) for number in range(count)]
