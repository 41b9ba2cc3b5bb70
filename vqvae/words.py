"""Numbers with their nouns, so that one of a thing is never said to be several; and bytes."""


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what it counts: `counted(1, "cell")` is "1 cell", `counted(1024, "cell")` is "1,024 cells".

    several: the plural where an s does not make it ("indices"), or where more than the noun changes ("files are").
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def amount(number_of_bytes: float) -> str:
    """Bytes for reading: 1.25 bytes, 850 bytes, 1.25 KiB, 3.1 MiB, 12.6 GiB."""
    if number_of_bytes < 1024:
        said = f"{number_of_bytes:.4g}"
        return f"{said} byte{'' if said == '1' else 's'}"
    if number_of_bytes < 1 << 20:
        return f"{number_of_bytes / 1024:.2f} KiB"
    if number_of_bytes < 1 << 30:
        return f"{number_of_bytes / (1 << 20):.1f} MiB"
    return f"{number_of_bytes / (1 << 30):,.1f} GiB"
