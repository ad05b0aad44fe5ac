"""Market events: their types, inbox, signals and the repricing queue."""
