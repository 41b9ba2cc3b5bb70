"""Input that a person can put right, a place that does not answer, and how to quote a value in a message."""


class BadInput(ValueError):
    """Input was refused. The message is one sentence that says what is wrong and what to do; it is safe to show.

    What cannot be printed of the names and paths in it, as a line break or what is no Unicode, is written as \\n.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Unreachable(Exception):
    """The place where files lie does not answer, which may pass: none of them is at fault, nor to be left out for it.

    It is no BadInput, so that it ends the work that leaves out what cannot be read. The message is a sentence.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """A text with each character that cannot be printed as its escape, as in Python's strings."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def in_short(place: object, *, longest: int = 200) -> str:
    """A path as it stands, or its two ends where it is too long for a sentence."""
    text = str(place)
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def shown(value: object, *, longest: int = 40) -> str:
    """A value from outside, for quoting in a message: one short line, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list nested thousands deep
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
