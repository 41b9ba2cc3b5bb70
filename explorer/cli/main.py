"""The explorer's commands: python -m explorer index|usage|fed DATA --checkpoint NAME; reliance NAME DATA;
render RECIPE [IMAGE]; encode NAME IMAGE; decode NAME CODES; doctor FOLDER

In place of a checkpoint's name each takes `--tokenizer my_model.py:load`.
"""

import argparse
import sys

from explorer.cli import decode, doctor, encode, fed, index, reliance, render, usage
from explorer.cli.shared import CommandParser, PluggedParser, Stopped
from vqvae.errors import BadInput


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m explorer")
    plugged = any(word.partition("=")[0] == "--tokenizer" for word in arguments)
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=PluggedParser if plugged else CommandParser
    )
    for command in (index, usage, fed, reliance, render, encode, decode, doctor):
        command.add_to(commands)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(sys.argv[1:] if arguments is None else arguments)
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
