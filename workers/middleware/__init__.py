"""What happens around a message: one concern a file."""
