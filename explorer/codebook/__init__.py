"""The codes themselves: what they look like, how they lie to one another, and whether they are healthy."""
