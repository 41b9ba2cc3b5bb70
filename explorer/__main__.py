"""The explorer's commands: python -m explorer index|usage|fed DATA --checkpoint NAME; reliance NAME DATA;
render RECIPE IMAGE
"""

import argparse
import json
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from explorer import manifold, patches, recipe, reliance, tables, training_usage
from explorer.folders import cache_folder, checkpoints_folder
from explorer.patches import Index
from explorer.pictures import open_picture
from explorer.sets import SAMPLES, ImageSet, open_set, sample_set
from explorer.training_usage import TrainingUsage, save_training_usage
from explorer.usage import summarise
from vqvae import checkpoint
from vqvae.errors import BadInput, shown
from vqvae.images import to_png


class Stopped(Exception):
    """A signal stopped the work."""

    def __init__(
        self, number: int, message: str = "Stopped; what was done is kept. Go on with the same command."
    ) -> None:
        super().__init__(message)
        self.number = number


def index_command(options: argparse.Namespace) -> int:
    """Encode a set of images, or go on where that was stopped, and keep the index of its codes.

    Stop it with Ctrl-C; the same command goes on.
    """
    index = _make_index(options, _find_checkpoint(options.checkpoint), options.out or cache_folder())
    if options.export:
        form, where = options.export
        for written in tables.export(index, form, Path(where)):
            print(f"written: {written}")
    return 0


def usage_command(options: argparse.Namespace) -> int:
    """Count how often each code is used over a set of images, and put the counts beside the model.

    Meant for the photos that the model was trained on: the Codebook page shows them as "in training". Stop it with
    Ctrl-C; the same command goes on.
    """
    folder = _find_checkpoint(options.checkpoint)
    index = _make_index(options, folder, cache_folder())
    save_training_usage(folder, TrainingUsage(index.counts, index.images), checkpoint=index.checkpoint)
    print(f"written: {folder / training_usage.FILE}")
    return 0


def fed_command(options: argparse.Namespace) -> int:
    """Measure what the decoder is fed over a set of images, at the blends of its training, and put it beside the model.

    Meant for the photos that the model was trained on: the off-manifold meter holds what is on the screen against it.
    Stop it with Ctrl-C; the same command starts anew.
    """
    folder = _find_checkpoint(options.checkpoint)
    images = _find_set(options.data, options.under)
    settings = checkpoint.read_config(folder)
    pace = _Pace(len(images.names))
    with _stoppable(pace), pace.bar:
        reference = manifold.look_at(
            checkpoint.load(folder),
            images,
            blends=manifold.training_blends(settings),
            inputs=2 if checkpoint.model_config(settings).decoder_inputs == "both" else 1,
            working_size=options.size,
            progress=pace.report,
        )
    if reference is None:
        raise Stopped(pace.stopped_by, "Stopped; nothing was written. The same command starts anew.")
    manifold.save(folder, reference, checkpoint=checkpoint.content_hash(folder))
    skipped = len(images.names) - reference.images
    print(f"{reference.images:,} images, {reference.cells:,} cells, {skipped:,} files skipped")
    print(f"written: {folder / manifold.FILE}")
    return 0


