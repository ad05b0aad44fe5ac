"""What two or more of the processes need."""

VERSION = "0.1.0"
