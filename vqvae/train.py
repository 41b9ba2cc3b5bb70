"""Train a VQ-VAE on a set of images: python -m vqvae.train DATA --out checkpoints/NAME

Every batch is a function of the seed and the step alone, so a run that was stopped and resumed is the same run. So is
one that several processes share: torchrun --nproc-per-node N -m vqvae.train DATA --out checkpoints/NAME
"""

import argparse
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from vqvae import checkpoint, snapshots
from vqvae.dataset import open_files
from vqvae.errors import BadInput, Unreachable, shown
from vqvae.formats import KINDS
from vqvae.model import VQVAE
from vqvae.places import check_folder, find_checkpoint, place_here, said_of
from vqvae.remote import located
from vqvae.training.crops import KEPT_BYTES, Crops, Photos, codebook_batches, prefetch
from vqvae.training.distributed import Drifted, Ending, Ranks, joined
from vqvae.training.run import Exploded, Plan, check_room, check_size, train
from vqvae.training.settings import (
    TrainingConfig,
    add_options,
    given,
    laid_over,
    read_settings,
    training_settings,
)
from vqvae.training.state import STATE_FILE, About, read_about
from vqvae.training.trainer import Trainer, draw_blend, learning_rate
from vqvae.training.validation import open_pictures, sheet_pictures

__all__ = [  # what programs that people saved import from here
    "Crops",
    "Trainer",
    "TrainingConfig",
    "codebook_batches",
    "draw_blend",
    "learning_rate",
    "prefetch",
    "read_settings",
    "training_settings",
]


STOPPED = 130  # as shells say it: 128 and the number of SIGINT


def main(arguments: list[str] | None = None, *, prog: str = "python -m vqvae.train") -> int:
    """Train; 0 when it is done, 130 when it was stopped, 1 when the loss exploded, 2 when it was refused."""
    with joined() as ranks:
        if ranks.size == 1:
            return ranks.settled(lambda: _work(arguments, prog, ranks, stoppable()))
        with stoppable("" if ranks.rank else "Stopping after this step.", at_once=False) as asked:
            stopping = ranks.stopping(asked)  # from now on: what one process is told, all do
            return ranks.settled(lambda: _work(arguments, prog, ranks, nullcontext(stopping)))


Stopping = AbstractContextManager[Callable[[], bool]]  # while a run can be stopped; whether it is to be


def _work(arguments: list[str] | None, prog: str, ranks: Ranks, while_stoppable: Stopping) -> Ending:
    """Train as the arguments say, in one of the processes, and tell how that ended."""
    with ranks.speaking():
        options = _parser(prog).parse_args(arguments)
    try:
        return Ending(STOPPED if _train(options, ranks, while_stoppable) else 0)
    except (Exploded, Drifted) as fault:
        return Ending(1, f"error: {fault}")
    except (BadInput, Unreachable, OSError) as fault:
        return Ending(2, f"error: {said_of(fault)}")
    except KeyboardInterrupt:
        return Ending(STOPPED, "\nStopped before the first step; nothing was saved.")
    except (MemoryError, RuntimeError) as fault:
        if not _out_of_memory(fault):
            raise
        words = "error: That does not fit into memory; make --batch, --crop or the model smaller."
        return Ending(2, words, abrupt=True)


