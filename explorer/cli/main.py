"""One command for all: vqvae-explorer [COMMAND], or python -m explorer [COMMAND]. Without a command the app opens.

The exit status is 0 when all went well, 1 when `doctor` found faults or `train` broke off because its loss exploded or
its processes came apart, 2 for bad input, and 128 and the signal's number when one stopped the work: 130 for Ctrl-C.
"""

import argparse
import io
import sys
from pathlib import Path

import explorer
from explorer.base.tidy import tidy
from explorer.cli import app, compare, decode, doctor, encode, fed, index, modules, reliance, render, usage
from explorer.cli.shared import CommandParser, PluggedParser, Stopped
from vqvae.errors import BadInput, Unreachable
from vqvae.places import said_of

PROGRAM = "vqvae-explorer"
STOPPED = 130  # as shells say it: 128 and the number of SIGINT


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    _write_anything()
    try:
        if words and words[0] in modules.MODULES:
            return modules.run(words[0], words[1:], prog=f"{_program()} {words[0]}")
        options = _parsed(words)
        if options.run is not app.run:  # which does so by itself, and goes on with it
            tidy()
        return int(options.run(options))
    except (BadInput, Unreachable, OSError) as fault:
        print(f"error: {said_of(fault)}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.number
    except KeyboardInterrupt:
        print("\nStopped; go on with the same command.", file=sys.stderr)
        return STOPPED


def _parsed(words: list[str]) -> argparse.Namespace:
    """The command and its options; where no command is named, those of the app."""
    parser = _parser(plugged=any(word.partition("=")[0] == "--tokenizer" for word in words))
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words = ["app", *words]
    options, rest = parser.parse_known_args(words)
    if len(rest) == 1 and getattr(options, "before_data", "") is None and not rest[0].startswith("-"):
        options.before_data, options.data, rest = options.data, rest[0], []  # options stood between the two
    if rest and not getattr(options, "takes_more", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.passed_on = rest
    return options


def _parser(*, plugged: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_program(),
        usage="%(prog)s [COMMAND] [OPTION …]",
        description="See and touch the discrete latent space of a VQ-VAE. Without a command the app opens.",
        epilog="COMMAND --help says what a command takes. Exit status: 0 done, 1 faults found (doctor) or the "
        "loss exploded (train), 2 bad input, 130 stopped by Ctrl-C.",
    )
    parser.add_argument("--version", action="version", version=f"vqvae-explorer {explorer.__version__}")
    commands = parser.add_subparsers(
        title="commands",
        required=True,
        metavar="COMMAND [OPTION …]",  # as wide as the column of names has to be
        prog=_program(),
        parser_class=PluggedParser if plugged else CommandParser,
    )
    for command in (app, encode, decode, render, modules, index, usage, fed, reliance, compare, doctor):
        command.add_to(commands)
    return parser


def _program() -> str:
    """What the person typed: the command that pip installed, or the module."""
    return PROGRAM if Path(sys.argv[0]).stem == PROGRAM else "python -m explorer"


def _write_anything() -> None:
    """A file or a pipe that Windows opens for output may not know − or ‖: such letters are then written as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
