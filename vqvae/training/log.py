"""The log of a run, beside its checkpoint: log.jsonl, log.csv, samples/*.png, and TensorBoard's own where it is there.

A line of log.jsonl is a row of figures, with its step, or an event: "start" says what is trained and how, "end" how it
ended. log.csv has the rows alone. Both only grow, so they can be read while the run goes on; a run that is resumed cuts
off what lies beyond the step that it goes on from.
"""

import csv
import io
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from vqvae import checkpoint
from vqvae.errors import BadInput, shown
from vqvae.images import to_png
from vqvae.training.validation import Validation

JSONL, CSV, SAMPLES, BOARD = "log.jsonl", "log.csv", "samples", "tensorboard"
OF_TRAINING = ("seconds", "learning_rate", "loss", "psnr_off", "psnr_on", "perplexity", "used")
OF_VALIDATION = ("val_psnr_off", "val_psnr_on", "val_ssim_off", "val_ssim_on", "val_perplexity", "val_used")
COLUMNS = ("step", *OF_TRAINING, *OF_VALIDATION)
MOST_BYTES = 64 << 20  # of a log that is read
How = Literal["finished", "stopped", "exploded"]


def validation_row(measured: Validation) -> dict[str, float]:
    return {f"val_{name}": value for name, value in asdict(measured).items()}


class LogWriter:
    """Writes the log of one run; raises OSError where it cannot."""

    def __init__(self, folder: Path, *, step: int) -> None:
        """Go on at a step: rows and samples beyond it, of a run that was broken off later, are removed."""
        self.folder = folder
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        lines = _kept_lines(folder / JSONL, step)
        rows = [line for line in lines if "step" in line and "event" not in line]
        self.seconds = float(rows[-1].get("seconds") or 0) if rows else 0.0  # of training, all stretches together
        checkpoint.write_atomically(folder / JSONL, "".join(map(_json, lines)).encode())
        heading = {name: name for name in COLUMNS}
        checkpoint.write_atomically(folder / CSV, "".join(map(_csv, [heading, *rows])).encode())
        for number, path in _sheets(folder):
            if number > step:
                path.unlink(missing_ok=True)
        self._board = _tensorboard(folder / BOARD, step)

    @classmethod
    def anew(cls, folder: Path) -> Self:
        """The log of a run that begins; what a run before it left is removed."""
        for path in (folder / JSONL, folder / CSV, *(folder / BOARD).glob("events.out.tfevents.*")):
            path.unlink(missing_ok=True)
        return cls(folder, step=-1)

    def start(self, about: Mapping[str, Any]) -> None:
        """Say what is trained, on what, and from which step on."""
        self._add({"event": "start", **about})

    def end(self, how: How, step: int, message: str = "") -> None:
        self._add({"event": "end", "how": how, "step": step, "message": message})
        if self._board:
            self._board.close()

    def row(self, figures: Mapping[str, float]) -> None:
        """Figures of a step, by the names in COLUMNS; those that are not numbers are left out."""
        known = {name: figures[name] for name in COLUMNS if math.isfinite(figures.get(name, math.nan))}
        self._add(known)
        with (self.folder / CSV).open("a", encoding="utf-8", newline="") as file:
            file.write(_csv(known))
        if self._board:
            for name, value in known.items():
                if name != "step":
                    self._board.add_scalar(name.replace("val_", "val/"), value, int(known["step"]))

    def sheet(self, step: int, pixels: np.ndarray) -> None:
        """Keep samples, uint8 [H, W, 3]."""
        checkpoint.write_atomically(self.folder / SAMPLES / f"{step:08}.png", to_png(pixels))
        if self._board:
            self._board.add_image("samples", pixels, step, dataformats="HWC")

    def _add(self, line: Mapping[str, Any]) -> None:
        with (self.folder / JSONL).open("a", encoding="utf-8", newline="") as file:
            file.write(_json(line))


def _json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, allow_nan=False) + "\n"


