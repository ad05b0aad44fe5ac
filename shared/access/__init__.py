"""Access to the API: its keys."""
