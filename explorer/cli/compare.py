"""python -m explorer compare A B [C D] --set PATH: two to four models on the same images, as a table and a report."""

import argparse
import sys
import time
from dataclasses import replace
from typing import Any

from explorer.base.job import Cancelled
from explorer.base.open_model import OpenModel, open_plugin
from explorer.base.tables import encodable
from explorer.cli.shared import (
    KEPT,
    CommandParser,
    Pace,
    Stopped,
    blend_within,
    find_set,
    images_at_most,
    open_checkpoint,
    stoppable,
    whole_number,
    working_size,
    written,
)
from explorer.compare import rate, report, whole
from explorer.compare.records import Settings
from explorer.compare.report import Report
from explorer.images.sets import DATA
from vqvae.errors import BadInput, shown
from vqvae.places import check_file
from vqvae.plugin import Request
from vqvae.remote import located

HERE = "-"  # standard output, in place of a file
KEPT_BUT_RELIANCE = (
    "Stopped; what was done is kept, but for the test of reliance, which starts again. Go on with the same command."
)


def run(options: argparse.Namespace) -> int:
    """Compare two to four models on the same images: how good their pictures are for the bits that they cost, and how
    sure the differences are.

    Stop it with Ctrl-C: what was measured is kept, and the same command goes on from there.
    """
    _check_words(options.passed_on)
    named = [*options.models, *options.passed_on]
    whole.check_number(len(named) + len(options.tokenizer))
    _check_files(options.output)
    images = find_set(options.data, options.under)
    models = _opened(named, options.tokenizer, options.device)
    settings = Settings(working_size=options.size, weight=options.blend, most=options.images, seed=options.seed)
    source = whole.Source(images, options.data, options.under)
    pace = _Stages(unit="step")
    with stoppable(pace), pace.bar:
        try:
            found = whole.compare(models, source, settings, with_reliance=options.reliance, progress=pace)
        except Cancelled:
            raise Stopped(pace.stopped_by, KEPT_BUT_RELIANCE if options.reliance else KEPT) from None
    _write(found, options)
    return 0


def _check_words(rest: list[str]) -> None:
    """Raise BadInput for an option that there is not: what stands after the options is more models."""
    for word in rest:
        if word.startswith("-"):
            raise BadInput(f"compare has no option {shown(word)}; --help lists those it has.")


def _check_files(paths: list[str]) -> None:
    """Raise BadInput where a report could not be written, before the work and not after it."""
    if paths.count(HERE) > 1:
        raise BadInput("Only one report can go to standard output; name a file for the other.")
    for path in paths:
        if path != HERE:
            report.form_of(path)
            check_file(located(path))


def _opened(named: list[str], plugged: list[str], device: str | None) -> list[OpenModel]:
    """The models in their order, checkpoints before code of one's own; raises BadInput.

    Those whose folders have the same name are called by all that was typed.
    """
    models = [replace(open_checkpoint(name, device), argument=f"--checkpoint {name}") for name in named]
    names = [model.name for model in models]
    models = [
        replace(model, name=typed) if names.count(model.name) > 1 else model
        for model, typed in zip(models, named, strict=True)
    ]
    models += [open_plugin(Request(name, device)) for name in plugged]
    whole.check(models)
    return models


class _Stages(Pace):
    """The progress of work of several stages, each counted by itself."""

    _stage = ""

    def __call__(self, done: int, total: int, stage: str = "") -> None:
        if stage != self._stage:
            self._stage, self._begun, self._started = stage, False, time.monotonic()
            self.bar.reset(total=total)
            self.bar.set_description_str(stage)
        super().__call__(done, total, stage)


def _write(found: Report, options: argparse.Namespace) -> None:
    """What was skipped, the table and the files; what goes to standard output goes there alone."""
    for name, reason in found.comparison.unreadable:
        print(encodable(f"skipped: {name}: {reason}"), file=sys.stderr)
    for row in found.comparison.rows:
        for model, seen in zip(found.comparison.models, row.seen, strict=True):
            if isinstance(seen, str):
                print(encodable(f"skipped: {row.name}, by {model.name}: {seen}"), file=sys.stderr)
    for remark in filter(None, [found.comparison.remark, rate.remark()]):
        print(encodable(remark), file=sys.stderr)
    where = sys.stderr if HERE in options.output else sys.stdout
    print(encodable(report.table(found)), file=where)
    for path in options.output:
        text = report.FORMS[options.form if path == HERE else report.form_of(path)](found)
        if path == HERE:
            sys.stdout.write(text)
        else:
            written(located(path), text.encode(), said_to=where)


def add_to(commands: Any) -> None:
    parser: CommandParser = commands.add_parser(
        "compare", help="hold two to four models against one another on images", description=run.__doc__
    )
    parser.set_defaults(run=run, takes_more=True)  # more models may stand behind the options
    parser.add_argument("models", nargs="*", metavar="model", help="a name in checkpoints/, or a checkpoint's folder")
    parser.add_argument(
        "--tokenizer",
        action="append",
        default=[],
        metavar="FILE.py:FUNCTION",
        help="one more model: run a file of your own; may be given several times",
    )
    parser.add_argument("--device", help="where to compute, for example cuda (default: the CPU)")
    parser.add_argument(
        "--set",
        dest="data",
        metavar="PATH",
        required=True,
        help=DATA,
    )
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=working_size, default=256, help="pixels on the long side (default: 256)")
    parser.add_argument(
        "--images",
        "--limit",
        type=images_at_most,
        default=Settings.most,
        help=f"measure at most so many of the images, spread evenly over the set (default: {Settings.most})",
    )
    parser.add_argument(
        "--blend",
        type=blend_within(0, 1),
        default=Settings.weight,
        help="of decoders with two inputs: 0 is the codes alone, 1 the whole embedding beside them (default: 0)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 10**9), default=Settings.seed, help="of all that is drawn at random (default: 0)"
    )
    parser.add_argument(
        "--reliance",
        action="store_true",
        help="also find out which input each decoder follows, which takes longer and starts again where it was stopped",
    )
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="write a report: .html to read, .json and .csv with every measurement; may be given several times; "
        "- prints it and nothing else",
    )
    parser.add_argument(
        "--form", choices=tuple(report.FORMS), default="json", help="of what -o - prints (default: json)"
    )
