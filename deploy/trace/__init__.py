"""`just trace`: a trace as a tree on a time axis, in the terminal."""
