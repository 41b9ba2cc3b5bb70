"""python -m explorer.projection: see explorer/cli/projection.py"""

import sys

from explorer.cli.projection import main

if __name__ == "__main__":
    sys.exit(main())
