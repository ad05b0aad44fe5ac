"""What the workers do: one file a job."""
