"""python -m explorer index DATA --checkpoint NAME: the index of a set of images."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.base.folders import cache_folder
from explorer.base.open_model import OpenModel
from explorer.base.tidy import PARTIAL, remove_at_once
from explorer.cli.engines import add_engine, find_engine
from explorer.cli.shared import HERE, Pace, add_command, find_model, find_set, stoppable, whole_number, written
from explorer.images import manifest
from explorer.images.sets import ImageSet
from explorer.index import tables
from explorer.index.format import SUFFIX, index_path
from explorer.index.parts import Part, build_by, encode_part, merge_parts
from explorer.index.read import Index, open_index
from explorer.index.usage import summarise
from vqvae.errors import BadInput, shown
from vqvae.places import check_file, check_folder
from vqvae.remote import RemotePath, located
from vqvae.words import counted

MOST_PARTS = 100_000


def run(options: argparse.Namespace) -> int:
    """Encode a set of images, or go on where that was stopped, and keep the index of its codes.

    Stop it with Ctrl-C; the same command goes on.
    """
    if options.export and options.export[0] not in ("csv", "parquet"):
        options.refuse(f"argument --export: {shown(options.export[0])} is neither csv nor parquet")
    parts = _parts(options)
    if options.export:
        options.export = options.export[0], located(options.export[1])
        tables.check(*options.export)
    if options.manifest:
        check_file(options.manifest)
    into = options.out or cache_folder()
    if options.out:
        check_folder(into)
    model = find_model(options)
    if isinstance(parts, Part):
        return _make_part(options, model, into, parts)
    index = make_index(options, model, into, parts)
    if options.export:
        for path in tables.export(index, *options.export):
            print(f"written: {path}")
    return 0


def add_to(commands: Any) -> None:
    parser = add_command(commands, "index", run, "encode a set of images, for the Codebook page")
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "--out",
        type=located,
        metavar="FOLDER",
        help="where to put the index (default: where the app looks for it); may be an address such as "
        "s3://bucket/indexes, where its shards then lie, too, so that all machines share them; it is put together "
        "among the temporary files of this computer ($TMPDIR), which takes 22 bytes a cell there",
    )
    parser.add_argument(
        "--manifest",
        type=located,
        metavar="FILE.json",
        help="also write what was read: files, labels, what was skipped",
    )
    parser.add_argument(
        "--export", nargs=2, metavar=("csv|parquet", "FOLDER"), help="also write its tables into a folder"
    )
    add_engine(parser)
    by_hand = parser.add_argument_group(
        "several processes, with a folder or address that they share as --out",
        "Start --shard 1 --of N to --shard N --of N, wherever and whenever, and --merge after them.",
    )
    by_hand.add_argument(
        "--shard", type=whole_number(1, MOST_PARTS), metavar="I", help="encode only this part of the set, from 1 to N"
    )
    by_hand.add_argument("--of", type=whole_number(1, MOST_PARTS), metavar="N", help="how many parts there are")
    by_hand.add_argument("--merge", action="store_true", help="make the index out of the parts, and encode nothing")


@dataclass(frozen=True)
class _Merge:
    """All parts are encoded, of so many if that is said."""

    of: int | None


def _parts(options: argparse.Namespace) -> Part | _Merge | None:
    """What is to be done of the parts of a set; None where it has none. Refuses what cannot be meant."""
    by_hand = options.shard is not None or options.merge
    if (options.shard is not None and (options.of is None or options.merge)) or (
        options.of is not None and not by_hand
    ):
        options.refuse("say --shard I --of N, or --merge")
    if options.shard is not None and options.shard > options.of:
        options.refuse(f"argument --shard: there is no part {options.shard} of {options.of}")
    if by_hand and options.engine != HERE:
        options.refuse("--shard and --merge are for processes without an engine; leave --engine out")
    if options.shard is not None and options.export:
        options.refuse("--export is for the whole index; say it with --merge")
    if options.merge:
        return _Merge(options.of)
    return None if options.shard is None else Part(options.shard, options.of)


def make_index(options: argparse.Namespace, model: OpenModel, into: Path, parts: _Merge | None = None) -> Index:
    """The index of a set with a model, opened or built, and described; raises Stopped, BadInput."""
    engine = find_engine(options)
    images = find_set(options.data, options.under)
    path = index_path(into, model.fingerprint, images.identity)
    index = _kept(options, model, images, path)
    if index is None and parts:
        index = merge_parts(model, images, working_size=options.size, path=path, parts=parts.of)
    elif index is None:
        check_folder(into)
        pace = Pace(len(images.names))
        with stoppable(pace), pace.bar:
            index = build_by(engine, model, images, working_size=options.size, path=path, progress=pace)
        print(f"{pace.per_second:.1f} images per second")
    _keep_manifest(images, index, path, options)
    _describe(index, path)
    return index


def _make_part(options: argparse.Namespace, model: OpenModel, into: Path, part: Part) -> int:
    """Encode one part, and say how to go on; raises Stopped, BadInput."""
    images = find_set(options.data, options.under)
    path = index_path(into, model.fingerprint, images.identity)
    if _kept(options, model, images, path):
        return 0
    check_folder(into)
    run = part.images(len(images.names))
    pace = Pace(len(run))
    with stoppable(pace), pace.bar:
        shards = encode_part(model, images, part, working_size=options.size, path=path, progress=pace)
    unreadable = {number: reason for shard in shards for number, reason in shard.unreadable.items() if number in run}
    for number, reason in unreadable.items():
        print(f"skipped: {images.names[number]}: {reason}", file=sys.stderr)
    print(f"part {part.number} of {part.of}: {counted(len(run), 'file')}, {len(unreadable):,} of them skipped")
    print("Once all parts are done, the same command with --merge in place of --shard makes the index.")
    return 0


def _kept(options: argparse.Namespace, model: OpenModel, images: ImageSet, path: Path) -> Index | None:
    """The index that is there already; None where it is none of these images, and says why."""
    try:
        index = open_index(
            path,
            checkpoint=model.fingerprint,
            identity=images.identity,
            codes=model.codes,
            working_size=options.size,
            whole=True,
        )
    except BadInput as reason:
        if path.exists():
            print(f"{reason}", file=sys.stderr)
        return None
    print("The index is there already.")
    if isinstance(path, RemotePath):  # nobody else tidies up there
        remove_at_once(path.with_name(path.name + PARTIAL))
    return index


def _manifest_of(path: Path) -> Path:
    """Where the manifest beside an index lies."""
    return path.with_name(path.name.removesuffix(SUFFIX) + manifest.SUFFIX)


def _keep_manifest(images: ImageSet, index: Index, path: Path, options: argparse.Namespace) -> None:
    """Say what was read and what was left; keep it beside an index that is put elsewhere, and where it is wanted."""
    found = manifest.manifest_of(images, index.unreadable)
    for remark in found.remarks:
        print(f"note: {remark}", file=sys.stderr)
    print(f"read: {manifest.in_a_line(found)}")
    if getattr(options, "out", None):
        manifest.write(_manifest_of(path), found)
    if wanted := getattr(options, "manifest", None):
        written(wanted, manifest.as_json(found).encode())


def _describe(index: Index, path: Path) -> None:
    for name, reason in index.unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    usage = summarise(index.counts, images=index.images)
    counts = (counted(usage.images, "image"), counted(usage.cells, "cell"), counted(len(index.unreadable), "file"))
    print(f"{', '.join(counts)} skipped")
    print(f"{usage.active:,} of {counted(usage.codes, 'code')} used, perplexity {usage.perplexity:,.0f}")
    print(f"index: {path} ({path.stat().st_size / 1e6:,.1f} MB)")
    if isinstance(path, RemotePath):
        print("The app opens indexes on its own computer alone: for one elsewhere, copy it into its cache folder.")
