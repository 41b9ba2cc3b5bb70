"""The commands of `python -m explorer`, one to a file."""
