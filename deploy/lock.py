"""The locks of the image, with the hash of every file that may be installed: python deploy/lock.py, where uv is.

PyTorch comes in two builds. torch.lock is the registry's own for Linux, with CUDA's libraries; torch-cpu.lock, which
is written by hand, is PyTorch's for CPUs alone; requirements.lock is all the rest, and the image takes it with either.
"""

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
OF_TORCH = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)==")  # what nothing else needs
COMMAND = (  # of Python 3.11 on Linux; the hashes are those of every processor's files
    *("uv", "pip", "compile", "requirements.txt", "--python-version=3.11", "--python-platform=linux"),
    *("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet"),
)
HEAD = "# Made by python deploy/lock.py, with the hash of every file. Nothing here is to be changed by hand.\n"


def entries(lock: str) -> list[str]:
    """Each package of a lock: its name and version, and the lines with its hashes."""
    return re.findall(r"^[a-z0-9].*\n(?:    .*\n)*", lock, re.MULTILINE)


def main() -> None:
    """Resolve requirements.txt anew, and write both parts."""
    said = subprocess.run(COMMAND, cwd=HERE.parent, check=True, capture_output=True, text=True).stdout
    for name, of_torch in (("torch.lock", True), ("requirements.lock", False)):
        kept = [entry for entry in entries(said) if bool(OF_TORCH.match(entry)) is of_torch]
        (HERE / name).write_text(HEAD + "".join(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
