"""A whole run: from its start, or where it was left, to the last step, with its saves, its log and its samples."""

import math
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from vqvae import checkpoint, snapshots
from vqvae.errors import BadInput, Unreachable
from vqvae.model import VQVAE
from vqvae.places import reason_of
from vqvae.training.crops import Crops, PhotoList, codebook_batches, prefetch
from vqvae.training.distributed import ALONE, Drifted, Ended, Ranks
from vqvae.training.log import How, LogWriter, validation_row
from vqvae.training.settings import TrainingConfig, training_settings
from vqvae.training.trainer import Trainer, learning_rate
from vqvae.training.validation import sheet, validate
from vqvae.words import amount, counted

EARLY = 10  # steps; the least loss among them is what later ones are measured against
EXPLODED = 10  # times that, and over 1: worse than any picture at all in [0, 1]


class Exploded(Exception):
    """The loss went out of all bounds, or processes drifted apart; the message says what is left of the run."""


@dataclass(frozen=True)
class Plan:
    """How a run is done, beside what shapes it."""

    out: Path  # the checkpoint's folder
    device: torch.device
    resume: bool = False
    data: str = ""  # names the set of images
    start_from: VQVAE | None = None  # in place of random weights
    save_minutes: float = 3
    keep_every: int = 0  # steps between two snapshots; 0: none are kept
    log_every: int = 20  # steps between two rows of the log
    look_every: int = 500  # steps between two validations, and two sheets of samples
    held_out: tuple[np.ndarray, ...] = ()  # uint8 [H, W, 3] each: what it is measured on
    samples: np.ndarray | None = None  # uint8 [N, S, S, 3]: what the sheets show
    workers: int = 1  # threads that make batches
    about: Mapping[str, Any] = field(default_factory=dict)  # more for the log's start event
    stopping: Callable[[], bool] = lambda: False  # asked after each step
    ranks: Ranks = ALONE  # the processes that train together


def train(photos: PhotoList, config: TrainingConfig, plan: Plan) -> None:
    """Train to the last step, saving every few minutes, at the end, and when stopped.

    Raises Exploded where the loss does: what was saved before stays. Raises BadInput for a state that cannot be resumed
    or a model of another shape to start from, before anything is written. Of several processes all call it, and the
    first writes; raises Ended where another one cannot go on, and Unreachable where the place of the photos does not
    answer any more: what was learned by then is saved.
    """
    ranks = plan.ranks
    trainer = Trainer(config, plan.device, data=plan.data, keep_every=plan.keep_every, ranks=ranks)
    crops = Crops(photos, config, share=ranks.share(config.batch))
    if plan.resume:
        trainer.resume_(plan.out)
    elif plan.start_from is not None:
        whole = Crops(photos, config)
        trainer.start_from_(plan.start_from, (whole.batch(-number - 1 + (1 << 40)) for number in range(32)))
    elif config.kmeans_start:
        trainer.start_codebook_(codebook_batches(crops))
    ranks.agree()
    log = _begun_log(trainer, plan) if ranks.rank == 0 else None
    trainer.join_()
    if ranks.size > 1 and plan.stopping():
        raise KeyboardInterrupt
    _Run(trainer, crops, plan, log).go()


def _begun_log(trainer: Trainer, plan: Plan) -> LogWriter:
    """The log of a run that begins or goes on at the trainer's step, without what lay beyond it."""
    snapshots.forget_beyond(plan.out, trainer.step if plan.resume else -1)
    log = LogWriter(plan.out, step=trainer.step) if plan.resume else LogWriter.anew(plan.out)
    log.start(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "step": trainer.step,
            "settings": training_settings(trainer.config),
            "device": str(plan.device),
            "precision": "bf16" if trainer.in_bf16 else "float32",
            **plan.about,
        }
    )
    return log


