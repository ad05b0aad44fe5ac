"""Market events: their types, inbox and signals."""
