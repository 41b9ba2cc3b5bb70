"""Photos to start with: real ones, out of packages that the app needs anyway (scikit-image and scikit-learn)."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from vqvae.images import load_image, to_tensor


@dataclass(frozen=True)
class Sample:
    """A bundled photo."""

    name: str  # short, stable, fit for a link
    title: str
    package: str
    file: str  # below the package's folder

    def read(self) -> bytes:
        """The file's bytes; no package is imported for it."""
        return (_folder(self.package) / self.file).read_bytes()


SAMPLES = (
    Sample("chelsea", "Chelsea, a cat", "skimage", "data/chelsea.png"),
    Sample("astronaut", "Eileen Collins", "skimage", "data/astronaut.png"),
    Sample("coffee", "Cup of coffee", "skimage", "data/coffee.png"),
    Sample("china", "Summer Palace", "sklearn", "datasets/images/china.jpg"),
    Sample("flower", "Dahlia", "sklearn", "datasets/images/flower.jpg"),
    Sample("rocket", "Rocket launch", "skimage", "data/rocket.jpg"),
    Sample("motorcycle", "Motorcycle", "skimage", "data/motorcycle_left.png"),
    Sample("hubble", "Hubble deep field", "skimage", "data/hubble_deep_field.jpg"),
    Sample("retina", "Retina", "skimage", "data/retina.jpg"),
    Sample("tissue", "Stained tissue", "skimage", "data/ihc.png"),
    Sample("coins", "Greek coins", "skimage", "data/coins.png"),
    Sample("gravel", "Gravel", "skimage", "data/gravel.png"),
)


def find(name: str) -> Sample | None:
    """The sample of that name, if there is one."""
    return next((sample for sample in SAMPLES if sample.name == name), None)


@cache
def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"The package {package} is not installed; run pip install -r requirements.txt.")
    return Path(spec.origin).parent


def sample_photos() -> list[Tensor]:
    """All of them as tensors, [1, 3, H, W] in [0, 1] each."""
    return [to_tensor(load_image(sample.read(), sample.file)) for sample in SAMPLES]
