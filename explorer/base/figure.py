"""A figure: how a number stands on the screen."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A number on the screen: what it is called, what it is, and what it means."""

    label: str
    value: str
    meaning: str
