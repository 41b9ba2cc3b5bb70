"""What has to hold of everything that reads what others wrote, on cases that hypothesis draws: a module a subject.

tests/test_properties.py runs 200 cases of each subject, the same ones each time; benchmarks/properties.py runs 10,000.
"""

from tests.properties import caches, checkpoints, formats, images, messages, recipes
from tests.properties.law import Law

SUBJECTS: dict[str, tuple[Law, ...]] = {
    "images": images.LAWS,
    "checkpoints": checkpoints.LAWS,
    "recipes": recipes.LAWS,
    "caches": caches.LAWS,
    "messages": messages.LAWS,
    "formats": formats.LAWS,
}
