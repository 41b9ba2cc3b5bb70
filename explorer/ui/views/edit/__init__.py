"""The views of the Edit page."""
