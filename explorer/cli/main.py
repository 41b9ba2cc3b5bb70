"""The explorer's commands: python -m explorer index|usage|fed DATA --checkpoint NAME; reliance NAME DATA;
render RECIPE IMAGE
"""

import argparse
import sys

from explorer.cli import fed, index, reliance, render, usage
from explorer.cli.shared import Stopped
from vqvae.errors import BadInput


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m explorer")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (index, usage, fed, reliance, render):
        command.add_to(commands)
    return parser.parse_args(arguments)


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
