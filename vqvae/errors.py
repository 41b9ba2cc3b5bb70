"""The one exception for input that a person can put right, and how to quote a value in its message."""


class BadInput(ValueError):
    """Input was refused. The message is one sentence that says what is wrong and what to do; it is safe to show."""


def shown(value: object, *, longest: int = 40) -> str:
    """A value from outside, for quoting in a message: one short line, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list nested thousands deep
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
