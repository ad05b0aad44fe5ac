"""The operators' commands: `just …` runs `python -m shared.commands`."""
