"""A run by its log: where it lies, how it stands, its figures and curves, and its samples."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from explorer.base.figure import Figure
from explorer.base.verdict import Verdict
from explorer.images.reconstruction import decibels
from explorer.training.curves import COLOURS, Chart, Line, thinned
from vqvae.errors import BadInput
from vqvae.images import load_image, to_tensor
from vqvae.metrics import psnr
from vqvae.training.log import JSONL, Log

State = Literal["running", "silent", "finished", "stopped", "exploded"]
TRAINING, VALIDATION = COLOURS
LEAST_PATIENCE = 120.0  # seconds without a word after which a run is taken to be broken off
MOST_FRAMES = 16  # sheets of samples that are shown
LOSS_OVER = 5  # rows
FEW_CODES = 0.25  # of the codebook; fewer in use is a collapse


def runs_in(roots: Sequence[Path]) -> list[Path]:
    """The folders directly below some folders that hold a log, the one that was written to last first.

    Of two with one name it is the one in the first of the roots, as with checkpoints.
    """
    logs: dict[str, Path] = {}
    for path in (path for root in roots if root.is_dir() for path in root.glob(f"*/{JSONL}") if path.is_file()):
        logs.setdefault(path.parent.name, path)
    return [path.parent for path in sorted(logs.values(), key=_changed, reverse=True)]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it went away just now
        return 0.0


# --- how it stands ----------------------------------------------------------------------------------------------------


def state_of(log: Log, *, now: float) -> State:
    """Whether a run goes on, has ended and how; `now` is in seconds since 1970.

    One that says nothing for far longer than it takes from row to row is silent: its process is gone, or it is stuck.
    """
    if log.ending is not None:
        how = log.ending.get("how")
        return how if how in ("finished", "stopped", "exploded") else "stopped"
    return "silent" if now - log.changed > _patience(log) else "running"


def _patience(log: Log) -> float:
    """Seconds; the longest that there was between two of the last rows, five times, or two minutes."""
    seconds = log.column("seconds")[1][-50:]
    return max(LEAST_PATIENCE, 5 * float(np.diff(seconds).max())) if len(seconds) > 1 else LEAST_PATIENCE


def verdict(log: Log, *, now: float) -> Verdict:
    """How a run stands, in a sentence."""
    state, done, planned = state_of(log, now=now), f"{log.step:,}", f"{log.steps:,}"
    if state == "running":
        left = seconds_left(log)
        soon = f", {about(left)} left" if left is not None and log.step else ""
        return Verdict("unsure", f"It runs: step {done} of {planned}{soon}.")
    if state == "silent":
        return Verdict(
            "poor",
            f"It was broken off at step {done} of {planned}, or is stuck: not a word for {about(now - log.changed)}; "
            "go on with --resume.",
        )
    if state == "exploded":
        said = str((log.ending or {}).get("message", ""))[:400]
        return Verdict("poor", said or f"The loss exploded at step {done}.")
    taken = log.last("seconds")
    if state == "stopped":
        after = f" after {about(taken)}" if taken else ""
        return Verdict("fair", f"It was stopped at step {done} of {planned}{after}; go on with --resume.")
    return Verdict("good", f"It is finished: {done} steps" + (f" in {about(taken)}." if taken else "."))


def codes_in_use(log: Log) -> Verdict | None:
    """What the run's usage says of its codebook; None before there is a figure."""
    codes, used = codes_of(log), log.last("used")
    if codes is None or used is None or log.step < 100:
        return None
    if used < FEW_CODES * codes:
        return Verdict(
            "poor",
            f"Only {used:,.0f} of {codes:,} codes {'was' if used == 1 else 'were'} used in the last steps: the "
            "codebook has collapsed; a k-means start, restarts of dead codes and a smaller --commitment help.",
        )
    return None


