"""Streams of price changes: one reader of the log for each process, fanned out to its clients."""
