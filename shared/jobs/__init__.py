"""Background jobs: tasks, the partitions of runs, and how requests merge."""
