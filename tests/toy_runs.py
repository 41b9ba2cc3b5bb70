"""Logs of trainings, made on the spot."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.test_train import TOY
from tests.toys import toy_pixels
from vqvae.training.log import LogWriter
from vqvae.training.settings import training_settings


def figures(step: int, **more: float) -> dict[str, float]:
    """What a row holds."""
    return {
        "step": step,
        "seconds": step / 10,
        "learning_rate": 1e-3,
        "loss": 1 / (1 + step),
        "psnr_off": 15 + step / 100,
        "psnr_on": 17 + step / 100,
        "perplexity": 6.5,
        "used": 7.0,
        **more,
    }


def validated(step: int, **more: float) -> dict[str, float]:
    return figures(
        step,
        val_psnr_off=14 + step / 100,
        val_psnr_on=16 + step / 100,
        val_ssim_off=0.5,
        val_ssim_on=0.75,
        val_perplexity=5.5,
        val_used=6.0,
        **more,
    )


def toy_sheet(step: int, *, pictures: int = 2, side: int = 8) -> np.ndarray:
    """uint8 [3·side, pictures·side, 3]: two rows that come closer to the first with each step."""
    original = toy_pixels(side, pictures * side)
    off, on = (
        np.clip(original.astype(int) + away, 0, 255).astype(np.uint8) for away in (60 - step // 2, 30 - step // 4)
    )
    return np.concatenate([original, off, on])


def write_run(folder: Path, *, steps: int = 100, planned: int = 100, **about: Any) -> LogWriter:
    """The log of a run that is at a step, with a validation every 20 steps; it has not ended."""
    writer = LogWriter.anew(folder)
    settings = training_settings(TOY) | {"steps": planned}
    writer.start({"settings": settings, "samples": "validation", "validation_images": 3, "images": 40, **about})
    for step in range(10, steps + 1, 10):
        writer.row(validated(step) if step % 20 == 0 else figures(step))
        if step % 20 == 0:
            writer.sheet(step, toy_sheet(step))
    return writer
