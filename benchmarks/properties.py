"""What has to hold of everything that reads what others wrote, tried on many cases that are drawn anew each time.

python -m benchmarks.properties [--cases 10000] [--subject formats] [--seed 1]

The laws are those of tests/properties. Each subject's cases are shared among its laws; a law that does not hold is
printed with the simplest case of it, and the others are tried all the same. Exits with 1 where one did not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import traceback

from tests.properties import SUBJECTS
from tests.properties.law import Tally, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.properties", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="of each subject (default: 10,000)")
    parser.add_argument("--subject", choices=SUBJECTS, action="append", help="may be given again (default: all)")
    parser.add_argument("--law", default="", help="only laws that have this in their name")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="to draw them again")
    options = parser.parse_args()
    print(f"seed {options.seed}\n")
    print(f"{'subject':62}{'cases':>8}{'accepted':>10}{'refused':>9}{'faults':>8}{'CPU-s':>9}{'slowest ms':>12}")
    faults = 0
    with tempfile.TemporaryDirectory() as kept:
        os.environ["VQVAE_EXPLORER_CACHE"] = os.environ["VQVAE_EXPLORER_DATA"] = kept
        for subject in options.subject or SUBJECTS:
            whole, found = Tally(), 0
            laws = [law for law in SUBJECTS[subject] if options.law in law.says]
            for law in laws:
                tally, fault = Tally(), 0
                try:
                    run(law, -(-options.cases // len(laws)), tally, seed=options.seed)
                except Exception:
                    traceback.print_exc()
                    fault = 1
                _row(f"  {law.says}", tally, fault)
                whole, found = _together(whole, tally), found + fault
            _row(subject, whole, found)
            faults += found
    return 1 if faults else 0


def _together(one: Tally, other: Tally) -> Tally:
    return Tally(
        one.cases + other.cases,
        one.accepted + other.accepted,
        one.refused + other.refused,
        one.seconds + other.seconds,
        max(one.slowest, other.slowest),
    )


def _row(name: str, tally: Tally, faults: int) -> None:
    figures = f"{tally.cases:>8,}{tally.accepted:>10,}{tally.refused:>9,}{faults:>8}{tally.seconds:>9.1f}"
    print(f"{name:62}{figures}{1000 * tally.slowest:>12.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
