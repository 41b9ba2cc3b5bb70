"""What was measured of the compared models over the images: a job that is followed, stopped and gone on with.

All views that speak of several images ask here: what one of them has had measured, the others find.
"""

from collections.abc import Sequence

from explorer.compare.measure import kept_folder, measure
from explorer.compare.records import Comparison, Settings
from explorer.images.sets import PICTURE, ImageSet
from explorer.ui import jobs, store, widgets
from explorer.ui.image_set import WORKING_SIZE
from explorer.ui.views.compare.columns import Column, models_of
from vqvae.words import counted

MEASURING = "measured"
MOST_SHELVED = 1000  # images of a comparison that stays in memory; a larger one is read from disk again


def settings_of(images: ImageSet, *, weight: float) -> Settings:
    """As the person chose them: a picture at the size of the pages, a set at the one at which sets are indexed."""
    session = store.read()
    size = session.working_size if session.compare.measured_on == "picture" else WORKING_SIZE
    return Settings(working_size=size, weight=weight, most=session.compare.measured_most)


def find(columns: Sequence[Column], images: ImageSet, *, weight: float = 0.0) -> Comparison | None:
    """What was measured of the models that are open, in their order; it is begun where it was not yet.

    weight: the blend that decoders with two inputs get, 0 for the codes alone. Draws how far it is, and a button to
    stop it. None while there is nothing to show, which is said; what was stopped halfway is there as far as it came.
    """
    models, settings = models_of(columns), settings_of(images, weight=weight)
    if not models:
        return None
    known_by = (tuple((model.name, model.fingerprint) for model in models), images.label, images.identity, settings)
    kept = "; what was measured is kept." if images.source != PICTURE else "."
    return jobs.made(
        MEASURING,
        f"{MEASURING}-{hash(known_by):x}",
        lambda progress: measure(models, images, settings, progress=progress, kept=kept_folder()),
        what=f"Measuring {counted(len(models), 'model')} on {widgets.plain(images.label)}",
        unit="passes",
        stopped=lambda found: f"Stopped{_after(found)}{kept}",
        lasts=lambda found: found.finished and not found.failed and len(found.rows) <= MOST_SHELVED,  # a fault may pass
    )


def _after(found: Comparison | None) -> str:
    return f" after {len(found.rows):,} of {found.asked:,} images" if found else ""


def name_of(found: Comparison) -> str:
    """Names a comparison by all that is said of it, so that what is made of it is never shown for another one."""
    models = tuple((model.name, model.fingerprint) for model in found.models)
    rows = tuple(
        (row.name, row.digest, *(one if isinstance(one, str) else "" for one in row.seen)) for row in found.rows
    )
    of_the_set = (found.data, found.identity, found.unreadable, found.repeated)
    return f"{hash((models, of_the_set, found.settings, rows)):x}"
