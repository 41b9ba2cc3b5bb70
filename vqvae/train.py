"""Train a VQ-VAE on a folder, tar or zip of images: python -m vqvae.train DATA --out checkpoints/NAME

Every batch is a function of the seed and the step alone, so a run that was stopped and resumed is the same run.
"""

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from vqvae import checkpoint
from vqvae.dataset import read_files
from vqvae.decoder import NarrowProjection
from vqvae.errors import BadInput, shown
from vqvae.images import load_image, to_tensor
from vqvae.metrics import WINDOW, perplexity, psnr, ssim
from vqvae.model import VQVAE, VQVAEConfig, has_fast_bf16
from vqvae.quantizer import CodebookLearner
from vqvae.tokenizer import TokenizerModule, cells, channels_last

STATE_FILE = "training.safetensors"  # what --resume needs; not part of the checkpoint


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that shapes a run; the JSON of --config has these names."""

    model: VQVAEConfig = field(default_factory=VQVAEConfig)
    steps: int = 10_000
    batch: int = 8
    crop: int = 96  # pixels; a multiple of the stride
    short_side: tuple[int, int] = (224, 352)  # a photo is seen at a random size whose short side lies in this range
    learning_rate: float = 1e-3
    warmup: int = 300  # steps
    average_decay: float = 0.999  # of the moving average of the weights, which is what is saved
    ssim_weight: float = 0.01
    commitment: float = 0.01
    embedding_dropout: bool = True  # off: the decoder always gets the whole embedding, and learns to bypass the codes
    codes_only_share: float = 0.5  # of a batch's images whose decoder gets none of the embedding
    whole_share: float = 0.125  # of a batch's images that get all of it; the rest get something between
    dead_below: float = 0.35  # a code with less than this fraction of an equal share of the cells is dead
    restart_every: int = 20  # steps between restarts of dead codes
    restart_until: float = 0.98  # of the steps; codes crowd together again as soon as nothing restarts the rare ones
    kmeans_start: bool = (
        True  # off: the codebook starts from random numbers, and few of the codes are ever the nearest one
    )
    seed: int = 0

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """Check names, types and bounds; raises BadInput at the first fault."""
        names = {f.name for f in fields(cls)}
        if unknown := sorted(set(settings) - names):
            raise BadInput(
                f"The training config has an unknown setting {shown(unknown[0])}; the settings are {sorted(names)}."
            )
        changes = settings.get("model", {})
        if not isinstance(changes, dict):
            raise BadInput("The setting 'model' has to be a JSON object of the model's settings.")
        model = VQVAEConfig.from_dict(VQVAEConfig().to_dict() | changes)
        plain = {name: _checked(name, value) for name, value in settings.items() if name != "model"}
        config = cls(**plain, model=model)
        if config.crop % model.stride:
            raise BadInput(f"'crop' is {config.crop} and has to be a multiple of the stride, {model.stride}.")
        return config


_BOUNDS = {
    "steps": (1, 10**9),
    "batch": (1, 4096),
    "crop": (WINDOW, 4096),
    "short_side": (1, 16_384),
    "learning_rate": (0.0, 1.0),
    "warmup": (0, 10**9),
    "average_decay": (0.0, 1.0),
    "ssim_weight": (0.0, 100.0),
    "commitment": (0.0, 100.0),
    "codes_only_share": (0.0, 1.0),
    "whole_share": (0.0, 0.5),
    "dead_below": (0.0, 1.0),
    "restart_every": (1, 10**9),
    "restart_until": (0.0, 1.0),
    "seed": (0, 10**9),
}


def _checked(name: str, value: object) -> Any:
    """A setting of the right type and within its bounds, as TrainingConfig wants it."""
    if name in ("embedding_dropout", "kmeans_start"):
        if not isinstance(value, bool):
            raise BadInput(f"The setting {name!r} has to be true or false, and is {shown(value)}.")
        return value
    if name == "short_side":
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise BadInput(f"The setting {name!r} has to be a list of two numbers of pixels, and is {shown(value)}.")
        return tuple(_number(name, side) for side in value)
    return _number(name, value)


def _number(name: str, value: object) -> int | float:
    lower, upper = _BOUNDS[name]
    whole = isinstance(lower, int)
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not lower <= value <= upper:
        wanted = "a whole number" if whole else "a number"
        raise BadInput(f"The setting {name!r} has to be {wanted} from {lower} to {upper:,}, and is {shown(value)}.")
    return value


class Crops:
    """Random crops and flips of a set of photos; batch number n is the same in every run with the same seed."""

    def __init__(self, photos: list[Image.Image], config: TrainingConfig) -> None:
        self.photos = photos
        self.config = config

    def batch(self, step: int) -> Tensor:
        """[B, 3, crop, crop] in [0, 1]."""
        random = np.random.default_rng((self.config.seed, step))
        return torch.cat([to_tensor(self._crop(random)) for _ in range(self.config.batch)])

    def _crop(self, random: np.random.Generator) -> Image.Image:
        photo = self.photos[random.integers(len(self.photos))]
        # Never enlarged: invented smoothness is not worth learning.
        scale = max(1.0, min(photo.size) / random.uniform(*self.config.short_side))
        side = min(self.config.crop * scale, *photo.size)
        left, top = random.uniform(0, photo.width - side), random.uniform(0, photo.height - side)
        size = (self.config.crop, self.config.crop)
        crop = photo.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
        return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else crop


def prefetch(crops: Crops, first: int, last: int, *, ahead: int = 4) -> Iterator[Tensor]:
    """The batches first…last−1 in order, made a few steps ahead in another thread."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(crops.batch, step) for step in range(first, min(first + ahead, last))]
        for step in range(first, last):
            if step + ahead < last:
                waiting.append(pool.submit(crops.batch, step + ahead))
            yield waiting.pop(0).result()


