"""Painting with codes: an edit and what can be asked of it, from its start to the recipe that is kept."""
