"""Plans: proposed changes with their measured effect, and their application."""
