"""vqvae-explorer, or python -m explorer app: the app, opened in the browser."""

import argparse
import os
import runpy
import signal
import socket
import sys
from types import FrameType
from typing import Any

from explorer.cli.shared import CommandParser, Stopped
from vqvae.errors import BadInput
from vqvae.places import CHECKPOINTS_VARIABLE, place_here, project_folder


def run(options: argparse.Namespace) -> int:
    """Open the app in the browser, until Ctrl-C stops it.

    Options of Streamlit's own, such as --server.baseUrlPath=tools, are passed on.
    """
    command = streamlit_command(options)
    if options.checkpoints:
        os.environ[CHECKPOINTS_VARIABLE] = str(options.checkpoints.expanduser().absolute())
    sys.argv = command
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)  # once the server is down, its signal is raised again
    try:
        runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if interrupted:
            raise Stopped(signal.SIGINT, "The app is stopped.") from None
        if isinstance(end.code, str):  # why the app cannot run
            raise BadInput(end.code) from None
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def streamlit_command(options: argparse.Namespace) -> list[str]:
    """What Streamlit is called with: the app's file, Streamlit's options, and after two dashes those of the app."""
    _check(options)
    command = ["streamlit", "run", str(project_folder() / "app.py")]
    if options.port:
        command.append(f"--server.port={options.port}")
    if options.no_browser:
        command.append("--server.headless=true")
    command += [*options.passed_on, "--"]
    for name in ("tokenizer", "device"):
        if value := getattr(options, name):
            command += [f"--{name}", value]
    return command


def _check(options: argparse.Namespace) -> None:
    """Raise BadInput for what the app could only fail of once it runs."""
    for before, word in zip(["", *options.passed_on], options.passed_on, strict=False):
        if not word.startswith("-") and (not before.startswith("--") or "=" in before):
            raise BadInput(f"{word!r} is no option of the app; `vqvae-explorer --help` lists the commands.")
    if options.checkpoints and not options.checkpoints.expanduser().is_dir():
        raise BadInput(f"There is no folder {str(options.checkpoints)!r}; name one that holds checkpoints.")
    if options.port:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", options.port)) == 0:
                raise BadInput(f"Something else answers at port {options.port}; name another with --port.")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError("it has to be a whole number from 1 to 65535")
    return int(text)


def add_to(commands: Any) -> None:
    parser: CommandParser = commands.add_parser(
        "app", help="open the app; that happens without a command, too", description=run.__doc__
    )
    parser.set_defaults(run=run, takes_more=True)
    parser.add_argument("--port", type=_port, help="where it listens (default: the first that is free from 8501 on)")
    parser.add_argument("--no-browser", action="store_true", help="only serve it; open the address yourself")
    parser.add_argument(
        "--checkpoints",
        type=place_here,
        metavar="FOLDER",
        help="a folder of checkpoints, in place of those that come with it",
    )
    parser.add_argument("--tokenizer", metavar="FILE.py:FUNCTION", help="also offer the model of a file of your own")
    parser.add_argument("--device", help="where that computes, for example cuda (default: the CPU)")