def bypass(log: Log) -> Verdict | None:
    """Whether the decoder comes to lean on the embedding while the codes alone get worse."""
    _, off = log.column("val_psnr_off")
    _, on = log.column("val_psnr_on")
    if len(off) < 4 or len(on) != len(off) or model_of(log).get("decoder_inputs") == "quantized":
        return None
    if off.max() - off[-1] > 1 and on[-1] > on[int(off.argmax())]:
        return Verdict(
            "fair",
            f"From the codes alone the validation photos are {off.max() - off[-1]:.1f} dB worse than they were, with "
            "the embedding better: the decoder learns to do without the codes.",
        )
    return None


def seconds_left(log: Log) -> float | None:
    """How long it still takes at the pace of the last rows."""
    steps, seconds = (values[-20:] for values in log.column("seconds"))
    if len(steps) < 2 or steps[-1] == steps[0]:
        return None
    return float((seconds[-1] - seconds[0]) / (steps[-1] - steps[0]) * max(0, log.steps - log.step))


def about(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{max(1, round(seconds)):.0f} seconds" if round(seconds) > 1 else "a second"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


# --- figures and curves -----------------------------------------------------------------------------------------------


def model_of(log: Log) -> dict[str, Any]:
    """The settings of the model; empty where the log does not say."""
    model = log.settings.get("model")
    return model if isinstance(model, dict) else {}


def codes_of(log: Log) -> int | None:
    """K, where the log says it."""
    codes = model_of(log).get("codes")
    return codes if type(codes) is int and 0 < codes < 10**9 else None


def figures(log: Log) -> list[Figure]:
    """Where a run stands: loss, quality with the embedding off and on, and how the codes are used."""
    _, losses = log.column("loss")
    codes = codes_of(log)
    of_all = f" of {codes:,}" if codes else ""
    validated = log.last("val_psnr_off") is not None
    where = "val_" if validated else ""
    photos = "the validation photos" if validated else "the crops of the last steps"
    half = "" if validated else " in any part"
    held_out, learned_from = (", validation", ", training") if validated else ("", "")
    return [
        Figure(
            "Steps", f"{log.step:,} of {log.steps:,}", "Batches that it has learned from, and how many are planned."
        ),
        Figure(
            "Loss",
            f"{losses[-LOSS_OVER:].mean():.4f}" if len(losses) else "–",
            "What a step makes smaller: the square error of the pixels, a little of the structural dissimilarity, and "
            f"the commitment loss times its weight. The mean of the last {LOSS_OVER} rows of the log.",
        ),
        Figure(
            f"Codes only{held_out}", _db(log.last(f"{where}psnr_off")), f"PSNR of {photos}, drawn from the codes alone."
        ),
        Figure(
            f"Embedding on{held_out}",
            _db(log.last(f"{where}psnr_on")),
            f"PSNR of {photos}, drawn with the embedding{half} too.",
        ),
        Figure(
            f"Perplexity{learned_from}",
            _number(log.last("perplexity"), 1),
            f"How many codes the cells of the last steps use, as if they used them equally: {codes or 'K'} at most.",
        ),
        Figure(
            f"Used codes{learned_from}",
            f"{_number(log.last('used'), 0)}{of_all}",
            "Codes that are not dead, counted by moving averages over the last steps of training.",
        ),
        Figure("Time", about(taken) if (taken := log.last("seconds")) else "–", "Spent in training, pauses left out."),
    ]


def _db(value: float | None) -> str:
    return "–" if value is None else f"{decibels(value)} dB"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def horizon(log: Log) -> int:
    """The step at which the axis ends: the last one; while the run is young a part of the way, which grows in leaps."""
    parts = (math.ceil(log.steps * share) for share in (0.05, 0.1, 0.2, 0.5))
    return next((step for step in parts if step >= log.step), log.steps)


def charts(log: Log) -> tuple[Chart, ...]:
    """Loss, quality, perplexity, used codes, and, where there are validation photos, SSIM; training and validation."""
    codes, last = codes_of(log), horizon(log)
    of_all = f"of {codes:,}" if codes else ""
    drawn = [
        Chart("Loss", "", _lines(log, [("", TRAINING, False, "loss")]), last, digits=4),
        Chart(
            "PSNR",
            "dB; embedding on: line, off: dots",
            _lines(
                log,
                [
                    ("training on", TRAINING, False, "psnr_on"),
                    ("off", TRAINING, True, "psnr_off"),
                    ("validation on", VALIDATION, False, "val_psnr_on"),
                    ("off", VALIDATION, True, "val_psnr_off"),
                ],
            ),
            last,
            digits=2,
        ),
        Chart("Perplexity", f"{of_all} at most".strip(), _both(log, "perplexity"), last, top=codes),
        Chart("Used codes", of_all, _both(log, "used"), last, top=codes, digits=0),
    ]
    if log.last("val_ssim_on") is not None:
        ssim = [
            ("validation on", VALIDATION, False, "val_ssim_on"),
            ("off", VALIDATION, True, "val_ssim_off"),
        ]
        drawn.append(Chart("SSIM", "embedding on: line, off: dots", _lines(log, ssim), last, digits=3))
    rate = [("", TRAINING, False, "learning_rate")]
    drawn.append(Chart("Learning rate", "", _lines(log, rate), last, digits=6))
    return tuple(drawn)


def _both(log: Log, name: str) -> tuple[Line, ...]:
    """A figure in training and over the validation photos."""
    return _lines(log, [("training", TRAINING, False, name), ("validation", VALIDATION, False, f"val_{name}")])


def _lines(log: Log, wanted: Iterable[tuple[str, str, bool, str]]) -> tuple[Line, ...]:
    """(name, colour, dotted, column) each -> lines, of columns that have figures."""
    lines = []
    for name, colour, dotted, column in wanted:
        steps, values = log.column(column)
        if len(steps):
            at, means = thinned(values, steps)
            lines.append(Line(name, colour, dotted, at.tolist(), means.tolist()))
    return tuple(lines)


# --- samples ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Samples:
    """The pictures of a sheet, drawn at one step; side by side."""

    step: int
    original: np.ndarray  # uint8 [S, N·S, 3]
    off: np.ndarray  # from the codes alone
    on: np.ndarray  # with the whole embedding
    psnr_off: float | None  # dB; None where it is infinite
    psnr_on: float | None


def chosen_sheets(sheets: tuple[tuple[int, Path], ...]) -> list[tuple[int, Path]]:
    """At most MOST_FRAMES of them, the first and the last among them, evenly over the run."""
    if len(sheets) <= MOST_FRAMES:
        return list(sheets)
    places = np.linspace(0, len(sheets) - 1, MOST_FRAMES).round().astype(int)
    return [sheets[place] for place in places]


def read_samples(step: int, path: Path) -> Samples | None:
    """A sheet of samples; None where it cannot be read, or is none."""
    try:
        pixels = np.asarray(load_image(path.read_bytes(), path.name))
    except (OSError, BadInput):
        return None
    height, width = pixels.shape[:2]
    side = height // 3
    if not side or height % 3 or width % side or height * width > 4_000_000:
        return None
    original, off, on = pixels.reshape(3, side, width, 3)
    return Samples(step, original, off, on, _quality(off, original), _quality(on, original))


def _quality(pixels: np.ndarray, original: np.ndarray) -> float | None:
    decibel = psnr(to_tensor(pixels), to_tensor(original)).item()
    return decibel if math.isfinite(decibel) else None


def alike(samples: Iterable[Samples | None]) -> list[Samples]:
    """Those that can be shown in one place: of the same size as the newest."""
    known = [one for one in samples if one is not None]
    return [one for one in known if one.original.shape == known[-1].original.shape]


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_table(log: Log) -> list[tuple[str, str]]:
    """What it is trained with, those of the model last; names as in --config, values as JSON has them."""
    plain = {name: value for name, value in log.settings.items() if name != "model"} | model_of(log)
    rows = [(str(name)[:40], _said(value)) for name, value in plain.items()]
    rows += [(name, _said(log.start[name])) for name in ("images", "validation_images", "device") if name in log.start]
    return rows[:60]


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(str, value))[:60]
    return f"{value:,}" if isinstance(value, int) and abs(value) < 10**12 else str(value)[:60]
