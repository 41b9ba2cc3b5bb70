"""What --resume needs of a run, beside its checkpoint: one file of tensors, and a few words about the run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.training.settings import TrainingConfig, training_settings

STATE_FILE = "training.safetensors"  # not part of the checkpoint


@dataclass(frozen=True)
class About:
    """What a state says of its run."""

    step: int  # steps that were done
    config: TrainingConfig
    data: str  # names the set of images that it learns from; empty in a state from before that was kept
    keep_every: int = 0  # steps between two snapshots; 0: none are kept
    processes: int = 1  # that shared a batch when the run began


def write_state(folder: Path, about: About, tensors: Mapping[str, Tensor]) -> None:
    """Keep the state of a run; the file appears whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    said = {
        "step": str(about.step),
        "config": json.dumps(training_settings(about.config)),
        "data": about.data,
        "keep_every": str(about.keep_every),
        "processes": str(about.processes),
    }
    checkpoint.write_atomically(folder / STATE_FILE, safetensors.torch.save(contiguous, said))


def read_about(folder: Path) -> About:
    """Which run a state is of, read without its tensors; raises BadInput where there is none, or a broken one."""
    path = folder / STATE_FILE
    if not path.is_file():
        raise BadInput(f"{path} is not there, so there is nothing to resume; leave --resume out.")
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
        settings = json.loads(said["config"])
        # A setting that is newer than the state has its default.
        config = TrainingConfig.from_dict(settings)
        numbers = (int(said.get(name, default)) for name, default in (("keep_every", 0), ("processes", 1)))
        return About(int(said["step"]), config, said.get("data", ""), *numbers)
    except BadInput as refusal:
        raise BadInput(f"{path} cannot be resumed here: {refusal}") from None
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        raise damaged(folder) from None


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a state, on the CPU; raises BadInput where it is damaged."""
    path = folder / STATE_FILE
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError):
        raise damaged(folder) from None


def damaged(folder: Path) -> BadInput:
    """The refusal of a state that cannot be read."""
    path = folder / STATE_FILE
    return BadInput(f"{path} is cut off or damaged, so there is nothing to resume; leave --resume out.")


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, named without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
