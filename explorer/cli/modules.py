"""The commands that are modules with a main of their own, and can be started as such, too: python -m vqvae.train."""

import signal
from importlib import import_module
from typing import Any

MODULES = {  # command -> its module, and one line of help
    "train": ("vqvae.train", "train a model on a set of images"),
    "evaluate": ("vqvae.evaluate", "measure a model on images: PSNR, SSIM, perplexity"),
    "convert": ("vqvae.convert", "make a checkpoint of somebody else's file of weights"),
    "projection": ("explorer.projection", "compute the map of a model's codes, kept with it"),
}


def run(name: str, arguments: list[str], *, prog: str) -> int:
    """Hand a command's arguments to its module; the exit status. Raises KeyboardInterrupt, for SIGTERM as well."""
    module = import_module(MODULES[name][0])
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        return int(module.main(arguments, prog=prog))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def add_to(commands: Any) -> None:
    """List them; `main` gives them their arguments as they are."""
    for name, (_, summary) in MODULES.items():
        commands.add_parser(name, help=summary, add_help=False)
