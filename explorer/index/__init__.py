"""Which cell of a set of images has which code: made once, kept on disk, and counted."""
