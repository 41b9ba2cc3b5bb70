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
    """See to it that there is nginx where it may be installed and nobody has to be asked for it; the exit status.

    That is for root, and in CI, which has to have one. Elsewhere the tests that need it are skipped, and this is no
    failure.
    """
    if installed_nginx():
        return 0
    in_ci = bool(os.environ.get("CI"))
    as_root = _as_root(in_ci)
    if shutil.which("apt-get") and as_root is not None:
        print("Installing nginx for the tests of deploy/", file=sys.stderr)
        for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "nginx-light"]):
            stopped = ["env", "RUNLEVEL=1"]  # Debian starts what it installs, but for this
            subprocess.run([*as_root, *stopped, "apt-get", *words], stdout=subprocess.DEVNULL)
        if installed_nginx():
            return 0
    print("There is no nginx: install it, or the tests of deploy/ that need it are skipped.", file=sys.stderr)
    return 2 if in_ci else 0


def _as_root(in_ci: bool) -> list[str] | None:
    """What a command begins with that is to run as root; None where a person would be asked, or nobody can."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if in_ci and shutil.which("sudo") else None


if __name__ == "__main__":
    sys.exit(main())
