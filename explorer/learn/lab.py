"""A small training that can be watched: what it is set to, one step of it after another, and what is seen on the way.

It is the training of `vqvae/training/` with a small model, on the bundled sample photos but one, which is held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from explorer.images.samples import SAMPLES
from vqvae.errors import BadInput
from vqvae.images import fit_within, load_image, to_pixels, to_tensor
from vqvae.metrics import psnr
from vqvae.model import VQVAEConfig
from vqvae.tokenizer import cells
from vqvae.training.crops import Crops, codebook_batches, prefetch
from vqvae.training.settings import TrainingConfig
from vqvae.training.trainer import Trainer

HELD_OUT = "chelsea"  # the sample that is shown and measured, and never trained on
SHOWN_SIDE = 160  # pixels, the long side of that picture
MOST_SNAPSHOTS = 32  # of a run; they bound its memory, a quarter of a megabyte each
STEPS = (100, 500, 1000, 2000, 4000)  # what a person may choose
MOST_COMMITMENT = 2.0
MODEL = VQVAEConfig(codes=128, embedding_dim=16, channels=(16, 32, 64), blocks=(0, 1, 2))
BASE = TrainingConfig(
    model=MODEL, batch=8, crop=64, short_side=(128, 224), learning_rate=2e-3, warmup=50, restart_every=10
)


# --- what a training is set to ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabSettings:
    """What a person may change before the start."""

    steps: int = 2000
    restarts: bool = True  # of codes that hardly any cell takes
    kmeans: bool = True  # the codebook starts from k-means; else from random numbers
    dropout: bool = True  # of the embedding: half of each batch is drawn from the codes alone
    commitment: float = 0.01
    seed: int = 0

    def to_config(self) -> TrainingConfig:
        """What the trainer is given; raises BadInput for what is out of bounds."""
        if not 0 <= self.commitment <= MOST_COMMITMENT:
            raise BadInput(f"The commitment weight has to be a number from 0 to {MOST_COMMITMENT:g}.")
        if not 1 <= self.steps <= STEPS[-1]:
            raise BadInput(f"The training has to have from 1 to {STEPS[-1]:,} steps.")
        return replace(
            BASE,
            steps=self.steps,
            restart_until=BASE.restart_until if self.restarts else 0.0,
            kmeans_start=self.kmeans,
            embedding_dropout=self.dropout,
            commitment=float(self.commitment),
            seed=self.seed,
        )


@dataclass(frozen=True)
class Preset:
    """Settings with a name, and what is to be seen with them."""

    name: str
    title: str
    promise: str
    settings: LabSettings

    def matches(self, settings: LabSettings) -> bool:
        """Whether these are its settings, whatever the number of steps and the seed."""
        return replace(settings, steps=self.settings.steps, seed=self.settings.seed) == self.settings


HEALTHY = LabSettings()
PRESETS = (
    Preset(
        "healthy",
        "Healthy",
        "Everything on, as the shipped models were trained: nearly all codes come to be used, and the decoder learns "
        "to draw from the codes alone too.",
        HEALTHY,
    ),
    Preset(
        "collapse",
        "Collapse",
        "A random start, no restarts and a large commitment weight: watch a few codes take all cells while the others "
        "stay where they began.",
        LabSettings(restarts=False, kmeans=False, commitment=1.0),
    ),
    Preset(
        "bypass",
        "Bypass",
        "No embedding dropout and no commitment: watch the picture get better with the embedding, and the codes alone "
        "fall behind.",
        LabSettings(dropout=False, commitment=0.0),
    ),
)


def preset_of(settings: LabSettings) -> Preset | None:
    """The preset that settings are, if they are one."""
    return next((preset for preset in PRESETS if preset.matches(settings)), None)


# --- what is seen of it -----------------------------------------------------------------------------------------------

MEASURES = ("loss", "perplexity", "used")  # of each step, as the trainer says them


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a model is at one step: its codebook, and the held-out picture through it.

    The model is the moving average of the weights, which is what a training keeps.
    """

    step: int  # steps that were done
    codebook: np.ndarray  # float32 [K, D]
    shares: np.ndarray  # float32 [K], how much of the cells took each code lately; they add up to 1
    embeddings: np.ndarray  # float32 [N, D], of the held-out picture's cells
    off: np.ndarray  # uint8 [H, W, 3], drawn from the codes alone
    on: np.ndarray  # and with the whole embedding
    psnr_off: float  # dB, against the held-out picture
    psnr_on: float


@dataclass(frozen=True, eq=False)
class News:
    """What a step brought."""

    step: int  # steps that were done
    measures: tuple[float, ...]  # as MEASURES; empty before the first step
    snapshot: Snapshot | None


def snapshot_steps(steps: int) -> frozenset[int]:
    """After how many steps a snapshot is taken, the first and the last among them: closer together at the start."""
    places = np.linspace(0, 1, MOST_SNAPSHOTS) ** 1.5
    return frozenset(np.unique((places * steps).round().astype(int)).tolist())


class Lab:
    """A training in the making: `run` does it, step by step; it can be left off after any of them."""

    def __init__(self, crops: Crops, picture: Tensor) -> None:
        """Crops of photos with the settings of a run, and a picture [1, 3, H, W] in [0, 1] that is none of them."""
        self.config = crops.config
        self.crops = crops
        self.picture = picture
        self.trainer = Trainer(crops.config, torch.device("cpu"))

    def run(self) -> Iterator[News]:
        """Train to the last step. Raises BadInput where the loss goes out of all bounds."""
        if self.config.kmeans_start:
            self.trainer.start_codebook_(codebook_batches(self.crops))
        due = snapshot_steps(self.config.steps)
        yield News(0, (), self.snapshot())
        for images in prefetch(self.crops, 0, self.config.steps):
            try:
                told = self.trainer.train_step_(images)
            except FloatingPointError:
                raise BadInput(
                    f"The loss grew out of all bounds at step {self.trainer.step:,}; start again with other switches."
                ) from None
            step = self.trainer.step
            yield News(step, tuple(float(told[name]) for name in MEASURES), self.snapshot() if step in due else None)

    @torch.inference_mode()
    def snapshot(self) -> Snapshot:
        """What the model is now."""
        model, picture = self.trainer.averaged, self.picture
        encoding = model.encode(picture)
        height, width = picture.shape[-2:]
        off = model.decode(encoding.quantized)[..., :height, :width]
        on = model.decode(encoding.quantized, encoding.embedding)[..., :height, :width]
        counts = self.trainer.learner.counts
        return Snapshot(
            step=self.trainer.step,
            codebook=model.codebook.numpy().copy(),
            shares=(counts / counts.sum()).numpy().astype(np.float32),
            embeddings=cells(encoding.embedding).numpy().copy(),
            off=to_pixels(off)[0],
            on=to_pixels(on)[0],
            psnr_off=psnr(off, picture).item(),
            psnr_on=psnr(on, picture).item(),
        )

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it."""
        return {name: tensor.detach().contiguous() for name, tensor in self.trainer.averaged.state_dict().items()}


def held_out_picture() -> Tensor:
    """[1, 3, H, W] in [0, 1]."""
    [sample] = [sample for sample in SAMPLES if sample.name == HELD_OUT]
    return to_tensor(fit_within(load_image(sample.read(), sample.file), SHOWN_SIDE))


def on_sample_photos(config: TrainingConfig) -> Lab:
    """A training on the bundled photos but the one that is held out."""
    photos = [load_image(sample.read(), sample.file) for sample in SAMPLES if sample.name != HELD_OUT]
    return Lab(Crops(photos, config), held_out_picture())
