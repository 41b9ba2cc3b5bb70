"""python -m explorer reliance NAME DATA: which input the decoder uses."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from explorer.cli.shared import CommandParser, Pace, Stopped, add_model, find_model, find_set, stoppable, working_size
from explorer.images.sets import SAMPLES
from explorer.inputs import reliance


def run(options: argparse.Namespace) -> int:
    """Which input does the decoder use? Replace each in turn over a set of images, and say what that costs.

    Stop it with Ctrl-C: the figures are then of the images measured so far.
    """
    model = find_model(options)
    images = find_set(options.data, options.under)
    pace = Pace(unit="pass", stopped="Stopped before an image was measured; there is nothing to say.")
    with stoppable(pace), pace.bar:
        result = reliance.measure_set(
            model.tokenizer,
            images,
            working_size=options.size,
            inputs=model.inputs,
            limit=options.limit,
            progress=pace,
        )
    for name, reason in result.unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    about = {"checkpoint": model.name, "data": images.label, "working_size": options.size}
    text = json.dumps({**about, **reliance.plain_set(result)}, indent=2, allow_nan=False)
    to_stdout = options.json == "-"
    print(f"{model.name} on {images.label}, long side {options.size} px", file=sys.stderr if to_stdout else sys.stdout)
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


def _limit(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("it has to be a whole number of images from 1")
    return int(text)


def add_to(commands: Any) -> None:
    parser: CommandParser = commands.add_parser(
        "reliance", help="find out which input the decoder uses", description=run.__doc__
    )
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument("data", help=f'a folder, tar or zip of images, or "{SAMPLES}" for the bundled ones')
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=working_size, default=256, help="pixels on the long side (default: 256)")
    parser.add_argument("--limit", type=_limit, help="measure only so many of the images, spread evenly over the set")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON; - prints them, and only them")
