"""The colours of the models that are compared: the same in every chart, picture and table; for both themes."""

COLOURS = ("#0f8f86", "#d2762b", "#7a5fd0", "#c23f78")  # by column
