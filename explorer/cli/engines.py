"""Which engine a command works with: this process, or the workers of Ray, here or on a cluster."""

import argparse
from argparse import ArgumentParser

from explorer.cli.shared import HERE, whole_number
from explorer.engines import IN_PROCESS, Engine
from vqvae.errors import BadInput

RAY = "ray"
MOST_WORKERS = 10_000


def add_engine(parser: ArgumentParser) -> None:
    """Where the images are read and encoded: `--engine`, and for Ray `--address` and `--workers`."""
    parser.add_argument(
        "--engine",
        choices=(HERE, RAY),
        default=HERE,
        help="where the images are encoded: in this process, or by the workers of Ray, for large sets (default: here)",
    )
    parser.add_argument(
        "--address", help="of a Ray cluster that runs, such as auto or HOST:6379 (default: workers on this machine)"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1, MOST_WORKERS),
        metavar="N",
        help="how many workers Ray has, one model each (default: one a GPU, or as many as all cores but one have room "
        "for, at two threads each unless OMP_NUM_THREADS is 1)",
    )


def find_engine(options: argparse.Namespace) -> Engine:
    """The engine that the options mean; raises BadInput, also where Ray is not installed. It starts when it is used."""
    if options.engine == RAY:
        from explorer.engines.on_ray import OnRay

        return OnRay(options.address, options.workers, device=options.device)
    for name in ("address", "workers"):
        if getattr(options, name) is not None:
            raise BadInput(f"--{name} is for --engine ray; name both.")
    return IN_PROCESS
