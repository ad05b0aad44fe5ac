"""The log of changes: what subscribers read, in one order."""