def reliance_command(options: argparse.Namespace) -> int:
    """Which input does the decoder use? Replace each in turn over a set of images, and say what that costs.

    Stop it with Ctrl-C: the figures are then of the images measured so far.
    """
    folder = _find_checkpoint(options.checkpoint)
    images = _find_set(options.data, options.under)
    config = checkpoint.model_config(checkpoint.read_config(folder))
    pace = _Pace(0)
    pace.bar.unit = "pass"

    def report(done: int, total: int) -> bool:
        pace.bar.total = total
        pace.bar.update(done - pace.bar.n)
        return not pace.stopped_by

    with _stoppable(pace), pace.bar:
        result = reliance.measure_set(
            checkpoint.load(folder),
            images,
            working_size=options.size,
            inputs=2 if config.decoder_inputs == "both" else 1,
            limit=options.limit,
            report=report,
        )
    if result is None:
        raise Stopped(pace.stopped_by, "Stopped before an image was measured; there is nothing to say.")
    for name, reason in result.unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    about = {"checkpoint": folder.name, "data": images.label, "working_size": options.size}
    text = json.dumps({**about, **reliance.plain_set(result)}, indent=2, allow_nan=False)
    to_stdout = options.json == "-"
    print(f"{folder.name} on {images.label}, long side {options.size} px", file=sys.stderr if to_stdout else sys.stdout)
    print(reliance.table_of_set(result), file=sys.stderr if to_stdout else sys.stdout)
    if to_stdout:
        print(text)
    elif options.json:
        Path(options.json).write_text(text + "\n")
        print(f"written: {options.json}")
    if not result.finished:
        done = f"{len(result.names):,} of {result.asked:,} images"
        raise Stopped(pace.stopped_by, f"Stopped after {done}; the figures are of those.")
    return 0


def render_command(options: argparse.Namespace) -> int:
    """Draw the picture that a recipe describes, to the very pixels that the Edit page showed."""
    with options.recipe.open("rb") as file:
        made = recipe.parse(file.read(recipe.MOST_BYTES + 1))
    if options.checkpoint:
        folder = _find_checkpoint(options.checkpoint)
    else:
        folder = recipe.find_checkpoint(made, checkpoints_folder())
    tokenizer = checkpoint.load(folder)
    recipe.check_checkpoint(made, checkpoint.content_hash(folder))
    images = [options.image, options.second] if options.second else [options.image]
    pictures = [open_picture(image.read_bytes(), image.name, working_size=made.working_size) for image in images]
    pixels = recipe.render(tokenizer, made, pictures)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write_atomically(options.out, to_png(pixels))
    print(f"written: {options.out}")
    return 0


def _make_index(options: argparse.Namespace, folder: Path, into: Path) -> Index:
    """The index of a set with the checkpoint in a folder, opened or built, and described; raises Stopped, BadInput."""
    images = _find_set(options.data, options.under)
    tokenizer = checkpoint.load(folder)
    fingerprint = checkpoint.content_hash(folder)
    path = patches.index_path(into, fingerprint, images.identity)
    try:
        index = patches.open_index(
            path,
            checkpoint=fingerprint,
            identity=images.identity,
            codes=len(tokenizer.codebook),
            working_size=options.size,
        )
        print("The index is there already.")
    except BadInput as reason:
        if path.exists():
            print(f"{reason}", file=sys.stderr)
        pace = _Pace(len(images.names))
        with _stoppable(pace), pace.bar:
            built = patches.build(
                tokenizer, images, checkpoint=fingerprint, working_size=options.size, path=path, progress=pace.report
            )
        if built is None:
            raise Stopped(pace.stopped_by) from None
        index = built
        print(f"{pace.images_per_second:.1f} images per second")
    _describe(index, path)
    return index


def _find_set(data: str, under: str) -> ImageSet:
    if data == SAMPLES and not Path(data).exists():
        return sample_set()
    return open_set(Path(data).expanduser(), under=under)


def _find_checkpoint(name: str) -> Path:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = checkpoints_folder() / name
    if not folder.is_dir():
        raise BadInput(f"There is no checkpoint {shown(name)} in {checkpoints_folder()}; name one, or its folder.")
    return folder


class _Pace:
    """How far the work is, how fast it goes, and whether it is to stop."""

    def __init__(self, total: int) -> None:
        quiet = not sys.stderr.isatty()  # a log file gets a line now and then, not a redrawn bar
        self.bar = tqdm(total=total, unit="image", mininterval=30 if quiet else 0.2, ascii=quiet)
        self.stopped_by = 0  # a signal's number
        self._started = time.monotonic()
        self._done = 0  # in this run
        self.images_per_second = 0.0

    def report(self, done: int, total: int) -> bool:
        if self._done == 0:
            self.bar.initial = self.bar.n = done - 1  # done by runs before this one
        self._done += 1
        self.bar.update()
        self.images_per_second = self._done / max(1e-9, time.monotonic() - self._started)
        return not self.stopped_by


