"""The one exception for input that a person can put right."""


class BadInput(ValueError):
    """Input was refused. The message is one sentence that says what is wrong and what to do; it is safe to show."""
