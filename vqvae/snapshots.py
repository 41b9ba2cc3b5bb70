"""Snapshots: whole checkpoints that a training keeps on its way, each named by its step.

Ours lie in the folder `snapshots` of the run. Somebody else's are found, too: the folders below one folder whose names
are alike but for a number, such as step-1000, ckpt_2000 or epoch3.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from vqvae import checkpoint
from vqvae.errors import BadInput, shown
from vqvae.model import VQVAE
from vqvae.places import checkpoints_folders

FOLDER = "snapshots"
FEWEST = 2  # folders with a number that are a sequence, where they are not said to be one
_NUMBERED = re.compile(r"(.*?)([0-9]{1,12})", re.DOTALL)
_OURS = ""  # the kind of our names: a number and nothing else
_UNFINISHED = ".unfinished-"  # what a folder is called that is being written


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint of a run at a step; it need not be sound."""

    step: int
    folder: Path
    unit: str = "step"  # or "epoch", where that is what its name counts

    def name_in(self, run: str) -> str:
        """What `places.find_checkpoint` finds it by, of a run with that name or path."""
        return f"{run}@{self.step}"


# --- finding ----------------------------------------------------------------------------------------------------------


def snapshots_of(run: Path) -> tuple[Snapshot, ...]:
    """Those of a run, by their step: in its folder `snapshots`, or else the numbered folders below it."""
    return tuple(_numbered(run / FOLDER, first=_OURS)) or _somebody_elses(run)


def find(run: Path, step: int) -> Path:
    """The folder of a run's snapshot of a step; raises BadInput where there is none."""
    found = snapshots_of(run)
    if not found:
        raise BadInput(f"The run {shown(run.name)} has no snapshots; train with --keep-every to have some.")
    for snapshot in found:
        if snapshot.step == step:
            return snapshot.folder
    known = [f"{snapshot.step:,}" for snapshot in found]
    if len(known) > 6:
        known = [*known[:3], "…", *known[-2:]]
    raise BadInput(f"The run {shown(run.name)} has no snapshot of step {step:,}; it has {' · '.join(known)}.")


def name_of(folder: Path) -> str:
    """What to call a checkpoint by its folder: the folder's name, or RUN@STEP where it is a snapshot of a run.

    It is one in a folder `snapshots`. Elsewhere a number alone does not say so, as beside vqgan-8 and vqgan-16: only
    where the folder around it is itself one of the checkpoints, by whose name it is found again.
    """
    if _number_of(folder.name) is None:
        return folder.name
    place, roots = folder.absolute(), [root.resolve() for root in checkpoints_folders()]
    home = place.parent
    run = home.parent if home.name == FOLDER else home
    if home.resolve() in roots or not run.name or (run == home and home.parent.resolve() not in roots):
        return folder.name
    return next((one.name_in(run.name) for one in snapshots_of(run) if one.folder == place), folder.name)


def _somebody_elses(folder: Path) -> tuple[Snapshot, ...]:
    found = _numbered(folder)
    return tuple(found) if len(found) >= FEWEST else ()


def _numbered(folder: Path, *, first: str | None = None) -> list[Snapshot]:
    """The checkpoints directly below a folder whose names end with a number, by it.

    Where there are several kinds of names `first` is meant, or else the most frequent; and of two with one number the
    shorter name.
    """
    numbers = _numbers(folder)
    by_kind = {
        kind: list(group) for kind, group in groupby(sorted(numbers, key=lambda p: numbers[p]), lambda p: numbers[p][0])
    }
    most = by_kind[first] if first in by_kind else max(by_kind.values(), key=len, default=[])
    by_step: dict[int, Path] = {}
    for place in sorted(most, key=lambda place: (numbers[place][1], len(place.name), place.name)):
        by_step.setdefault(numbers[place][1], place)
    return [Snapshot(step, place, _unit(place.name)) for step, place in by_step.items()]


def _numbers(folder: Path) -> dict[Path, tuple[str, int]]:
    """The checkpoints directly below a folder whose names end with a number, with what `_number_of` says of them."""
    try:
        places = [place for place in folder.iterdir() if not place.name.startswith(".") and _looks_like_one(place)]
    except (OSError, ValueError):  # a ValueError: a path that no file system takes
        return {}
    return {place: number for place in places if (number := _number_of(place.name))}


def _looks_like_one(place: Path) -> bool:
    return any((place / name).is_file() for name in (checkpoint.CONFIG_FILE, *checkpoint.WEIGHTS_FILES))


def _number_of(name: str) -> tuple[str, int] | None:
    """What kind of name it is, and the number that it ends with: "epoch=3-step=900" -> ("epoch=#-step=", 900)."""
    parts = _NUMBERED.fullmatch(name)
    return (re.sub("[0-9]+", "#", parts[1]), int(parts[2])) if parts else None


def _unit(name: str) -> str:
    words = re.findall("[a-z]+", name.lower())
    return "epoch" if words and words[-1] in ("epoch", "epochs", "ep") else "step"


# --- keeping ----------------------------------------------------------------------------------------------------------


def keep(run: Path, step: int, model: VQVAE, about: Mapping[str, Any]) -> Path:
    """Write a snapshot, which appears whole or not at all; its folder. Raises OSError where it cannot be written."""
    home = run / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    folder = home / f"{step:07}"
    with tempfile.TemporaryDirectory(dir=home, prefix=_UNFINISHED) as unfinished:
        made = Path(unfinished) / folder.name
        checkpoint.save(made, model, dict(about))
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(made, folder)
    return folder


def kept_beyond(run: Path, step: int) -> list[Path]:
    """The snapshots that a run kept after a step, and what it was writing when it was broken off."""
    home = run / FOLDER
    ours = [place for place, (kind, number) in _numbers(home).items() if kind == _OURS and number > step]
    return sorted(ours) + sorted(home.glob(f"{_UNFINISHED}*"))


def forget_beyond(run: Path, step: int) -> None:
    """Remove what `kept_beyond` lists: a run goes on from that step. Raises OSError where it cannot."""
    for folder in kept_beyond(run, step):
        shutil.rmtree(folder)
