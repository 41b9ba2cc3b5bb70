"""Checking what a config says of a model, so that nothing absurd is ever built."""

from collections.abc import Collection, Mapping
from typing import Any

from vqvae.errors import BadInput, shown


def check_names(settings: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise BadInput unless the settings are exactly the known ones."""
    for name in settings:
        if name not in known:
            raise BadInput(f"The model's config has an unknown setting {shown(name)}; remove it.")
    for name in known:
        if name not in settings:
            raise BadInput(f"The model's config lacks the setting {name!r}; add it.")


def model_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The object "model" of a config.json's content; raises BadInput where there is none."""
    model = settings.get("model")
    if not isinstance(model, dict):
        raise BadInput('The config lacks the object "model" with the model\'s settings; add it.')
    return model


def whole_number(settings: Mapping[str, Any], name: str, lower: int, upper: int) -> int:
    """A setting that has to be a whole number within bounds; raises BadInput otherwise."""
    return _whole_number(name, settings[name], lower, upper)


def whole_numbers(
    settings: Mapping[str, Any], name: str, lower: int, upper: int, *, most: int, fewest: int = 1
) -> tuple[int, ...]:
    """A setting that has to be a list of `fewest` to `most` whole numbers within bounds; raises BadInput otherwise."""
    values = settings[name]
    if not isinstance(values, list | tuple) or not fewest <= len(values) <= most:
        raise BadInput(f"The setting {name!r} has to be a list of {fewest} to {most} whole numbers.")
    return tuple(_whole_number(name, value, lower, upper) for value in values)


def switch(settings: Mapping[str, Any], name: str) -> bool:
    """A setting that has to be true or false; raises BadInput otherwise."""
    if not isinstance(settings[name], bool):
        raise BadInput(f"The setting {name!r} has to be true or false, and is {shown(settings[name])}.")
    return settings[name]


def _whole_number(name: str, value: object, lower: int, upper: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lower <= value <= upper:
        raise BadInput(
            f"The setting {name!r} has to be a whole number from {lower} to {upper:,}, and is {shown(value)}."
        )
    return value