def _train(options: argparse.Namespace, ranks: Ranks, while_stoppable: Stopping) -> bool:
    """Train as the options say; whether it was stopped before the last step."""
    leads = ranks.rank == 0
    before = read_about(options.out) if options.resume else None
    config = _config(options, before, ranks)
    check_size(config)
    device = ranks.device(options.device)
    if leads:
        _check_out(options.out, resume=options.resume, overwrite=options.overwrite)
    keep_every = options.keep_every if options.keep_every is not None else before.keep_every if before else 0
    begins = before.step if before else -1
    room = check_room(config, options.out, keep_every=keep_every, begins=begins) if leads else ""
    if before and config.steps < before.step:
        raise BadInput(f"The run is at step {before.step:,} already; ask for as many --steps or more.")
    files = open_files(options.data, under=options.under)
    if before:
        _check_same(files.listing, before, options)
    photos = Photos.of(files, config, kept_bytes=options.photo_memory << 20, tell=ranks.tell)
    trained = _trained(options.start_from) if options.start_from else None
    held_out = _held_out(options) if leads else ()
    ranks.agree()
    if not ranks.same(files.listing):
        raise BadInput(f"The processes see other images in {options.data}, by name and size; give all the same.")
    if before and leads:
        _tell_length(before, config)
    if room:
        print(room, file=sys.stderr)
    shown_files = open_files(options.val, under=options.val_under) if options.val and leads else files
    with while_stoppable as stopping:
        plan = Plan(
            out=options.out,
            device=device,
            resume=options.resume,
            data=files.listing,
            start_from=trained,
            save_minutes=options.save_minutes,
            keep_every=keep_every,
            log_every=options.log_every,
            look_every=options.val_every,
            held_out=held_out,
            samples=sheet_pictures(shown_files) if leads else None,
            workers=options.workers,
            about={
                "images": len(files.names),
                "validation_images": len(held_out),
                "samples": "validation" if options.val else "training",
                **({"processes": ranks.size} if ranks.size > 1 else {}),
            },
            stopping=stopping,
            ranks=ranks,
        )
        train(photos, config, plan)
        return stopping()


def _config(options: argparse.Namespace, before: About | None, ranks: Ranks) -> TrainingConfig:
    """The settings of a run, with the batch of all its processes: options and files say that of each.

    One that goes on keeps its batch, however many share it now, where it is left out or what it was when it began.
    """
    settings = read_settings(options.config) if options.config else training_settings(before.config) if before else {}
    asked = given(options)
    config = TrainingConfig.from_dict(laid_over(settings, asked))
    if before and (not (options.config or "batch" in asked) or config.batch * before.processes == before.config.batch):
        return replace(config, batch=before.config.batch)
    return TrainingConfig.from_dict(training_settings(config) | {"batch": config.batch * ranks.size})


