"""Training of our models: settings, crops, the trainer and its state, validation, the log, and a whole run."""
