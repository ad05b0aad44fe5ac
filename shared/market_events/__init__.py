"""Market events: their vocabulary, inbox, signals and the repricing queue."""
