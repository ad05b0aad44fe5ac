"""Dramatiq middleware: one concern per file."""
