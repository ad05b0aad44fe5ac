"""PostgreSQL: pools, traced cursors, arrays, leases and migrations."""
