"""VQ-VAEs whose decoder takes two inputs: the quantized vectors and the encoder's continuous embedding.

Torch only: nothing in this package knows of the app that shows it.
"""
