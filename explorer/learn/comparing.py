"""What a small training has come to in figures, and two of them beside one another, fairly."""

from dataclasses import fields

from explorer.base.figure import Figure
from explorer.images.reconstruction import decibels
from explorer.learn.lab import MODEL, LabSettings
from explorer.learn.lab_run import Course
from vqvae.words import counted

LOSS_OVER = 50  # steps; the loss of one step alone is noise
SWITCHES = {  # what each setting is called in a sentence
    "restarts": "restarts of hardly used codes",
    "kmeans": "the k-means start",
    "dropout": "embedding dropout",
    "commitment": "the commitment weight",
    "steps": "the number of steps",
    "seed": "the seed",
}


def figures(course: Course) -> list[Figure]:
    """Where a training stands: loss, quality with the embedding off and on, and how the codes are used."""
    codes = MODEL.codes
    loss = perplexity = used = off = on = "–"
    if course.step:
        loss = f"{course.measure('loss')[-LOSS_OVER:].mean():.4f}"
        perplexity = f"{course.measure('perplexity')[-1]:.1f}"
        used = f"{course.measure('used')[-1]:.0f} of {codes}"
    if course.snapshots:
        last = course.snapshots[-1]
        off, on = (f"{decibels(quality)} dB" for quality in (last.psnr_off, last.psnr_on))
    return [
        Figure("Steps", f"{course.step:,}", "Batches that the model has learned from: 8 crops of 64 × 64 pixels each."),
        Figure(
            "Loss",
            loss,
            "What a step makes smaller, its mean over the last 50: the mean square error of the pixels, a little of "
            "the structural dissimilarity, and the commitment loss times its weight. Runs with another weight, or "
            "without dropout, have another loss: compare them by PSNR.",
        ),
        Figure(
            "Codes only",
            off,
            "PSNR of the held-out picture, drawn from the codes alone: 10 · log₁₀ of 1 over the mean square error. "
            "More is closer.",
        ),
        Figure("Embedding on", on, "PSNR of the held-out picture, drawn from the codes and the whole embedding."),
        Figure(
            "Perplexity",
            perplexity,
            f"How many codes the cells of the last steps use, as if they used them equally: {codes} at most, 1 when "
            "all cells take the same code.",
        ),
        Figure(
            "Used codes",
            used,
            "Codes with at least 35% of an equal share of the cells of the last steps, counted by moving averages. All "
            "codes count as used at the start, until the averages know better.",
        ),
    ]


def switched(a: LabSettings, b: LabSettings) -> list[str]:
    """In what two trainings differ, each as "embedding dropout (on in A, off in B)"."""
    return [
        f"{SWITCHES[field.name]} ({_said(getattr(a, field.name))} in A, {_said(getattr(b, field.name))} in B)"
        for field in fields(LabSettings)
        if getattr(a, field.name) != getattr(b, field.name)
    ]


def compared(a: Course, b: Course) -> str:
    """The differences between two trainings, and what they do not prove."""
    if not (a.step and b.step and a.snapshots and b.snapshots):
        return "There is nothing to compare yet."
    last_a, last_b = a.snapshots[-1], b.snapshots[-1]
    told = (
        f"Against A, B draws the held-out picture {_apart(last_b.psnr_off - last_a.psnr_off)} with the codes only and "
        f"{_apart(last_b.psnr_on - last_a.psnr_on)} with the embedding, and uses "
        f"{counted(round(b.measure('used')[-1]), 'code')} where A uses {a.measure('used')[-1]:.0f}"
    )
    differences = switched(a.settings, b.settings)
    why = f"they differ in {_listed(differences)}" if differences else "they differ in nothing"
    unequal = "" if a.step == b.step else f", and A is at step {a.step:,} where B is at {b.step:,}"
    if len(differences) > 1:
        proof = "with more than one switch changed, and one run of each, nobody can say which of them did it"
    elif not differences:
        proof = "the same seed and switches are the same training, stopped or not"
    elif differences[0].startswith(SWITCHES["seed"]):
        proof = "that is how much chance alone may do"
    else:
        proof = "one run of each is no proof: another seed may give other figures"
    return f"{told}; {why}{unequal}; {proof}."


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"


def _apart(difference: float) -> str:
    if abs(difference) < 0.05:
        return "as well"
    return f"{abs(difference):.1f} dB {'better' if difference > 0 else 'worse'}"


def _listed(things: list[str]) -> str:
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
