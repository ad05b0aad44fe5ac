"""Importing and exporting the catalogue."""
