"""A cell: a place in the grid of codes."""

Cell = tuple[int, int]  # row, column
