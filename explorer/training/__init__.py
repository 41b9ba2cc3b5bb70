"""What is seen of a training: its curves, its figures, its samples, and how it stands."""
