"""python -m explorer reliance NAME DATA: whom the decoder follows, and what it draws without each input."""

import argparse
import shlex
import sys
from collections.abc import Callable
from typing import Any

from explorer.base import beside
from explorer.base.tables import encodable
from explorer.cli.engines import add_engine, find_engine
from explorer.cli.shared import (
    CommandParser,
    Pace,
    Stopped,
    add_model,
    blend_within,
    find_model,
    find_set,
    images_at_most,
    stoppable,
    whole_number,
    working_size,
    written,
)
from explorer.images.sets import DATA
from explorer.inputs.reliance import report
from explorer.inputs.reliance.measure import MOST_PARTNERS, Settings
from explorer.inputs.reliance.report import Report
from explorer.inputs.reliance.subject import run_test
from vqvae.errors import BadInput
from vqvae.places import check_file
from vqvae.remote import located
from vqvae.words import counted


def run(options: argparse.Namespace) -> int:
    """Whom does the decoder follow, the codes or the embedding, and what does it draw without each?

    Stop it with Ctrl-C: the figures are then of the images measured so far, and marked as partial.
    """
    _check_files(options)
    engine = find_engine(options)
    model = find_model(options)
    images = find_set(options.data, options.under)
    settings = Settings(
        seed=options.seed,
        partners=options.partners,
        images=options.images,
        working_size=options.size,
        blend=options.blend,
    )
    if said := beside.damage(model.folder, beside.FED, model.argument):
        print(said, file=sys.stderr)
    named = ["--tokenizer", options.tokenizer] if options.tokenizer else [options.checkpoint]
    named += ["--device", options.device] if options.device else []
    pace = Pace(unit="pass", stopped="Stopped before an image was measured; there is nothing to say.")
    with stoppable(pace), pace.bar:
        found = run_test(
            model,
            images,
            settings,
            named=shlex.join(named),
            data=options.data,
            under=options.under,
            progress=pace,
            engine=engine,
        )
    evidence = found.evidence
    for name, reason in evidence.unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    for name, same in evidence.repeated:
        print(f"skipped: {name}: it has the pixels of {same}.", file=sys.stderr)
    _write(found, options)
    if not evidence.finished:
        done = f"{len(evidence.images):,} of {counted(evidence.asked, 'image')}"
        raise Stopped(pace.stopped_by, f"Stopped after {done}; the figures are of those.")
    return 0


def _check_files(options: argparse.Namespace) -> None:
    """Raise BadInput where a file could not be written, before the work and not after it."""
    if options.json == options.csv == "-":
        raise BadInput("Only one of --json and --csv can go to standard output; name a file for the other.")
    for path in (options.json, options.csv):
        if path and path != "-":
            check_file(located(path))


def _write(found: Report, options: argparse.Namespace) -> None:
    """The table, the methods and the files; what goes to standard output goes there alone."""
    where = sys.stderr if "-" in (options.json, options.csv) else sys.stdout
    heading = f"{found.provenance.model} on {found.provenance.data}, long side {options.size} px"
    print(encodable(f"{heading}\n{report.table(found)}\n\n{report.methods(found)}"), file=where)
    forms: dict[str, Callable[[Report], str]] = {"json": report.as_json, "csv": report.as_csv}
    for name, form in forms.items():
        path = getattr(options, name)
        if path == "-":
            sys.stdout.write(form(found))
        elif path:
            written(located(path), form(found).encode(), said_to=where)


def add_to(commands: Any) -> None:
    parser: CommandParser = commands.add_parser(
        "reliance", help="find out which input the decoder follows", description=run.__doc__
    )
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument("data", help=DATA)
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=working_size, default=256, help="pixels on the long side (default: 256)")
    parser.add_argument(
        "--images",
        "--limit",
        type=images_at_most,
        help="measure only so many of the images, spread evenly over the set",
    )
    parser.add_argument(
        "--partners",
        type=whole_number(1, MOST_PARTNERS),
        default=Settings.partners,
        help=f"other images, and random orders, for each image (default: {Settings.partners})",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 10**9), default=0, help="of all that is drawn at random (default: 0)"
    )
    parser.add_argument(
        "--blend",
        type=blend_within(-0.5, 1.5),
        default=1.0,
        help="at which it is said whom the decoder follows (default: 1)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write every measurement as JSON; - prints only that")
    parser.add_argument("--csv", metavar="FILE", help="also write every measurement as CSV; - prints only that")
    add_engine(parser)
