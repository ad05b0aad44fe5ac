"""The workers' jobs, one file each."""
