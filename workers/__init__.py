"""The background workers: Dramatiq actors that decide prices."""