class _Run:
    """The loop, and what it remembers between two steps. Of several processes the first alone writes and speaks."""

    def __init__(self, trainer: Trainer, crops: Crops, plan: Plan, log: LogWriter | None) -> None:
        self.trainer, self.crops, self.plan = trainer, crops, plan
        self.log = log  # None where it cannot be written any more
        self.leads = plan.ranks.rank == 0
        self.saved_step = trainer.step if plan.resume else None
        self.saved_at = time.monotonic()
        self.recent: dict[str, list[float]] = {}  # what steps said since the last row
        self.watch = LossWatch()
        quiet = not sys.stderr.isatty()  # a log file gets a line now and then, not a redrawn bar
        self.bar = tqdm(
            total=crops.config.steps,
            initial=trainer.step,
            unit="step",
            mininterval=30 if quiet else 0.2,
            ascii=quiet,
            disable=not self.leads,
        )

    def go(self) -> None:
        """Do the steps, and save at their end or where they were stopped.

        Raises Exploded, and where there are no more images, here or for another process, Unreachable or Ended.
        """
        trainer = self.trainer
        how: How = "finished"
        lost: Unreachable | Ended | None = None
        try:
            try:
                self._steps()
            except KeyboardInterrupt:
                how = "stopped"
            except (Unreachable, Ended) as fault:  # between two steps, so what there is can be gone on with
                how, lost = "stopped", fault
            if self.leads and (lost is None or trainer.step):
                self._save()
        except (FloatingPointError, Drifted) as fault:
            left = self._left_by_drift() if isinstance(fault, Drifted) else self._left()
            message = f"{fault} {left}"
            self._tell(lambda log: log.end("exploded", trainer.step, message))
            raise Exploded(message) from None
        finally:
            self.bar.close()
        self._tell(lambda log: log.end(how, trainer.step))
        if how == "stopped" and self.leads and self.saved_step == trainer.step:
            print(f"\nStopped at step {trainer.step}; go on with --resume.", file=sys.stderr)
        if lost is not None:
            raise lost

    def _steps(self) -> None:
        """Raises KeyboardInterrupt where it is stopped, FloatingPointError where the loss explodes."""
        trainer, plan, steps = self.trainer, self.plan, self.crops.config.steps
        began_at = time.monotonic() - (self.log.seconds if self.log else 0)
        if trainer.step == 0 and self.leads:
            self._look({"step": 0})
        for images in prefetch(self.crops, trainer.step, steps, workers=plan.workers):
            self._heed(trainer.train_step_(images))
            if self.leads:
                self._keep({"step": trainer.step, "seconds": time.monotonic() - began_at})
            if plan.stopping() and trainer.step < steps:
                raise KeyboardInterrupt

    def _keep(self, row: dict[str, float]) -> None:
        """Log, measure and save what is due after a step; `row` begins the row of its figures."""
        trainer, plan = self.trainer, self.plan
        if trainer.step % plan.look_every == 0 or trainer.step == self.crops.config.steps:
            row |= self._means()
            self._look(row)
        elif trainer.step % plan.log_every == 0:
            row |= self._means()
            self._record(row)
        if plan.keep_every and trainer.step % plan.keep_every == 0:
            self._keep_snapshot(_means_of(self.recent) | row)
        if time.monotonic() - self.saved_at > 60 * plan.save_minutes:
            self._save_meanwhile()

    def _heed(self, told: dict[str, float]) -> None:
        """Remember what a step said, and show it; raises FloatingPointError where its loss is out of all bounds."""
        self.watch.heed(self.trainer.step, told["loss"])
        if not self.leads:
            return
        for name, value in told.items():
            self.recent.setdefault(name, []).append(value)
        shown = {name: f"{_mean(values[-50:]):.4g}" for name, values in self.recent.items()}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def _means(self) -> dict[str, float]:
        """The means of what steps said since the last row, and the learning rate of the last."""
        means = _means_of(self.recent)
        self.recent = {}
        return means | {"learning_rate": learning_rate(self.trainer.step - 1, self.crops.config)}

    def _look(self, row: dict[str, float]) -> None:
        """Measure, draw samples, and log both."""
        model = self.trainer.averaged
        if self.plan.held_out:
            row |= validation_row(validate(model, self.plan.held_out))
        if self.plan.samples is not None:
            drawn = sheet(model, self.plan.samples)
            self._tell(lambda log: log.sheet(self.trainer.step, drawn))
        if len(row) > 1:
            self._record(row)

    def _record(self, row: dict[str, float]) -> None:
        self._tell(lambda log: log.row(row))

    def _tell(self, write: Callable[[LogWriter], None]) -> None:
        """Write to the log, as long as that can be: a full disk is no reason to lose a run."""
        if self.log is None:
            return
        try:
            write(self.log)
        except OSError as fault:
            self.log = None
            self._say(f"The log cannot be written any more ({reason_of(fault)}); training goes on without it.")

    def _save_meanwhile(self) -> None:
        """Save, or say that it could not be: there is time to make room."""
        try:
            self._save()
        except OSError as fault:
            self.saved_at = time.monotonic()
            self._say(f"Step {self.trainer.step} could not be saved ({reason_of(fault)}); it is tried again later.")

    def _say(self, sentence: str) -> None:
        self.bar.clear()
        print(sentence, file=sys.stderr)

    def _keep_snapshot(self, figures: Mapping[str, float]) -> None:
        """Keep the model of this step beside the others, with its figures; a full disk is no reason to lose a run."""
        self._check_finite()
        trainer = self.trainer
        known = {name: round(value, 6) for name, value in figures.items() if name != "step" and math.isfinite(value)}
        about = {
            "summary": _summary(trainer.step, trainer.config.steps, known),
            "training": training_settings(trainer.config) | {"step": trainer.step},
            "figures": known,
        }
        try:
            snapshots.keep(self.plan.out, trainer.step, trainer.averaged, about)
        except OSError as fault:
            self._say(f"No snapshot of step {trainer.step} could be kept ({reason_of(fault)}); training goes on.")

    def _save(self) -> None:
        self._check_finite()
        self.trainer.save(self.plan.out)
        self.saved_step, self.saved_at = self.trainer.step, time.monotonic()

    def _check_finite(self) -> None:
        if not self.trainer.is_finite():
            raise FloatingPointError(f"The weights are no numbers any more at step {self.trainer.step}.")

    def _left(self) -> str:
        """What is left of a run that is given up, and what to do."""
        if self.saved_step is None:
            return "Nothing was saved; begin again with a lower --learning-rate."
        return (
            f"{self.plan.out} holds step {self.saved_step}, from before that; begin again from it with --start-from, "
            "another --out and a lower --learning-rate."
        )

    def _left_by_drift(self) -> str:
        """As `_left`, of a run whose processes are not at one any more."""
        if self.saved_step is None:
            return "Nothing was saved; begin again."
        return f"{self.plan.out} holds step {self.saved_step}; go on from it with --resume."


