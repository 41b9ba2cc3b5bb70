"""Numbers with their nouns, so that one of a thing is never said to be several."""


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what it counts: `counted(1, "cell")` is "1 cell", `counted(1024, "cell")` is "1,024 cells".

    several: the plural where an s does not make it ("indices"), or where more than the noun changes ("files are").
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"
