"""The views of the Inputs page."""
