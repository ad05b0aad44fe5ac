"""Traces, logs and metrics of every process."""
