"""A browser for the browser tests: python -m tests.get_browser

They take the Chromium, Chrome or Edge that is installed, on Linux, macOS or Windows; else Playwright's own; and where
that cannot be downloaded, or cannot run for want of a library, Debian's. $VQVAE_EXPLORER_BROWSER names another.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BROWSER_VARIABLE = "VQVAE_EXPLORER_BROWSER"
COMMANDS = (  # Ubuntu's chromium-browser may be a stub that only says how to install it
    *("chromium", "google-chrome", "google-chrome-stable", "microsoft-edge", "microsoft-edge-stable"),
    *("chrome", "msedge", "chromium-browser"),
)
APPLICATIONS = ("Google Chrome", "Chromium", "Microsoft Edge")  # of macOS
PROGRAMS = (  # of Windows
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)


def installed_browser(
    *, system: str = sys.platform, environ: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> str | None:
    """The file of a browser that Playwright can drive; None where there is none."""
    if named := environ.get(BROWSER_VARIABLE):
        return named
    places: list[Path] = []
    if system == "darwin":
        folders = (root / "Applications", Path(environ.get("HOME", root)) / "Applications")
        places = [folder / f"{name}.app" / "Contents" / "MacOS" / name for folder in folders for name in APPLICATIONS]
    elif system == "win32":
        folders = [
            Path(environ[name]) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA") if name in environ
        ]
        places = [folder / program for folder in folders for program in PROGRAMS]
    on_path = (shutil.which(command, path=environ.get("PATH", "")) for command in COMMANDS)
    return next((found for found in on_path if found), None) or next(
        (str(place) for place in places if place.is_file()), None
    )


def works(executable: str | None) -> bool:
    """Whether Playwright can start a browser; None is its own."""
    program = (
        "import sys; from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as playwright:\n"
        "    playwright.chromium.launch(executable_path=sys.argv[1] or None, args=['--no-sandbox']).close()\n"
    )
    try:
        tried = subprocess.run([sys.executable, "-c", program, executable or ""], capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


def main() -> int:
    """See to it that there is a browser; the exit status."""
    if installed_browser() or works(None):
        return 0
    print("Installing Chromium for the browser tests", file=sys.stderr)
    download = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"])
    if download.returncode == 0 and works(None):
        return 0
    if shutil.which("apt-get"):
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        for words in (["update", "-qq"], ["install", "-qq", "-y", "chromium"]):
            subprocess.run([*as_root, "apt-get", *words], stdout=subprocess.DEVNULL)
        if installed_browser():
            return 0
    print(
        f"No browser could be installed; install Chrome, Chromium or Edge, or name one as {BROWSER_VARIABLE}.",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
