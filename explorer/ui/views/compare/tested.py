"""The reliance tests of the compared models: which there are to be, and what of them has been made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from explorer.base.job import Job, Progress
from explorer.base.open_model import OpenModel
from explorer.compare import inputs, whole
from explorer.compare.inputs import Side
from explorer.compare.measure import only_size
from explorer.compare.records import Comparison
from explorer.images.sets import PICTURE, ImageSet
from explorer.inputs.reliance.measure import Settings
from explorer.inputs.reliance.report import Report
from explorer.ui import cache, jobs, store
from explorer.ui.image_set import WORKING_SIZE
from explorer.ui.picture_choice import open_at, picture_titles
from explorer.ui.views.compare.columns import Column, models_of
from explorer.ui.views.inputs import reliance
from vqvae.errors import BadInput

JOB = "compared-inputs"


@dataclass(frozen=True, eq=False)
class Planned:
    """What one column is to be tested on."""

    column: Column
    model: OpenModel
    key: str  # of its job, and of what it makes
    work: Callable[[], Callable[[Progress], Report]]  # begun when it is its turn

    @property
    def job(self) -> Job[Report] | None:
        return jobs.find(self.key)

    @property
    def report(self) -> Report | None:
        """What came out, whole or as far as it is."""
        made: Report | None = jobs.shelf(JOB).find(self.key)
        return made or (self.job.result if self.job else None)


def plan(
    columns: Sequence[Column], images: ImageSet, only: tuple[int, int] | None, *, on_picture: bool
) -> tuple[list[Planned], dict[int, str]]:
    """A test for each column that can be tested, and of the others, by number, why not."""
    tests, refused = [], {}
    for column in columns:
        try:
            if column.model is None:
                raise BadInput(column.refusal)
            inputs.check(column.model)
            test = _of_picture if on_picture else _of_set
            tests.append(test(column, column.model, images, only))
        except BadInput as refusal:
            refused[column.number] = str(refusal)
    return tests, refused


def _of_picture(column: Column, model: OpenModel, images: ImageSet, only: tuple[int, int] | None) -> Planned:
    """The test of the chosen picture, with the next ones of the gallery as the others."""
    session = store.read()
    settings = reliance.settings_of(model, working_size=session.working_size, images=None)
    picture = open_at(session.picture, session.working_size, only)
    title = picture_titles().get(session.picture, "")
    partners = reliance.following(picture, only, settings.partners)
    name = _key(model, settings, title, picture.key, *(f"{name} {partner.key}" for name, partner in partners))
    return Planned(column, model, name, lambda: reliance.work_on(model, picture, partners, settings))


def _of_set(column: Column, model: OpenModel, images: ImageSet, only: tuple[int, int] | None) -> Planned:
    """The test of a set, or of some of its images."""
    compare = store.read().compare
    most = compare.measured_most if compare.measured_on == "set" else None
    settings = reliance.settings_of(model, working_size=WORKING_SIZE, images=most)
    data = "samples" if images is cache.sample_set() else images.source

    def begin() -> Callable[[Progress], Report]:
        twin = reliance.twin_of(model)
        return lambda progress: inputs.tested_on(
            model, images, settings, data=data, twin=twin, only=only, progress=progress
        )

    return Planned(column, model, _key(model, settings, data, images.label, images.identity, str(only)), begin)


def _key(model: OpenModel, settings: Settings, *of: str) -> str:
    return f"{JOB}-{model.fingerprint[:16]}-{hash((model.name, settings, of)):x}"


def sides_of(columns: Sequence[Column], images: ImageSet, found: Comparison) -> tuple[Side | str, ...]:
    """What the tests of the open models say, as `whole.reliance` gives it to the command; nothing is tested for it.

    Nothing of a picture, where a test is still to be made, or where one is none that the command would make.
    """
    if images.source == PICTURE:
        return ()
    opened = [column for column in columns if column.model is not None]
    planned, refused = plan(opened, images, only_size(models_of(opened)), on_picture=False)
    by_number = {test.column.number: test for test in planned}
    sides: list[Side | str] = []
    for place, column in enumerate(opened, 1):
        test = by_number.get(column.number)
        if test is None:
            sides.append(refused[column.number])
        elif test.report is None or (side := whole.side_of(place, test.model.name, test.report, found)) is None:
            return ()
        else:
            sides.append(side)
    return tuple(sides) if planned else ()
