"""Leases: how long a worker holds what it works on, and how often a job may take its worker down."""

LEASE_S = 15
# What killed its worker so often is not started again.
MAX_CRASHES = 3
QUARANTINED = "Quarantined"
