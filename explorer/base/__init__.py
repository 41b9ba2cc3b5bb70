"""What every part of the explorer stands on: figures, cells, folders and arrays on disk."""
