"""The reverse proxy for the tests of deploy/: python -m tests.get_nginx

They take the nginx that is installed; where there is none, Debian's is.
"""

import os
import shutil
import subprocess
import sys


def installed_nginx() -> str | None:
    """The file of nginx; None where there is none."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def main() -> int:
    """See to it that there is nginx, where Debian's packages are at hand; the exit status.

    Elsewhere the tests that need it are skipped, and this is no failure.
    """
    if installed_nginx() or not shutil.which("apt-get"):
        return 0
    print("Installing nginx for the tests of deploy/", file=sys.stderr)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "nginx-light"]):
        stopped = ["env", "RUNLEVEL=1"]  # Debian starts what it installs, but for this
        subprocess.run([*as_root, *stopped, "apt-get", *words], stdout=subprocess.DEVNULL)
    if installed_nginx():
        return 0
    print("nginx could not be installed; install it, or the tests that need it are skipped.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