def codebook_batches(crops: Crops) -> list[Tensor]:
    """What the k-means start of a codebook is computed from: eight cells a code, of batches that no step sees."""
    config = crops.config
    enough = -(-8 * config.model.codes // (config.batch * (config.crop // config.model.stride) ** 2))
    return [crops.batch(-number - 1 + (1 << 40)) for number in range(enough)]


def draw_blend(batch: int, config: TrainingConfig, generator: torch.Generator) -> Tensor:
    """How much of the embedding each image's decoder gets, [B, 1, 1, 1]: none for `codes_only_share` of them, all for
    `whole_share` of them, and uniform in (0, 1] for the rest.

    This is the embedding dropout: one decoder learns every place of the slider, and cannot do without the codes. Some
    are at 1 because a blend that is only uniform leaves the end of the slider under-trained: there the picture was
    worse than at one half.
    """
    if config.model.decoder_inputs == "quantized":
        return torch.zeros(batch, 1, 1, 1)
    if not config.embedding_dropout:
        return torch.ones(batch, 1, 1, 1)
    weight = 1 - torch.rand(batch, generator=generator)
    # The shares of every batch are fixed, rather than drawn for each image: less noise.
    weight[batch - int(batch * config.whole_share) :] = 1
    weight[: int(batch * config.codes_only_share)] = 0
    return weight.view(-1, 1, 1, 1)


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a half cosine to zero."""
    rising = min(1.0, (step + 1) / max(1, config.warmup))
    return config.learning_rate * rising * 0.5 * (1 + math.cos(math.pi * step / config.steps))


Tensors = tuple[Tensor, ...] | list[Tensor]


@torch.no_grad()
def residual_covariance(model: VQVAE, batches: Iterable[Tensor]) -> Tensor:
    """[D, D], of embedding − quantized over the cells of batches [B, 3, H, W]; there has to be one."""
    encodings = [model.encode(batch.to(model.codebook.device)) for batch in batches]
    residuals = torch.cat([cells(encoding.embedding - encoding.quantized) for encoding in encodings])
    return residuals.T.cov()


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An update rule for AveragedModel whose decay grows with the steps, so that a short run forgets its start too."""

    @torch.no_grad()
    def update_(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        now = min(decay, (1 + int(steps)) / (10 + int(steps)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update_


class Trainer:
    """The state of a run, and one step of it."""

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.model = channels_last(VQVAE(config.model).to(device))
        self.average = AveragedModel(self.model, multi_avg_fn=moving_average(config.average_decay))
        self.learner = CodebookLearner(self.model.quantizer, dead_below=config.dead_below)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), betas=(0.9, 0.99), weight_decay=0.01)
        self.step = 0

    def start_codebook_(self, batches: list[Tensor]) -> None:
        """K-means on the embeddings of a few batches, before the first step."""
        with torch.no_grad():
            self.learner.start_(torch.cat([cells(self.model.encoder(batch.to(self.device))) for batch in batches]))

    def start_from_(self, model: TokenizerModule, batches: Iterable[Tensor] = ()) -> None:
        """Take over the weights and the codebook of a trained model of the same shape; raises BadInput otherwise.

        The second input of the config may be narrower than the model's. It then starts as the best approximation of it
        for the residuals of these batches [B, 3, H, W], of which there has to be one.
        """
        if not isinstance(model, VQVAE) or self.config.model not in (model.config, self._narrowed(model.config)):
            raise BadInput("The model to start from has another shape than the config's; make the two equal.")
        weights = model.state_dict()
        narrow = getattr(self.model.decoder.stem, "from_embedding", None)
        if isinstance(narrow, NarrowProjection) and model.config != self.config.model:
            wide = weights.pop("decoder.stem.from_embedding.weight").flatten(1)
            narrow.approximate_(wide, residual_covariance(model, batches))
            weights |= {f"decoder.stem.from_embedding.{name}": part for name, part in narrow.state_dict().items()}
        self.model.load_state_dict(weights)
        self.average.module.load_state_dict(weights)
        self.learner.sums = self.model.codebook * self.learner.counts[:, None]

    def _narrowed(self, config: VQVAEConfig) -> VQVAEConfig:
        """The config of a wide model with the second input of this run's."""
        return replace(config, embedding_channels=self.config.model.embedding_channels)

    def train_step_(self, images: Tensor) -> dict[str, float]:
        """One step on [B, 3, H, W] in [0, 1]; returns loss, PSNR in dB with the embedding off and blended in, usage."""
        config, images = self.config, images.to(self.device)
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        weight = draw_blend(len(images), config, generator).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, config)

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda" or has_fast_bf16()):
            reconstruction, encoding = self.model(images, weight)
        reconstruction = reconstruction.float()
        commitment = (encoding.embedding - encoding.quantized.detach()).square().mean()
        loss = (
            (reconstruction - images).square().mean()
            + config.ssim_weight * (1 - ssim(reconstruction, images).mean())
            + config.commitment * commitment
        )
        if not loss.isfinite():
            raise FloatingPointError(f"The loss is {loss.item()} at step {self.step}; lower the learning rate.")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

        vectors, indices = cells(encoding.embedding.detach()), encoding.grid.flatten()
        self.learner.update_(vectors, indices)
        if self.step % config.restart_every == 0 and self.step < config.restart_until * config.steps:
            self.learner.restart_dead_(vectors)
        self.average.update_parameters(self.model)
        self.step += 1

        quality = psnr(reconstruction.detach().clamp(0, 1), images)
        off = weight.flatten() == 0
        return {
            "loss": loss.item(),
            "psnr_off": quality[off].mean().item() if off.any() else math.nan,
            "psnr_on": quality[~off].mean().item() if not off.all() else math.nan,
            "perplexity": perplexity(self.learner.counts),
            "used": int((self.learner.counts > self.learner.dead_below * self.learner.counts.mean()).sum()),
        }

    def save(self, folder: Path) -> None:
        """The checkpoint (averaged weights) and what --resume needs."""
        averaged = cast(VQVAE, self.average.module)
        checkpoint.save(folder, averaged, {"training": training_settings(self.config) | {"step": self.step}})
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        tensors |= {f"learner.{name}": tensor for name, tensor in self.learner.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
        tensors["random"] = torch.get_rng_state()  # restarts of dead codes draw from it
        contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        about = {"step": str(self.step), "config": json.dumps(training_settings(self.config))}
        checkpoint.write_atomically(folder / STATE_FILE, safetensors.torch.save(contiguous, about))

    def resume_(self, folder: Path) -> None:
        """Go on where `save` stopped; raises BadInput if there is no such state or it is of another run."""
        path = folder / STATE_FILE
        if not path.is_file():
            raise BadInput(f"{path} is not there, so there is nothing to resume; leave --resume out.")
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name).to(self.device) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            raise BadInput(
                f"{path} is cut off or damaged, so there is nothing to resume; leave --resume out."
            ) from None
        if _config_of(about) != self.config:
            raise BadInput(f"{path} comes from a run with other settings; use the same --config, or another --out.")
        self.step = int(about["step"])
        self.model.load_state_dict(_below("model.", tensors))
        self.average.load_state_dict(_below("average.", tensors))
        self.learner.load_state_dict(_below("learner.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below("optimizer.", tensors).items():
            number, moment = name.split(".")
            state.setdefault(int(number), {})[moment] = tensor.cpu() if moment == "step" else tensor
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        if "random" in tensors:  # a state of before it was kept has none
            torch.set_rng_state(tensors["random"].cpu())


def _config_of(about: dict[str, str]) -> TrainingConfig | None:
    """What a stored state was trained with; a setting that is newer than the state has its default."""
    settings = json.loads(about.get("config", "null"))
    try:
        return TrainingConfig.from_dict(settings) if isinstance(settings, dict) else None
    except BadInput:
        return None


def training_settings(config: TrainingConfig) -> dict[str, Any]:
    """The settings as plain JSON values."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    return plain | {"model": config.model.to_dict()}


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a JSON file; of a checkpoint's config.json, those that it was trained with."""
    try:
        settings = json.loads(path.read_bytes())
    except OSError:
        raise BadInput(f"{path} is missing or unreadable; check the path.") from None
    except (ValueError, RecursionError):
        raise BadInput(f"{path} is not valid JSON; restore it.") from None
    if isinstance(settings, dict) and isinstance(settings.get("training"), dict):
        settings = {name: value for name, value in settings["training"].items() if name != "step"}
    if not isinstance(settings, dict):
        raise BadInput(f"{path} has to hold a JSON object of settings.")
    return settings


def train(
    photos: list[Image.Image],
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool,
    save_minutes: float,
    start_from: VQVAE | None = None,
) -> None:
    """Train to the last step, saving into `out` every few minutes, at the end, and when stopped with Ctrl-C.

    A new run starts from random weights, or from those of `start_from`, to tune a model further.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(config, device)
    crops = Crops(photos, config)
    if resume:
        trainer.resume_(out)
    elif start_from is not None:
        trainer.start_from_(start_from, (crops.batch(-number - 1 + (1 << 40)) for number in range(32)))
    elif config.kmeans_start:
        trainer.start_codebook_(codebook_batches(crops))
    saved_at = time.monotonic()
    running: dict[str, float] = {}
    quiet = not sys.stderr.isatty()  # a log file gets a line now and then, not a redrawn bar
    bar = tqdm(total=config.steps, initial=trainer.step, unit="step", mininterval=30 if quiet else 0.2, ascii=quiet)
    try:
        for images in prefetch(crops, trainer.step, config.steps):
            for name, value in trainer.train_step_(images).items():
                running[name] = value if name not in running else running[name] + 0.02 * (value - running[name])
            bar.set_postfix({name: f"{value:.4g}" for name, value in running.items()}, refresh=False)
            bar.update()
            if time.monotonic() - saved_at > 60 * save_minutes:
                trainer.save(out)
                saved_at = time.monotonic()
    except KeyboardInterrupt:
        print(f"\nStopped at step {trainer.step}; go on with --resume.", file=sys.stderr)
    finally:
        bar.close()
        trainer.save(out)


def read_photos(source: Path, *, under: str) -> list[Image.Image]:
    """Every readable photo of a set, decoded into memory; what cannot be read is listed on standard error."""
    photos = []
    for name, data in tqdm(read_files(source, under=under), desc="reading", unit="photo", mininterval=2):
        try:
            photos.append(load_image(data, name))
        except BadInput as refusal:
            print(f"skipped: {refusal}", file=sys.stderr)
    if not photos:
        raise BadInput(f"No image in {source} could be read; name a set that holds some.")
    return photos


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vqvae.train", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder, tar or zip of images")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder, for example checkpoints/mine")
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example train")
    parser.add_argument(
        "--config", type=Path, help="a JSON file of settings (see TrainingConfig), or a checkpoint's config.json"
    )
    parser.add_argument("--steps", type=int, help="how long to train; overrides the config")
    parser.add_argument("--start-from", type=Path, help="a checkpoint's folder, to tune its model further")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--save-minutes", type=float, default=3, help="time between two saves (default: 3)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    try:
        settings = read_settings(options.config) if options.config else {}
        if options.steps is not None:
            settings["steps"] = options.steps
        config = TrainingConfig.from_dict(settings)
        photos = read_photos(options.data, under=options.under)
        trained = checkpoint.load(options.start_from) if options.start_from else None
        if trained is not None and not isinstance(trained, VQVAE):
            raise BadInput(f"{options.start_from} is no model of this family; start from another.")
        train(
            photos,
            config,
            options.out,
            resume=options.resume,
            save_minutes=options.save_minutes,
            start_from=trained,
        )
    except (BadInput, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    for stop in (signal.SIGINT, signal.SIGTERM):  # a job in the background has Ctrl-C switched off, and others say TERM
        signal.signal(stop, signal.default_int_handler)
    sys.exit(main())
