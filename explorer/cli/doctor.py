"""python -m explorer doctor PATH: all that is wrong with a checkpoint."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from explorer.cli.shared import CommandParser, add_model
from explorer.images.samples import sample_photos
from vqvae import doctor
from vqvae.places import find_checkpoint
from vqvae.plugin import made_by

MARKS = {"fault": "FAULT", "warning": "warning", "note": "note"}


def run(options: argparse.Namespace) -> int:
    """List everything that is wrong with a checkpoint, or a tokenizer of your own, and not only the first thing.

    Its files, what the model does with the bundled photos, its codes, and whether another metric or pixel range than
    the declared one reconstructs photos better. Exit status 0: sound; 1: faults were found; 2: there was nothing to
    examine.
    """
    photos = sample_photos()
    if options.tokenizer:
        name = Path(options.tokenizer).name
        tokenizer = made_by(options.tokenizer, device=options.device)
        report = doctor.examine_tokenizer(tokenizer, name=name, photos=photos)
    else:
        report = doctor.examine(find_checkpoint(options.checkpoint), photos=photos, device=options.device)
    if options.json:
        print(json.dumps({**asdict(report), "sound": report.sound}, indent=2, ensure_ascii=False))
    else:
        print_report(report)
    return 0 if report.sound else 1


def print_report(report: doctor.Report) -> None:
    print(f"{report.name}: {'sound' if report.sound else 'not sound'}")
    for finding in report.findings:
        print(f"  {MARKS[finding.severity]}: {finding.what}" + (f" {finding.do}" if finding.do else ""))


def add_to(commands: Any) -> None:
    parser: CommandParser = commands.add_parser(
        "doctor", help="list all that is wrong with a checkpoint", description=run.__doc__
    )
    parser.set_defaults(run=run)
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
