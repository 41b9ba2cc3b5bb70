"""What pyproject.toml cannot say: app.py, pages/ and checkpoints/ stay at the top level, and pip installs them as the
folder `vqvae_explorer` beside the packages, where `vqvae.places.project_folder` finds them."""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

TOP = "vqvae_explorer"


class Build(build_py):
    """Of the top level, app.py is all that runs."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        if package == TOP:
            return [(TOP, "app", "app.py")]
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return found


setup(
    packages=[*find_packages(include=["vqvae", "vqvae.*", "explorer", "explorer.*"]), TOP],
    package_dir={TOP: "."},
    package_data={
        "explorer": ["**/*.css", "**/*.js", "ui/static/*"],
        TOP: ["pages/*.py", "checkpoints/photos*/*", ".streamlit/config.toml"],
    },
    exclude_package_data={TOP: ["checkpoints/*/training.safetensors"]},
    cmdclass={"build_py": Build},
)
