"""Toy models and pictures, made on the spot: small enough that a test of a law takes milliseconds."""

import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from explorer.base.job import Cancelled
from explorer.base.open_model import OpenModel
from vqvae.errors import BadInput, Unreachable
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.tokenizer import Encoding, Tokenizer, prepare

torch.set_num_threads(1)  # at toy sizes a second thread is only waited for


def toy_config(**changes: Any) -> VQVAEConfig:
    """K = 8, D = 4, stride 4."""
    settings: dict[str, Any] = {"codes": 8, "embedding_dim": 4, "channels": (4, 8), "blocks": (1, 1)}
    return VQVAEConfig(**(settings | changes))


def toy_model(seed: int = 0, **changes: Any) -> VQVAE:
    """A model ready to serve, every weight of it drawn at random.

    A fresh model's blocks are the identity, since their `mix` starts at zero: nothing of them would be tested.
    """
    model = VQVAE(toy_config(**changes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = max(1, parameter[0].numel())
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
        model.codebook.copy_(toy_codebook(*model.codebook.shape, seed=seed))
    return prepare(model)


def open_toy(tokenizer: Tokenizer, name: str = "toy") -> OpenModel:
    """A tokenizer as pages and commands hold it, of any number of levels; it lies nowhere."""
    return OpenModel(name, tokenizer, "0" * 64, "cpu", "", None, "", Path("nowhere"), {})


class Heard:
    """Progress that keeps what it is told, and stops the work at a step."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.steps: list[tuple[int, int]] = []
        self.stages: list[str] = []

    def __call__(self, done: int, total: int, stage: str = "") -> None:
        self.steps.append((done, total))
        self.stages.append(stage)
        if self.stop_at is not None and done >= self.stop_at:
            raise Cancelled


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another thread or process brings about."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("It did not happen in time.")


class StandIn:
    """A model as another tokenizer: it may claim another spec, and notes how many cells it looks up and decodes."""

    def __init__(self, model: VQVAE, **claims: Any) -> None:
        self.spec = replace(model.spec, **claims)
        self.model = model
        self.looked_up: list[int] = []
        self.decoded: list[int] = []

    def encode(self, images: Tensor) -> Encoding:
        return self.model.encode(images)

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        self.looked_up.append(indices[0].numel())
        return self.model.lookup(indices)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.model.vectors(level, codes)

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        self.decoded.append(quantized[:, 0].numel())
        return self.model.decode(quantized, embedding)


class Mixing(StandIn):
    """A model whose lookup mixes neighbours, the mean of the 3 × 3 codes around a cell: it reaches one cell further."""

    def __init__(self, model: VQVAE) -> None:
        assert model.spec.reach is not None
        super().__init__(model, reach=model.spec.reach + 1)

    def encode(self, images: Tensor) -> Encoding:
        found = super().encode(images)
        return replace(found, quantized=self.lookup(found.indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        return functional.avg_pool2d(super().lookup(indices), 3, stride=1, padding=1, count_include_pad=False)


def toy_codebook(codes: int, dim: int, *, seed: int = 0) -> Tensor:
    """[K, D] with rows of mean square 1, like the embeddings of the encoder."""
    rows = torch.randn(codes, dim, generator=torch.Generator().manual_seed(seed))
    return rows * rows.square().mean(1, keepdim=True).rsqrt()


def slow_nearest(vectors: Tensor, codebook: Tensor) -> np.ndarray:
    """All distances, one by one, in float64."""
    vectors64, codebook64 = vectors.double().numpy(), codebook.double().numpy()
    return np.array([np.argmin([np.sum((v - e) ** 2) for e in codebook64]) for v in vectors64])


def toy_images(batch: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    """[B, 3, H, W] of noise in [0, 1]."""
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def toy_pixels(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3]: slopes and a little noise, so that JPEG has something to compress."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    slopes = np.stack([rows * 5, columns * 4, 200 - 3 * (rows + columns)], axis=-1)
    return np.clip(slopes + random.integers(-9, 10, (height, width, 3)), 0, 255).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def write_toy_photos(folder: Path, *, count: int = 4, height: int = 40, width: int = 48) -> Path:
    """A folder of PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = Image.fromarray(toy_pixels(height, width, seed=number))
        (folder / f"{number}.png").write_bytes(encoded(image, "PNG"))
    return folder


def assert_one_sentence(refusal: pytest.ExceptionInfo[BadInput | Unreachable] | BadInput | str) -> str:
    """A refusal is shown to a person as it is: one line, one sentence, not a dump. Returns it."""
    message = str(refusal.value if isinstance(refusal, pytest.ExceptionInfo) else refusal)
    assert message.endswith(".") and not message.endswith("..")
    assert message.isprintable()
    assert 10 < len(message) < 400
    return message