class LossWatch:
    """Tells a loss that explodes, though it is still a number, from one that is merely uneven."""

    def __init__(self) -> None:
        self._seen = 0
        self._least = math.inf
        self._smooth = math.nan

    def heed(self, step: int, loss: float) -> None:
        """Take in the loss of a step; raises FloatingPointError where its moving average is out of all bounds."""
        self._seen += 1
        if self._seen <= EARLY:
            self._least = min(self._least, loss)
        self._smooth = loss if self._seen == 1 else self._smooth + 0.1 * (loss - self._smooth)
        if self._smooth > max(1.0, EXPLODED * self._least):
            raise FloatingPointError(f"The loss has exploded: it is {loss:.3g} at step {step}.")


def _mean(values: list[float]) -> float:
    """The mean of those that are numbers; not a number where none is."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _means_of(told: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: _mean(values) for name, values in told.items()}


def _summary(step: int, steps: int, figures: Mapping[str, float]) -> str:
    """What a snapshot is, in a line: "Step 1,000 of 10,000: 24.1 dB from the codes alone, on validation photos"."""
    validated = "val_psnr_off" in figures
    where = "val_" if validated else ""
    ways = {"off": "from the codes alone", "on": "with the embedding"}
    said = [
        f"{figures[f'{where}psnr_{way}']:.1f} dB {how}" for way, how in ways.items() if f"{where}psnr_{way}" in figures
    ]
    of = "validation photos" if validated else "crops in training"
    return f"Step {step:,} of {steps:,}" + (f": {', '.join(said)}, on {of}" if said else "")


def parameters_of(config: TrainingConfig) -> int:
    """How many numbers the model has that the settings describe."""
    with torch.device("meta"):
        return sum(tensor.numel() for tensor in VQVAE(config.model).state_dict().values())


def check_size(config: TrainingConfig) -> None:
    """Raise BadInput for a model that is larger than what can be opened afterwards."""
    if (parameters := parameters_of(config)) > checkpoint.MOST_PARAMETERS:
        raise BadInput(
            f"The settings describe a model of {parameters:,} parameters; at most {checkpoint.MOST_PARAMETERS:,} can "
            "be opened again, so make it smaller."
        )


def check_room(config: TrainingConfig, out: Path, *, keep_every: int, begins: int) -> str:
    """What the snapshots of a run will take of the disk, in a sentence; empty where none are to come.

    begins: the step that it goes on from, or −1 where what an earlier run left goes. Raises BadInput where they
    clearly do not fit.
    """
    number = config.steps // keep_every - max(0, begins) // keep_every if keep_every else 0
    if not number:
        return ""
    each = 4 * parameters_of(config)
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    removed = sum(file.stat().st_size for old in snapshots.kept_beyond(out, begins) for file in old.rglob("*"))
    free = shutil.disk_usage(place).free + removed
    need = f"{counted(number, 'snapshot')}, one every {counted(keep_every, 'step')},"
    if number * each > free:
        raise BadInput(
            f"{need} would take {amount(number * each)} in {out}, where {amount(free)} are free; make --keep-every "
            "larger, or make room."
        )
    return f"{need} will take {amount(number * each)} in {out / snapshots.FOLDER}; {amount(free)} are free."
