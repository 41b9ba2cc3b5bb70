"""python -m explorer index DATA --checkpoint NAME: the index of a set of images."""

import argparse
import sys
from pathlib import Path
from typing import Any

from explorer.base.folders import cache_folder
from explorer.base.open_model import OpenModel
from explorer.cli.shared import Pace, add_command, find_model, find_set, stoppable
from explorer.index import tables
from explorer.index.build import build
from explorer.index.format import index_path
from explorer.index.read import Index, open_index
from explorer.index.usage import summarise
from vqvae.errors import BadInput, shown
from vqvae.places import check_folder
from vqvae.words import counted


def run(options: argparse.Namespace) -> int:
    """Encode a set of images, or go on where that was stopped, and keep the index of its codes.

    Stop it with Ctrl-C; the same command goes on.
    """
    if options.export and options.export[0] not in ("csv", "parquet"):
        options.refuse(f"argument --export: {shown(options.export[0])} is neither csv nor parquet")
    if options.export:
        tables.check(options.export[0], Path(options.export[1]))
    index = make_index(options, find_model(options), options.out or cache_folder())
    if options.export:
        form, where = options.export
        for written in tables.export(index, form, Path(where)):
            print(f"written: {written}")
    return 0


def add_to(commands: Any) -> None:
    parser = add_command(commands, "index", run, "encode a set of images, for the Codebook page")
    parser.set_defaults(refuse=parser.error)
    parser.add_argument("--out", type=Path, help="where to put the index (default: where the app looks for it)")
    parser.add_argument(
        "--export", nargs=2, metavar=("csv|parquet", "FOLDER"), help="also write its tables into a folder"
    )


def make_index(options: argparse.Namespace, model: OpenModel, into: Path) -> Index:
    """The index of a set with a model, opened or built, and described; raises Stopped, BadInput."""
    images = find_set(options.data, options.under)
    path = index_path(into, model.fingerprint, images.identity)
    try:
        index = open_index(
            path,
            checkpoint=model.fingerprint,
            identity=images.identity,
            codes=model.codes,
            working_size=options.size,
            whole=True,
        )
        print("The index is there already.")
    except BadInput as reason:
        if path.exists():
            print(f"{reason}", file=sys.stderr)
        check_folder(into)
        pace = Pace(len(images.names))
        with stoppable(pace), pace.bar:
            index = build(
                model.tokenizer,
                images,
                checkpoint=model.fingerprint,
                working_size=options.size,
                path=path,
                progress=pace,
            )
        print(f"{pace.per_second:.1f} images per second")
    _describe(index, path)
    return index


def _describe(index: Index, path: Path) -> None:
    for name, reason in index.unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    usage = summarise(index.counts, images=index.images)
    counts = (counted(usage.images, "image"), counted(usage.cells, "cell"), counted(len(index.unreadable), "file"))
    print(f"{', '.join(counts)} skipped")
    print(f"{usage.active:,} of {counted(usage.codes, 'code')} used, perplexity {usage.perplexity:,.0f}")
    print(f"index: {path} ({path.stat().st_size / 1e6:,.1f} MB)")