@contextmanager
def _stoppable(pace: _Pace) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the work after the image at hand; the second one stops it at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        pace.stopped_by = number
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _describe(index: Index, path: Path) -> None:
    for name, reason in index.unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    usage = summarise(index.counts, images=index.images)
    print(f"{usage.images:,} images, {usage.cells:,} cells, {len(index.unreadable):,} files skipped")
    print(f"{usage.active:,} of {usage.codes:,} codes used, perplexity {usage.perplexity:,.0f}")
    print(f"index: {path} ({path.stat().st_size / 1e6:,.1f} MB)")


def _working_size(text: str) -> int:
    if not text.isdecimal() or not 16 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError("it has to be a whole number of pixels from 16 to 4096")
    return int(text)


def _limit(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("it has to be a whole number of images from 1")
    return int(text)


def _png_file(text: str) -> Path:
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError("it has to be a file that ends in .png")
    return Path(text)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(prog="python -m explorer")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    index = _add_command(commands, "index", index_command, "encode a set of images, for the Codebook page")
    index.add_argument("--out", type=Path, help="where to put the index (default: where the app looks for it)")
    index.add_argument(
        "--export", nargs=2, metavar=("csv|parquet", "FOLDER"), help="also write its tables into a folder"
    )
    _add_command(
        commands, "usage", usage_command, "count the codes of the training photos, and keep that with the model"
    )
    _add_command(
        commands, "fed", fed_command, "measure what the decoder was fed in training, for the off-manifold meter"
    )
    _add_reliance(commands)
    _add_render(commands)
    options = parser.parse_args(arguments)
    if options.run is index_command and options.export and options.export[0] not in ("csv", "parquet"):
        index.error(f"argument --export: {shown(options.export[0])} is neither csv nor parquet")
    return options


def _add_command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str) -> ArgumentParser:
    """A command that encodes a set of images: what to encode with what is said in the same way to each."""
    parser: ArgumentParser = commands.add_parser(name, help=summary, description=run.__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("data", help=f'a folder, tar or zip of images, or "{SAMPLES}" for the bundled ones')
    parser.add_argument("--checkpoint", required=True, help="a name in checkpoints/, or a checkpoint's folder")
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=_working_size, default=256, help="pixels on the long side (default: 256)")
    return parser


def _add_reliance(commands: Any) -> None:
    parser: ArgumentParser = commands.add_parser(
        "reliance", help="find out which input the decoder uses", description=reliance_command.__doc__
    )
    parser.set_defaults(run=reliance_command)
    parser.add_argument("checkpoint", help="a name in checkpoints/, or a checkpoint's folder")
    parser.add_argument("data", help=f'a folder, tar or zip of images, or "{SAMPLES}" for the bundled ones')
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=_working_size, default=256, help="pixels on the long side (default: 256)")
    parser.add_argument("--limit", type=_limit, help="measure only so many of the images, spread evenly over the set")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON; - prints them, and only them")


def _add_render(commands: Any) -> None:
    parser: ArgumentParser = commands.add_parser(
        "render", help="draw the picture that a recipe describes", description=render_command.__doc__
    )
    parser.set_defaults(run=render_command)
    parser.add_argument("recipe", type=Path, help="a recipe, saved on the Edit page")
    parser.add_argument("image", type=Path, help="the image that it was made with")
    parser.add_argument("second", type=Path, nargs="?", help="the second image, if the recipe mixes two")
    parser.add_argument("-o", "--out", type=_png_file, required=True, help="where to write the picture, as PNG")
    parser.add_argument("--checkpoint", help="a name in checkpoints/, or a folder (default: found by the recipe)")


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    try:
        return int(options.run(options))
    except (BadInput, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.number
    except KeyboardInterrupt:
        print("\nStopped; go on with the same command.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
