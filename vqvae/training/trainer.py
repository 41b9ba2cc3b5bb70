"""The state of a run, and one step of it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from vqvae import checkpoint
from vqvae.decoder import NarrowProjection
from vqvae.errors import BadInput
from vqvae.metrics import perplexity, psnr, ssim
from vqvae.model import VQVAE, VQVAEConfig, has_fast_bf16
from vqvae.quantizer import CodebookLearner
from vqvae.tokenizer import Encoding, TokenizerModule, cells, channels_last
from vqvae.training.distributed import ALONE, Ranks
from vqvae.training.settings import Precision, TrainingConfig, differing, training_settings
from vqvae.training.state import STATE_FILE, About, below, damaged, read_about, read_tensors, write_state

Tensors = tuple[Tensor, ...] | list[Tensor]
CHECK_EVERY = 20  # steps between two looks at whether several processes still hold the same model


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


def in_bf16(precision: Precision, device: torch.device) -> bool:
    """Whether the model's passes are under bf16 autocast; "auto" is that on CUDA and on a CPU that is fast at it."""
    if precision == "auto":
        return device.type == "cuda" or (device.type == "cpu" and has_fast_bf16())
    return precision == "bf16"


def _mean(values: Tensor) -> tuple[float, int]:
    """The mean of [N], NaN where N is 0, and N."""
    return values.mean().item() if len(values) else math.nan, len(values)


class Trainer:
    """The state of a run, and one step of it."""

    def __init__(
        self,
        config: TrainingConfig,
        device: torch.device,
        *,
        data: str = "",
        keep_every: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        """data: names the set of images; keep_every: steps between snapshots. Both are kept with the state.

        ranks: the processes that train together. Each does the same, with its share of the images, and after its start
        or its resumption calls `join_`.
        """
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.data = data
        self.keep_every = keep_every
        self.ranks = ranks
        self.processes = ranks.size  # when the run began
        self.model = channels_last(VQVAE(config.model).to(device))
        self.forward: Callable[[Tensor, Tensor], tuple[Tensor, Encoding]] = self.model
        self.average = AveragedModel(self.model, multi_avg_fn=moving_average(config.average_decay))
        self.learner = CodebookLearner(
            self.model.quantizer,
            decay=config.codebook_decay,
            dead_below=config.dead_below,
            total=ranks.total,
            sent=ranks.sent,
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), betas=(0.9, 0.99), weight_decay=config.weight_decay)
        self.in_bf16 = in_bf16(config.precision, device)
        self.step = 0

    @property
    def averaged(self) -> VQVAE:
        """The model that is kept: the moving average of the weights; before the first step there is none yet."""
        return self.model if self.step == 0 else cast(VQVAE, self.average.module)

    def start_codebook_(self, batches: list[Tensor]) -> None:
        """K-means on the embeddings of a few batches, before the first step."""
        with torch.no_grad():
            vectors = [cells(self.model.encoder(batch.to(self.device))) for batch in batches]
            self.ranks.agree()
            self.learner.start_(torch.cat(list(map(self.ranks.gathered, vectors))))

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

    def join_(self) -> None:
        """Begin to train together: from here on the model is that of all. Raises Drifted where it is not the same."""
        self.ranks.agree()
        self._check()
        self.forward = self.ranks.spread(self.model)

    def _check(self) -> None:
        self.ranks.check([*self.model.state_dict().values(), self.learner.counts, self.learner.sums])

    def train_step_(self, images: Tensor) -> dict[str, float]:
        """One step on [B, 3, H, W] in [0, 1]; returns loss, PSNR in dB with the embedding off and blended in, usage.

        Of several processes each gives its share of the batch, and gets the figures of the whole one.
        """
        config, images = self.config, images.to(self.device)
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        batch, places = self._share_of(images)
        weight = draw_blend(batch, config, generator)[places].to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, config)

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bf16):
            reconstruction, encoding = self.forward(images, weight)
        reconstruction = reconstruction.float()
        commitment = (encoding.embedding - encoding.quantized.detach()).square().mean()
        loss = (
            (reconstruction - images).square().mean()
            + config.ssim_weight * (1 - ssim(reconstruction, images).mean())
            + config.commitment * commitment
        )
        quality = psnr(reconstruction.detach().clamp(0, 1), images)
        off = weight.flatten() == 0
        told = self.ranks.means(
            {
                "loss": (loss.item(), len(images)),
                "psnr_off": _mean(quality[off]),
                "psnr_on": _mean(quality[~off]),
            }
        )
        if not math.isfinite(told["loss"]):
            raise FloatingPointError(f"The loss is {told['loss']} at step {self.step}; lower the learning rate.")
        self.optimizer.zero_grad()
        self.ranks.backward(loss, share=len(images), batch=batch)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        self.optimizer.step()

        vectors, indices = cells(encoding.embedding.detach()), encoding.grid.flatten()
        self.learner.update_(vectors, indices)
        if self.step % config.restart_every == 0 and self.step < config.restart_until * config.steps:
            self.learner.restart_dead_(self.ranks.gathered(vectors))
        self.average.update_parameters(self.model)
        self.step += 1
        if self.step % CHECK_EVERY == 0:
            self._check()
        return {
            **told,
            "perplexity": perplexity(self.learner.counts),
            "used": int((self.learner.counts > self.learner.dead_below * self.learner.counts.mean()).sum()),
        }

    def _share_of(self, images: Tensor) -> tuple[int, slice]:
        """How many images the whole batch has, and which places in it are these images'."""
        if self.ranks.size == 1:
            return len(images), slice(None)
        places = self.ranks.share(self.config.batch)
        return self.config.batch, slice(places.start, places.stop)

    def is_finite(self) -> bool:
        """Whether all weights are numbers: what may be saved."""
        return all(bool(tensor.isfinite().all()) for tensor in self.model.state_dict().values())

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
        write_state(folder, About(self.step, self.config, self.data, self.keep_every, self.processes), tensors)

    def resume_(self, folder: Path) -> None:
        """Go on where `save` stopped; raises BadInput if there is no such state or it is of another run.

        The number of steps may be another one: the learning rate then follows the cosine of that length from here on.
        """
        about = read_about(folder)
        if other := differing(replace(about.config, steps=self.config.steps), self.config):
            raise BadInput(
                f"{folder / STATE_FILE} comes from a run with other settings ({', '.join(other)}); leave them out, or "
                "choose another --out."
            )
        tensors = {name: tensor.to(self.device) for name, tensor in read_tensors(folder).items()}
        try:
            self._take_(tensors)
        except (RuntimeError, KeyError, ValueError):
            raise damaged(folder) from None
        self.step, self.processes = about.step, about.processes

    def _take_(self, tensors: dict[str, Tensor]) -> None:
        self.model.load_state_dict(below("model.", tensors))
        self.average.load_state_dict(below("average.", tensors))
        self.learner.load_state_dict(below("learner.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in below("optimizer.", tensors).items():
            number, moment = name.split(".")
            state.setdefault(int(number), {})[moment] = tensor.cpu() if moment == "step" else tensor
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        if "random" in tensors:  # a state of before it was kept has none
            torch.set_rng_state(tensors["random"].cpu())