def _check_out(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise BadInput where a checkpoint lies that nobody said to write over, or where nothing can be written."""
    check_folder(out)
    taken = [name for name in (checkpoint.CONFIG_FILE, *checkpoint.WEIGHTS_FILES, STATE_FILE) if (out / name).exists()]
    taken += [str(place.relative_to(out)) for place in snapshots.kept_beyond(out, -1)]
    if taken and not (resume or overwrite):
        raise BadInput(
            f"{out} holds a checkpoint already ({taken[0]}); go on with it by --resume, write over it by --overwrite, "
            "or choose another --out."
        )


def _tell_length(before: About, config: TrainingConfig) -> None:
    """Say what becomes of a run that is given another length, and of one that is at its end."""
    old, new, step = before.config.steps, config.steps, before.step
    if new == old == step:
        print(f"The run is at its last step, {step:,}; ask for more --steps to go on.", file=sys.stderr)
    if new == old:
        return
    was, now = learning_rate(step, before.config), learning_rate(step, config)
    print(
        f"The run has {new:,} steps now in place of {old:,}. Its learning rate follows the cosine of {new:,} steps "
        f"from here on, {now:.2g} where it was {was:.2g}, and comes to zero at the end; dead codes are restarted "
        f"until step {int(config.restart_until * new):,}.",
        file=sys.stderr,
    )


def _check_same(listing: str, before: About, options: argparse.Namespace) -> None:
    """Raise BadInput where a run is to go on with other images, and nobody said so."""
    if before.data and before.data != listing and not options.other_data:
        raise BadInput(
            f"{options.data} holds other images, by name and size, than the run in {options.out} learned from; "
            "name its own, or add --other-data."
        )


def _trained(name: str) -> VQVAE:
    """The model that a run starts from; raises BadInput."""
    model = checkpoint.load(find_checkpoint(name))
    if not isinstance(model, VQVAE):
        raise BadInput(f"{name} is no model of this family; start from another.")
    return model


def _held_out(options: argparse.Namespace) -> tuple[np.ndarray, ...]:
    """The photos that the run is measured on; those that cannot be are listed on standard error."""
    if not options.val:
        return ()
    skipped: list[str] = []
    files = open_files(options.val, under=options.val_under)
    pictures = open_pictures(files, short_side=options.val_short_side, most=options.val_images, skipped=skipped)
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    return tuple(pictures)


def _out_of_memory(fault: Exception) -> bool:
    words = str(fault).lower()
    return isinstance(fault, MemoryError | torch.OutOfMemoryError) or "allocate memory" in words


@contextmanager
def stoppable(
    sentence: str = "Stopping after this step; once more stops at once, and saves nothing.", *, at_once: bool = True
) -> Iterator[Callable[[], bool]]:
    """Whether a signal has asked to stop: Ctrl-C and SIGTERM do, after the step at hand.

    sentence: what is then said; nothing where it is empty. at_once: the second signal stops at once.
    """
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and at_once:
            raise SystemExit(128 + number)
        if sentence and not asked:
            print(f"\n{sentence}", file=sys.stderr)
        asked = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__.splitlines()[0],
        epilog="By several processes, which share every batch: torchrun --nproc-per-node N -m vqvae.train DATA … "
        "(pip install .[scale]). Each GPU takes one. N of them with --batch B are one with a batch of N·B, and a run "
        "goes on with any number.",
    )
    parser.add_argument("data", type=located, help=f"{KINDS}; images are decoded as they are needed")
    parser.add_argument(
        "--out", type=place_here, required=True, help="the checkpoint's folder, for example checkpoints/mine"
    )
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example train")
    parser.add_argument(
        "--config",
        type=place_here,
        help="a JSON file of settings, or the config.json that is written with each checkpoint",
    )
    parser.add_argument("--start-from", metavar="NAME", help="a checkpoint's name or folder, to tune its model further")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--resume", action="store_true", help="go on with the run in --out; --steps may be more")
    either.add_argument("--overwrite", action="store_true", help="begin anew where --out holds a checkpoint already")
    parser.add_argument("--other-data", action="store_true", help="with --resume: the images may be others than before")
    parser.add_argument(
        "--device",
        help="where to compute, for example cuda:1 (default: cuda where there is one); several processes: cuda or cpu",
    )
    parser.add_argument(
        "--save-minutes", type=_minutes, default=3, metavar="X", help="time between two saves (default: 3)"
    )
    parser.add_argument(
        "--keep-every",
        type=_count_or_none,
        metavar="N",
        help="steps between two snapshots, whole checkpoints in OUT/snapshots (default: 0, none; --resume: as before)",
    )
    parser.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="threads that decode and crop photos (default: 1)"
    )
    parser.add_argument(
        "--photo-memory",
        type=_count,
        default=KEPT_BYTES >> 20,
        metavar="MIB",
        help=f"for decoded photos that each process keeps (default: {KEPT_BYTES >> 20})",
    )
    looking = parser.add_argument_group("log and validation", "log.jsonl, log.csv and samples/ lie in --out")
    looking.add_argument(
        "--val", type=located, metavar="PATH", help="another set to measure it on, in any format of DATA"
    )
    looking.add_argument("--val-under", default="", metavar="FOLDER", help="of them, only those below this folder")
    looking.add_argument("--val-every", type=_count, default=500, metavar="N", help="steps between (default: 500)")
    looking.add_argument("--val-images", type=_count, default=32, metavar="N", help="at most so many (default: 32)")
    looking.add_argument(
        "--val-short-side", type=_count, default=256, metavar="N", help="pixels they are shrunk to (default: 256)"
    )
    looking.add_argument("--log-every", type=_count, default=20, metavar="N", help="steps between rows (default: 20)")
    add_options(parser)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no whole number from 1")
    return int(text)


def _count_or_none(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 <= minutes < 1e9:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no number of minutes")
    return minutes


if __name__ == "__main__":
    for stop in (signal.SIGINT, signal.SIGTERM):  # a job in the background has Ctrl-C switched off, and others say TERM
        signal.signal(stop, signal.default_int_handler)
    sys.exit(main())
