"""One cell on its way through the model, told step by step, and things to try."""