def _csv(row: Mapping[str, Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([row.get(name, "") for name in COLUMNS])
    return text.getvalue()


def _tensorboard(folder: Path, step: int) -> Any:
    """TensorBoard's writer, where that is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=max(0, step) + 1)


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Log:
    """A run's log, as far as it has come."""

    folder: Path
    rows: tuple[Mapping[str, float], ...]  # figures by the names in COLUMNS; each has its step, and they rise
    start: Mapping[str, Any]  # the last start event, empty where there is none; written by whoever wrote the file
    ending: Mapping[str, Any] | None  # how it ended; None while it goes on
    sheets: tuple[tuple[int, Path], ...]  # samples by their step, oldest first
    changed: float  # when a line was last written, seconds since 1970

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps that have a figure of that name, int64 [n], and the figures, float64 [n]."""
        known = [(row["step"], row[name]) for row in self.rows if name in row]
        table = np.array(known, np.float64).reshape(-1, 2)
        return table[:, 0].astype(np.int64), table[:, 1]

    def last(self, name: str) -> float | None:
        """The newest figure of that name."""
        return next((row[name] for row in reversed(self.rows) if name in row), None)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What it is trained with, as the JSON of --config; empty where the log does not say."""
        said = self.start.get("settings")
        return said if isinstance(said, dict) else {}

    @property
    def step(self) -> int:
        """Steps that were done when the last row was written."""
        return int(self.rows[-1]["step"]) if self.rows else 0

    @property
    def steps(self) -> int:
        """Steps that are planned."""
        planned = self.settings.get("steps")
        return max(self.step, planned, 1) if type(planned) is int and planned < 10**10 else max(self.step, 1)


def read_log(folder: Path) -> Log:
    """Read the log in a folder; raises BadInput where there is none. A line that makes no sense is passed over."""
    path = folder / JSONL
    try:
        stat = path.stat()
        lines = _lines(path) if stat.st_size <= MOST_BYTES else None
    except (OSError, ValueError):  # a ValueError: a path that no file system takes
        raise BadInput(
            f"There is no log of a training in {shown(str(folder), longest=120)}; name the folder given to --out."
        ) from None
    if lines is None:
        raise BadInput(f"The log in {shown(str(folder), longest=120)} is over {MOST_BYTES >> 20} MiB; shorten it.")
    rows: list[Mapping[str, float]] = []
    start: Mapping[str, Any] = {}
    ending: Mapping[str, Any] | None = None
    for line in lines:
        if line.get("event") == "start":
            start, ending = line, None
        elif line.get("event") == "end":
            ending = line
        elif (row := _row(line)) and (not rows or row["step"] > rows[-1]["step"]):
            rows.append(row)
    return Log(folder, tuple(rows), start, ending, tuple(_sheets(folder)), stat.st_mtime)


def _row(line: Mapping[str, Any]) -> dict[str, float]:
    """The figures in a line; empty where it holds no step."""
    known = {
        name: line[name]
        for name in COLUMNS
        if isinstance(line.get(name), int | float) and not isinstance(line[name], bool) and abs(line[name]) < 1e15
    }
    step = known.get("step")
    return known if isinstance(step, int) and step >= 0 else {}


def _lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines; one that is cut off or nonsense is passed over."""
    found = []
    for text in path.read_bytes().split(b"\n"):
        with suppress(ValueError, RecursionError):
            line = json.loads(text)
            if isinstance(line, dict):
                found.append(line)
    return found


def _kept_lines(path: Path, step: int) -> list[dict[str, Any]]:
    """The lines of a log up to a step."""
    kept = []
    for line in _lines(path) if path.is_file() else []:
        if "event" not in line and not (row := _row(line)):
            continue
        if "event" not in line and row["step"] > step:
            break
        kept.append(line)
    return kept


def _sheets(folder: Path) -> list[tuple[int, Path]]:
    paths = (folder / SAMPLES).glob("*.png")
    return sorted((int(path.stem), path) for path in paths if path.stem.isdecimal() and len(path.stem) < 12)
