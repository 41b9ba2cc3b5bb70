"""The two inputs of the decoder: blended, replaced, and held against its training."""
