"""What two or more of the processes need."""
